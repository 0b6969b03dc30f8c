"""How the share token and the eligibility list refuse."""

from clients.abi import load_contract
from tests.integration.vault.desk import DOLLAR, SHARE
from tests.integration.vault.office import LIST, Office
from tests.integration.vault.permits import permit
from tests.integration.vault.reverts.table import Ask, never, reverts

TOKEN, OWNED = "ShareToken", "EligibilityList"
NOBODY = "0x" + "00" * 20
SHARE_TOKEN = load_contract(TOKEN)
HIGH_S = 2**255
"""Above half the curve's order: https://eips.ethereum.org/EIPS/eip-2"""


def token_of(office: Office, vault: str) -> str:
    """A share token whose vault is an account: the vault itself sends no transactions."""
    return office.revm.create(SHARE_TOKEN, "Other", "O", vault)


# ---------------------------------------------------------------- the vault's alone


@reverts(TOKEN, "mint", "NotVault")
async def minted_by_a_holder(office: Office, _: str) -> Ask:
    return Ask(office.alice, (office.alice, SHARE))


@reverts(TOKEN, "burn", "NotVault")
async def burnt_by_a_holder(office: Office, _: str) -> Ask:
    await office.holder(office.alice, 1)
    return Ask(office.alice, (SHARE,))


@reverts(TOKEN, "mint", "ERC20InvalidReceiver")
async def minted_to_nobody(office: Office, _: str) -> Ask:
    return Ask(office.alice, (NOBODY, 1), to=token_of(office, office.alice))


@reverts(TOKEN, "burn", "ERC20InsufficientBalance")
async def burnt_without_having(office: Office, _: str) -> Ask:
    return Ask(office.alice, (1,), to=token_of(office, office.alice))


@reverts(TOKEN, "burn", "ERC20InvalidSender")
async def burnt_by_nobody(office: Office, _: str) -> Ask:
    return Ask(NOBODY, (0,), to=token_of(office, NOBODY))


never(TOKEN, "mint burn", "NotEligible", "the list is asked between holders only")
never(TOKEN, "mint", "ERC20InsufficientBalance", "new tokens come from nobody's balance")

# ---------------------------------------------------------------- moving


def moving(office: Office, function: str, source: str, to: str, amount: int = SHARE) -> Ask:
    """One share; bob may move what is alice's."""
    if function == "transfer":
        return Ask(source, (to, amount))
    return Ask(office.bob, (source, to, amount))


async def allowed(office: Office) -> None:
    """Alice has one share and lets bob move all she has."""
    await office.holder(office.alice, 1)
    terms = (office.bob, 2**256 - 1)
    office.revm.call(office.alice, "approve", *terms, abi=SHARE_TOKEN, to=office.share)


@reverts(TOKEN, "transfer transferFrom", "NotEligible")
async def to_who_may_not(office: Office, function: str) -> Ask:
    await allowed(office)
    office.mark(office.listing(allowing=False), office.carol, on=True)
    return moving(office, function, office.alice, office.carol)


@reverts(TOKEN, "transfer transferFrom", "ERC20InsufficientBalance")
async def a_unit_too_much(office: Office, function: str) -> Ask:
    await allowed(office)
    return moving(office, function, office.alice, office.carol, SHARE + 1)


@reverts(TOKEN, "transfer transferFrom", "ERC20InvalidReceiver")
async def to_nobody(office: Office, function: str) -> Ask:
    await allowed(office)
    return moving(office, function, office.alice, NOBODY)


@reverts(TOKEN, "transferFrom", "ERC20InsufficientAllowance")
async def not_allowed(office: Office, function: str) -> Ask:
    await office.holder(office.alice, 1)
    return moving(office, function, office.alice, office.carol)


# No key signs for the zero address, but the chain in process sends for anybody.


@reverts(TOKEN, "transfer", "ERC20InvalidSender")
async def by_nobody(office: Office, _: str) -> Ask:
    return Ask(NOBODY, (office.alice, 0))


@reverts(TOKEN, "transferFrom", "ERC20InvalidSpender")
async def moved_by_nobody(office: Office, _: str) -> Ask:
    return Ask(NOBODY, (office.alice, office.bob, 0))


@reverts(TOKEN, "transferFrom", "ERC20InvalidApprover")
async def from_nobody(office: Office, _: str) -> Ask:
    return Ask(office.bob, (NOBODY, office.alice, 0))


never(TOKEN, "transferFrom", "ERC20InvalidSender", "without an approver the allowance fails first")


@reverts(TOKEN, "approve", "ERC20InvalidSpender")
async def nobody_approved(office: Office, _: str) -> Ask:
    return Ask(office.alice, (NOBODY, 1))


@reverts(TOKEN, "approve", "ERC20InvalidApprover")
async def approved_by_nobody(office: Office, _: str) -> Ask:
    return Ask(NOBODY, (office.alice, 1))


# ---------------------------------------------------------------- permits


def permitting(office: Office, spender: str, *, late: int = 0, s: bytes = b"") -> Ask:
    """Alice's own permit, which bob submits."""
    deadline = office.revm.now
    until, v, r, signed_s = permit(office.share, "AAPL share", spender, DOLLAR, deadline)
    office.revm.warp_to(deadline + late)
    return Ask(office.bob, (office.alice, spender, DOLLAR, until, v, r, s or signed_s))


@reverts(TOKEN, "permit", "ERC2612ExpiredSignature")
async def a_second_late(office: Office, _: str) -> Ask:
    return permitting(office, office.bob, late=1)


@reverts(TOKEN, "permit", "ERC2612InvalidSigner")
async def for_another_spender(office: Office, _: str) -> Ask:
    ask = permitting(office, office.bob)
    return ask._replace(args=(ask.args[0], office.carol, *ask.args[2:]))


@reverts(TOKEN, "permit", "ERC20InvalidSpender")
async def for_nobody(office: Office, _: str) -> Ask:
    return permitting(office, NOBODY)


@reverts(TOKEN, "permit", "ECDSAInvalidSignatureS")
async def malleable(office: Office, _: str) -> Ask:
    return permitting(office, office.bob, s=HIGH_S.to_bytes(32, "big"))


@reverts(TOKEN, "permit", "ECDSAInvalidSignature")
async def of_nobody(office: Office, _: str) -> Ask:
    nothing = (office.revm.now, 0, bytes(32), bytes(32))
    return Ask(office.bob, (NOBODY, office.bob, 1, *nothing))


never(TOKEN, "permit", "ERC20InvalidApprover", "nobody's signature is invalid before")
never(TOKEN, "permit", "ECDSAInvalidSignatureLength", "v, r and s have no length")
never(TOKEN, "constructor", "StringTooLong", "a long name is stored as a string instead")
never(TOKEN, "eip712Domain", "InvalidShortString", "only a name that is short was stored so")
never(TOKEN, "", "InvalidAccountNonce", "of OpenZeppelin's Nonces, for a function not used")

# ---------------------------------------------------------------- the list


def listed(office: Office) -> str:
    return office.revm.create(LIST, office.alice, True)


@reverts(OWNED, "list", "OwnableUnauthorizedAccount")
async def listed_by_another(office: Office, _: str) -> Ask:
    return Ask(office.bob, ([office.bob], True), to=listed(office))


@reverts(OWNED, "renounceOwnership", "OwnableUnauthorizedAccount")
async def renounced_by_another(office: Office, _: str) -> Ask:
    return Ask(office.bob, to=listed(office))


@reverts(OWNED, "transferOwnership", "OwnableUnauthorizedAccount")
async def given_by_another(office: Office, _: str) -> Ask:
    return Ask(office.bob, (office.bob,), to=listed(office))


@reverts(OWNED, "transferOwnership", "OwnableInvalidOwner")
async def given_to_nobody(office: Office, _: str) -> Ask:
    return Ask(office.alice, (NOBODY,), to=listed(office))


@reverts(OWNED, "constructor", "OwnableInvalidOwner")
async def nobodys_list(office: Office, _: str) -> Ask:
    return Ask(office.alice, (NOBODY, True))
