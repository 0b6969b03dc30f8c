"""How the vault refuses what users ask for."""

from bronco.deployment import FIRST_USER
from clients.approvals import cancel_data
from clients.wallet import USDT
from models.money import MARKET_BUY_LIMIT, Settlement
from tests.integration.vault.codes import answering
from tests.integration.vault.desk import DOLLAR, SHARE, item, refund
from tests.integration.vault.office import HOUR, Office, signed
from tests.integration.vault.reverts.table import Ask, reverts

VAULT = "BroncoVault"
ASKING = "deposit depositWithPermit redeem redeemWithPermit"
ENDING = "reclaim requestCancel requestCancelFor"


def asking(
    office: Office,
    function: str,
    *,
    asset: str = "",
    amount: int = 0,
    limit: int | None = None,
    deadline: int = 0,
    recipient: str = "",
) -> Ask:
    """Alice's request, sound but for what is said. Her permit is worthless: she has approved."""
    buying = function.startswith("deposit")
    market = MARKET_BUY_LIMIT if buying else 0
    terms = (
        asset or office.share,
        amount or (1000 * DOLLAR if buying else SHARE),
        market if limit is None else limit,
        deadline or office.revm.now + HOUR,
        recipient or office.alice,
    )
    permit = (office.revm.now, 27, bytes(32), bytes(32))
    return Ask(office.alice, (*terms, *permit) if function.endswith("WithPermit") else terms)


@reverts(VAULT, ASKING, "UnknownAsset")
async def unlisted(office: Office, function: str) -> Ask:
    return asking(office, function, asset=office.dev.usdt)


@reverts(VAULT, ASKING, "AssetClosed")
async def closed(office: Office, function: str) -> Ask:
    terms = (office.share, office.reference, 86_400, 2_500, 5_000, False, 1)
    office.revm.call(office.dev.admin, "configureAsset", *terms)
    return asking(office, function)


@reverts(VAULT, ASKING, "InvalidRecipient")
async def to_the_vault(office: Office, function: str) -> Ask:
    return asking(office, function, recipient=office.dev.vault)


@reverts(VAULT, ASKING, "NotEligible")
async def to_who_may_not(office: Office, function: str) -> Ask:
    office.mark(office.listing(allowing=False), office.bob, on=True)
    return asking(office, function, recipient=office.bob)


@reverts(VAULT, ASKING, "DeadlineOutOfBounds")
async def too_soon(office: Office, function: str) -> Ask:
    return asking(office, function, deadline=office.revm.now + 599)


@reverts(VAULT, ASKING, "LimitOutOfReach")
async def absurd_limit(office: Office, function: str) -> Ask:
    return asking(office, function, limit=1)


@reverts(VAULT, ASKING, "EnforcedPause")
async def while_paused(office: Office, function: str) -> Ask:
    office.revm.call(office.dev.guardian, "pause")
    return asking(office, function)


@reverts(VAULT, ASKING, "AmountTooSmall")
async def a_unit_less(office: Office, function: str) -> Ask:
    await office.holder(office.alice, 1)
    least = 10 * DOLLAR if function.startswith("deposit") else SHARE
    return asking(office, function, amount=least - 1)


@reverts(VAULT, ASKING, "AmountTooLarge")
async def more_than_fits(office: Office, function: str) -> Ask:
    if function.startswith("deposit"):
        mint = (office.alice, 2**128)
        office.revm.call(office.dev.admin, "mint", *mint, abi=USDT, to=office.dev.usdt)
    else:
        for _ in range(2):
            request = await office.deposit(office.alice, 1000 * DOLLAR)
            office.approve(item(request, Settlement(1000 * DOLLAR, 2**128 - 1, 0)))
    return asking(office, function, amount=2**128)


@reverts(VAULT, ASKING, "SafeERC20FailedOperation")
async def token_says_no(office: Office, function: str) -> Ask:
    token = office.dev.usdt if function.startswith("deposit") else office.share
    office.revm.replace_code(token, answering(0))
    return asking(office, function)


@reverts(VAULT, ASKING, "ReentrancyGuardReentrantCall")
async def from_within(office: Office, function: str) -> Ask:
    return asking(office, function)._replace(reentering=True)


# ---------------------------------------------------------------- one's own request


async def about(office: Office, function: str, n: int, *, by: int = FIRST_USER) -> Ask:
    """What the owner may do with request n; by: who signs or calls."""
    if function != "requestCancelFor":
        return Ask(office.dev.users[by - FIRST_USER], (n,))
    signing = office.signing()
    request_id = "0x" + "00" * 32
    if office.revm.read("count") >= n:
        request_id = (await office.revm.request(n)).request_id
    signature = signed(cancel_data(n, request_id, signing), by).signature
    return Ask(office.carol, (n, signing.deadline, signature))


@reverts(VAULT, ENDING, "UnknownRequest")
async def nothing_there(office: Office, function: str) -> Ask:
    return await about(office, function, 1)


@reverts(VAULT, ENDING, "RequestNotOpen")
async def ended_already(office: Office, function: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    assert office.settle([], [refund(request)]) == []
    return await about(office, function, request.n)


@reverts(VAULT, "reclaim requestCancel", "NotRequestOwner")
@reverts(VAULT, "requestCancelFor", "InvalidSignature")
async def by_another(office: Office, function: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    office.revm.warp_to(request.reclaim_at)
    return await about(office, function, request.n, by=FIRST_USER + 1)


@reverts(VAULT, "requestCancel requestCancelFor", "CancelAlreadyRequested")
async def asked_before(office: Office, function: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    office.revm.call(office.alice, "requestCancel", request.n)
    return await about(office, function, request.n)


@reverts(VAULT, "requestCancelFor", "SignatureExpired")
async def signed_long_ago(office: Office, function: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    ask = await about(office, function, request.n)
    office.revm.warp_to(office.revm.now + HOUR + 1)
    return ask


@reverts(VAULT, "reclaim", "TooEarly")
async def a_second_early(office: Office, function: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    office.revm.warp_to(request.reclaim_at - 1)
    return await about(office, function, request.n)


@reverts(VAULT, "reclaim", "ReentrancyGuardReentrantCall")
async def reclaim_from_within(office: Office, function: str) -> Ask:
    return (await about(office, function, 1))._replace(reentering=True)
