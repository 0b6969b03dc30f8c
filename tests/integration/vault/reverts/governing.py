"""How the vault refuses those who govern it."""

from clients.abi import load_contract
from clients.vault import VAULT as ABI
from tests.integration.vault.codes import token_of
from tests.integration.vault.office import FEED, Office
from tests.integration.vault.reverts.table import Ask, never, reverts, word

VAULT = "BroncoVault"
NOBODY = "0x" + "00" * 20
ROLE = bytes(32)
"""Of the default admin."""
OTHER = b"\1" * 32
CAPS = (1, 1, 86_400)
TOKEN = "0x" + "70" * 20
SHARE_TOKEN = load_contract("ShareToken")
DAY = 86_400

ARGS: dict[str, tuple[object, ...]] = {
    **{"pause": (), "unpause": (), "suspendSettler": (NOBODY,)},
    **{"configureTerms": (1, 0, 0), "configureCaps": (CAPS, 1)},
    **{"configureEligibility": (NOBODY,), "configureApprovers": ([], 0)},
    "configureAsset": (TOKEN, NOBODY, DAY, 1, 1, True, 1),
    **{"grantRole": (OTHER, TOKEN), "revokeRole": (OTHER, TOKEN)},
    **{"beginDefaultAdminTransfer": (TOKEN,), "cancelDefaultAdminTransfer": ()},
    **{"changeDefaultAdminDelay": (1,), "rollbackDefaultAdminDelay": ()},
}


@reverts(VAULT, " ".join(ARGS), "AccessControlUnauthorizedAccount")
async def who_may_not(office: Office, function: str) -> Ask:
    return Ask(office.dev.settler, ARGS[function])


@reverts(VAULT, "pause", "EnforcedPause")
async def paused_already(office: Office, _: str) -> Ask:
    office.revm.call(office.dev.guardian, "pause")
    return Ask(office.dev.guardian)


@reverts(VAULT, "unpause", "ExpectedPause")
async def not_paused(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin)


@reverts(VAULT, "suspendSettler", "InvalidConfig: not a settler")
async def no_settler(office: Office, _: str) -> Ask:
    return Ask(office.dev.guardian, (office.alice,))


# ---------------------------------------------------------------- the admin's own role


@reverts(VAULT, "grantRole revokeRole", "AccessControlEnforcedDefaultAdminRules")
async def by_the_back_door(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (ROLE, office.alice))


@reverts(VAULT, "acceptDefaultAdminTransfer", "AccessControlInvalidDefaultAdmin")
async def not_offered(office: Office, _: str) -> Ask:
    return Ask(office.alice)


@reverts(VAULT, "acceptDefaultAdminTransfer", "AccessControlEnforcedDefaultAdminDelay")
async def accepted_too_soon(office: Office, _: str) -> Ask:
    office.revm.call(office.dev.admin, "beginDefaultAdminTransfer", office.alice)
    return Ask(office.alice)


@reverts(VAULT, "renounceRole", "AccessControlEnforcedDefaultAdminDelay")
async def renounced_at_once(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (ROLE, office.dev.admin))


@reverts(VAULT, "renounceRole", "AccessControlBadConfirmation")
async def renounced_for_another(office: Office, _: str) -> Ask:
    return Ask(office.alice, (word(ABI, office, "SETTLER_ROLE"), office.dev.settler))


@reverts(
    VAULT, "beginDefaultAdminTransfer changeDefaultAdminDelay", "SafeCastOverflowedUintDowncast"
)
async def in_nine_million_years(office: Office, function: str) -> Ask:
    office.revm.warp_to(2**48)
    return Ask(office.dev.admin, ARGS[function])


never(
    VAULT,
    "constructor acceptDefaultAdminTransfer",
    "AccessControlEnforcedDefaultAdminRules",
    "the role is given only where nobody holds it: at first, or just taken from who held it",
)

# ---------------------------------------------------------------- configuration


@reverts(VAULT, "configureCaps", "InvalidConfig: window")
async def no_window(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, ((1, 1, 0), 1))


@reverts(VAULT, "configureEligibility", "InvalidConfig: eligibility list")
async def a_list_without_code(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (office.alice,))


@reverts(VAULT, "configureTerms", "InvalidConfig: minimum deposit")
async def no_minimum(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (0, 0, 0))


@reverts(VAULT, "configureTerms", "InvalidConfig: fee")
async def fee_above_the_most(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (1, 501, 0))


@reverts(VAULT, "configureApprovers", "InvalidConfig: too many approvers")
async def a_crowd(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, ([f"0x{i:040x}" for i in range(1, 34)], 1))


@reverts(VAULT, "configureApprovers", "InvalidConfig: threshold")
async def more_than_there_are(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, ([office.alice], 2))


@reverts(VAULT, "configureApprovers", "SignersNotAscending")
async def one_named_twice(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, ([office.alice, office.alice], 1))


def asset(
    office: Office,
    *,
    token: str = "",
    heartbeat: int = DAY,
    band: int = 2_500,
    gap: int = 5_000,
    least: int = 1,
) -> Ask:
    terms = (token or office.share, office.feed, heartbeat, band, gap, True, least)
    return Ask(office.dev.admin, terms)


@reverts(VAULT, "configureAsset", "InvalidConfig: share token of another vault")
async def another_vaults(office: Office, _: str) -> Ask:
    token = office.revm.create(SHARE_TOKEN, "Other", "O", office.alice)
    return asset(office, token=token)


@reverts(VAULT, "configureAsset", "InvalidConfig: share token decimals")
async def six_decimals(office: Office, _: str) -> Ask:
    office.revm.replace_code(TOKEN, token_of(office.dev.vault, 6))
    return asset(office, token=TOKEN)


@reverts(VAULT, "configureAsset", "InvalidConfig: heartbeat")
async def no_heartbeat(office: Office, _: str) -> Ask:
    return asset(office, heartbeat=0)


@reverts(VAULT, "configureAsset", "InvalidConfig: band")
async def whole_band(office: Office, _: str) -> Ask:
    return asset(office, band=10_000)


@reverts(VAULT, "configureAsset", "InvalidConfig: gap")
async def no_gap(office: Office, _: str) -> Ask:
    return asset(office, gap=0)


@reverts(VAULT, "configureAsset", "InvalidConfig: minimum redeem")
async def nothing_to_redeem(office: Office, _: str) -> Ask:
    return asset(office, least=0)


@reverts(VAULT, "configureAsset", "InvalidConfig: feed decimals")
async def fine_feed(office: Office, _: str) -> Ask:
    office.revm.call(office.dev.admin, "setDecimals", 19, abi=FEED, to=office.feed)
    return asset(office)


# ---------------------------------------------------------------- deployment


def deployed(
    office: Office,
    *,
    usdt: str = "",
    admin: str = "",
    grace: int = 7 * DAY,
    lifetime: tuple[int, int] = (600, 30 * DAY),
    least: int = 1,
    fee: int = 0,
) -> Ask:
    owner = admin or office.dev.admin
    terms = (usdt or office.dev.usdt, owner, 0, grace, *lifetime, least, fee, 0)
    return Ask(office.dev.admin, (terms,))


@reverts(VAULT, "constructor", "AccessControlInvalidDefaultAdmin")
async def nobodys(office: Office, _: str) -> Ask:
    return deployed(office, admin=NOBODY)


@reverts(VAULT, "constructor", "InvalidConfig: money token decimals")
async def fine_money(office: Office, _: str) -> Ask:
    office.revm.call(office.dev.admin, "setDecimals", 19, abi=FEED, to=office.feed)
    return deployed(office, usdt=office.feed)


@reverts(VAULT, "constructor", "InvalidConfig: settle grace")
async def short_grace(office: Office, _: str) -> Ask:
    return deployed(office, grace=7 * DAY - 1)


@reverts(VAULT, "constructor", "InvalidConfig: lifetime")
async def backward_lifetime(office: Office, _: str) -> Ask:
    return deployed(office, lifetime=(600, 600))


@reverts(VAULT, "constructor", "InvalidConfig: minimum deposit")
async def deployed_without_minimum(office: Office, _: str) -> Ask:
    return deployed(office, least=0)


@reverts(VAULT, "constructor", "InvalidConfig: fee")
async def deployed_with_a_fee_above_the_most(office: Office, _: str) -> Ask:
    return deployed(office, fee=501)
