"""How a share reference refuses."""

from clients.abi import load_contract
from tests.integration.vault.office import FEED, Office
from tests.integration.vault.reverts.table import Ask, reverts

REFERENCE = "ShareReference"
ABI = load_contract(REFERENCE)
BOUNDS = (86_400, 14_400, 0, 3_000)
PRICE = 190 * 10**8


def scheduled(office: Office, seconds: int = 100) -> None:
    terms = (0, 4, 1, office.revm.now + seconds)
    office.revm.call(office.dev.admin, "scheduleSplit", *terms, abi=ABI, to=office.reference)


def a_split(
    office: Office, *, epoch: int = 0, ratio: tuple[int, int] = (4, 1), ahead: int = 1
) -> Ask:
    return Ask(office.dev.admin, (epoch, *ratio, office.revm.now + ahead))


@reverts(REFERENCE, "constructor", "InvalidBounds")
async def moves_without_bound(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (office.feed, office.dev.vault, (*BOUNDS[:3], 10_000), 1, 1))


@reverts(REFERENCE, "scheduleSplit cancelSplit post", "NotAllowed")
async def no_role(office: Office, function: str) -> Ask:
    args = {"scheduleSplit": a_split(office).args, "post": (PRICE,)}
    return Ask(office.dev.settler, args.get(function, ()))


@reverts(REFERENCE, "scheduleSplit", "SplitPending")
async def one_at_a_time(office: Office, _: str) -> Ask:
    scheduled(office)
    return a_split(office, epoch=1)


@reverts(REFERENCE, "scheduleSplit", "UnexpectedEpoch")
async def the_same_again(office: Office, _: str) -> Ask:
    scheduled(office)
    office.revm.warp_to(office.revm.now + 100)
    return a_split(office)


@reverts(REFERENCE, "scheduleSplit", "TooSoon")
async def at_once(office: Office, _: str) -> Ask:
    return a_split(office, ahead=0)


@reverts(REFERENCE, "scheduleSplit", "StepTooLarge")
async def a_hundred_and_one(office: Office, _: str) -> Ask:
    return a_split(office, ratio=(101, 1))


@reverts(REFERENCE, "cancelSplit", "NoSplitPending")
async def in_effect(office: Office, _: str) -> Ask:
    scheduled(office)
    office.revm.warp_to(office.revm.now + 100)
    return Ask(office.dev.guardian)


def dead(office: Office) -> None:
    office.revm.call(office.dev.admin, "setRound", 0, 1, abi=FEED, to=office.feed)


@reverts(REFERENCE, "note", "NotLive")
async def nothing_to_note(office: Office, _: str) -> Ask:
    dead(office)
    return Ask(office.alice)


@reverts(REFERENCE, "post", "NoLastGood")
async def nobody_noted(office: Office, _: str) -> Ask:
    dead(office)
    return Ask(office.dev.admin, (PRICE,))


@reverts(REFERENCE, "post", "MoveTooLarge")
async def too_far(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (PRICE * 131 // 100,))


@reverts(REFERENCE, "latestRoundData", "NoAnswer")
async def feed_without_code(office: Office, _: str) -> Ask:
    office.revm.replace_code(office.feed, b"\xfe")
    return Ask(office.alice)


@reverts(REFERENCE, "getRoundData", "NoHistory")
async def an_old_round(office: Office, _: str) -> Ask:
    return Ask(office.alice, (1,))
