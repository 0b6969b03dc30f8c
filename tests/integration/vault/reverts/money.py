"""How the vault refuses to settle, to deliver, and to give the desk its money."""

from collections.abc import Callable

from bronco.deployment import FIRST_USER
from clients.approvals import Approval, Signing, ascending, refund_data, settlement_data
from clients.wallet import USDT
from models.requests import VaultRequest
from tests.integration.vault.codes import answering
from tests.integration.vault.desk import DOLLAR, bought, refund
from tests.integration.vault.office import APPROVERS, HOUR, Office, signed
from tests.integration.vault.reverts.table import Ask, reverts

VAULT = "BroncoVault"
APPROVED = "settleWithApprovals refundWithApprovals"
CLAIMING = "claim deliver"
STARVED = 300_000
ONE, TWO, THREE = APPROVERS


# ---------------------------------------------------------------- settling


@reverts(VAULT, "settle", "AccessControlUnauthorizedAccount")
async def not_a_settler(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, ([], []))


@reverts(VAULT, "settle", "ReentrancyGuardReentrantCall")
async def settle_from_within(office: Office, _: str) -> Ask:
    return Ask(office.dev.settler, ([], []), reentering=True)


@reverts(VAULT, "settle", "BatchGasTooLow")
async def starved(office: Office, _: str) -> Ask:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    given_back = (request.n, bytes.fromhex(request.request_id[2:]), 1)
    return Ask(office.dev.settler, ([], [given_back]), gas=STARVED)


# ---------------------------------------------------------------- with approvals


def approved(
    office: Office,
    function: str,
    request: VaultRequest,
    *signers: int,
    order: Callable[[list[Approval]], list[Approval]] = ascending,
    signing: Signing | None = None,
) -> Ask:
    """An end of the request that these accounts signed."""
    signing = signing or office.signing()
    request_id = bytes.fromhex(request.request_id[2:])
    if function == "settleWithApprovals":
        fill = bought(request, 5)
        data = settlement_data(fill, signing)
        fill_hash = bytes.fromhex(fill.fill_hash[2:])
        terms: tuple[object, ...] = (fill.taken, fill.out, fill.fee, fill_hash)
    else:
        data, terms = refund_data(refund(request), signing), (1,)
    approvals = order([signed(data, index) for index in signers])
    return Ask(office.carol, ((request.n, request_id, *terms), signing.deadline, approvals))


async def governed(office: Office) -> VaultRequest:
    """Two of three must sign."""
    office.approvers()
    return await office.deposit(office.alice, 1000 * DOLLAR)


@reverts(VAULT, APPROVED, "BatchGasTooLow")
async def approved_starved(office: Office, function: str) -> Ask:
    return approved(office, function, await governed(office), ONE, TWO)._replace(gas=STARVED)


@reverts(VAULT, APPROVED, "ReentrancyGuardReentrantCall")
async def approved_from_within(office: Office, function: str) -> Ask:
    ask = approved(office, function, await governed(office), ONE, TWO)
    return ask._replace(reentering=True)


@reverts(VAULT, APPROVED, "TooFewApprovals")
async def one_of_two(office: Office, function: str) -> Ask:
    return approved(office, function, await governed(office), ONE)


@reverts(VAULT, APPROVED, "SignersNotAscending")
async def the_same_twice(office: Office, function: str) -> Ask:
    return approved(office, function, await governed(office), ONE, ONE)


@reverts(VAULT, APPROVED, "NotAnApprover")
async def by_strangers(office: Office, function: str) -> Ask:
    return approved(office, function, await governed(office), FIRST_USER, FIRST_USER + 1)


@reverts(VAULT, APPROVED, "InvalidSignature")
async def for_an_earlier_epoch(office: Office, function: str) -> Ask:
    request, signing = await governed(office), office.signing()
    office.approvers()
    return approved(office, function, request, ONE, TWO, signing=signing)


@reverts(VAULT, APPROVED, "SignatureExpired")
async def approved_long_ago(office: Office, function: str) -> Ask:
    ask = approved(office, function, await governed(office), ONE, TWO)
    office.revm.warp_to(office.revm.now + HOUR + 1)
    return ask


@reverts(VAULT, APPROVED, "ItemRefused")
async def of_what_has_ended(office: Office, function: str) -> Ask:
    request = await governed(office)
    office.revm.warp_to(request.reclaim_at)
    office.revm.call(office.alice, "reclaim", request.n)
    return approved(office, function, request, ONE, TWO)


# ---------------------------------------------------------------- what a token refused


def claiming(function: str, office: Office, token: str) -> Ask:
    return Ask(office.alice, (token, office.alice))


async def undelivered(office: Office) -> None:
    """Alice's money and shares lie with the vault."""
    bought_for_her = await office.deposit(office.alice, 1000 * DOLLAR)
    given_back = await office.deposit(office.alice, 1000 * DOLLAR)
    block = (office.alice, True)
    office.revm.call(office.dev.admin, "setBlocked", *block, abi=USDT, to=office.dev.usdt)
    office.mark(office.listing(allowing=False), office.alice, on=True)
    assert office.settle([bought(bought_for_her, 5)], [refund(given_back)]) == []


@reverts(VAULT, CLAIMING, "NothingToClaim")
async def nothing(office: Office, function: str) -> Ask:
    return claiming(function, office, office.dev.usdt)


@reverts(VAULT, CLAIMING, "NotEligible")
async def shares_for_who_may_not(office: Office, function: str) -> Ask:
    await undelivered(office)
    return claiming(function, office, office.share)


@reverts(VAULT, CLAIMING, "SafeERC20FailedOperation")
async def refused_again(office: Office, function: str) -> Ask:
    await undelivered(office)
    office.revm.replace_code(office.dev.usdt, answering(0))
    return claiming(function, office, office.dev.usdt)


@reverts(VAULT, CLAIMING, "ReentrancyGuardReentrantCall")
async def claim_from_within(office: Office, function: str) -> Ask:
    return claiming(function, office, office.dev.usdt)._replace(reentering=True)


@reverts(VAULT, "claim", "InvalidRecipient")
async def to_nobody(office: Office, _: str) -> Ask:
    return Ask(office.alice, (office.dev.usdt, "0x" + "00" * 20))


# ---------------------------------------------------------------- the desk's money


@reverts(VAULT, "payOwed fund", "ReentrancyGuardReentrantCall")
async def one_number_from_within(office: Office, _: str) -> Ask:
    return Ask(office.carol, (1,), reentering=True)


@reverts(VAULT, "fund", "SafeERC20FailedOperation")
async def fund_refused(office: Office, _: str) -> Ask:
    office.revm.replace_code(office.dev.usdt, answering(0))
    return Ask(office.carol, (1,))


@reverts(VAULT, "withdraw", "SafeERC20FailedOperation")
async def withdrawal_refused(office: Office, _: str) -> Ask:
    office.revm.replace_code(office.dev.usdt, answering(7))
    return Ask(office.dev.treasurer, (office.dev.treasurer, 7))


@reverts(VAULT, "withdraw", "AccessControlUnauthorizedAccount")
async def not_the_treasurer(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (office.dev.admin, 1))


@reverts(VAULT, "withdraw", "InvalidRecipient")
async def to_itself(office: Office, _: str) -> Ask:
    return Ask(office.dev.treasurer, (office.dev.vault, 1))


@reverts(VAULT, "withdraw", "WithdrawalTooLarge")
async def what_is_escrowed(office: Office, _: str) -> Ask:
    free = office.revm.read("freeUsdt")
    await office.deposit(office.alice, 1000 * DOLLAR)
    return Ask(office.dev.treasurer, (office.dev.treasurer, free + 1))


@reverts(VAULT, "withdraw", "ReentrancyGuardReentrantCall")
async def withdraw_from_within(office: Office, _: str) -> Ask:
    return Ask(office.dev.treasurer, (office.dev.treasurer, 1), reentering=True)
