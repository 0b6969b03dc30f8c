"""What a share token is: shares it stands for, and its price when the feed is silent."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from bronco.deployment import DevChainPlan
from clients.abi import load_contract
from models.chain import Rejection
from models.money import MARKET_BUY_LIMIT
from tests.integration.vault.desk import DOLLAR, SHARE, bought, sold
from tests.integration.vault.office import FEED, Office
from tests.integration.vault.revm import Reverted

REFERENCE = load_contract("ShareReference")
DAY, HOUR = 86_400, 3_600
UNIT = 10**8


class Price(NamedTuple):
    round_id: int
    answer: int
    started_at: int
    updated_at: int
    answered_in: int


@pytest.fixture(scope="module")
def opened() -> Office:
    return Office()


@pytest.fixture
def office(opened: Office) -> Iterator[Office]:
    snapshot = opened.revm.snapshot()
    yield opened
    opened.revm.restore(snapshot)


def ask(office: Office, function: str, *args: Any) -> tuple[Any, ...]:
    data = bytes.fromhex(REFERENCE.calldata(function, *args)[2:])
    answer = office.revm.view(office.reference, data)
    return REFERENCE.decode_result(function, "0x" + answer.hex())


def tell(office: Office, who: str, function: str, *args: Any) -> None:
    office.revm.call(who, function, *args, abi=REFERENCE, to=office.reference)


def price(office: Office) -> Price:
    return Price(*ask(office, "latestRoundData"))


def feed(office: Office, dollars: int, age: int = 0) -> None:
    args = (dollars * UNIT, office.revm.now - age)
    office.revm.call(office.dev.admin, "setRound", *args, abi=FEED, to=office.feed)


def split(office: Office, numerator: int, denominator: int = 1, *, epoch: int = 0) -> int:
    at = office.revm.now + HOUR
    tell(office, office.dev.admin, "scheduleSplit", epoch, numerator, denominator, at)
    return at


def test_ratio__of_each_epoch__is_told_for_its_time(office: Office) -> None:
    born = office.revm.now
    first = split(office, 4)
    assert ask(office, "nextSplit") == (4, 1, first)
    office.revm.warp_to(first - 1)
    assert ask(office, "sharesPerToken") == (1, 1, 0)
    office.revm.warp_to(first)
    assert ask(office, "sharesPerToken") == (4, 1, 1)
    assert ask(office, "nextSplit") == (0, 0, 0)
    second = split(office, 2, 5, epoch=1)  # 1:10 on top of 4:1
    office.revm.warp_to(second)
    assert ask(office, "sharesPerToken") == (2, 5, 2)
    times = {0: (1, 1, 0), born: (1, 1, 0), first: (4, 1, 1), second - 1: (4, 1, 1)}
    assert {time: ask(office, "ratioAt", time) for time in times} == times


def test_cancel__by_the_guardian_before_it_counts__leaves_everything(office: Office) -> None:
    at = split(office, 4)
    tell(office, office.dev.guardian, "cancelSplit")
    office.revm.warp_to(at)
    assert ask(office, "sharesPerToken") == (1, 1, 0)
    later = split(office, 3, 2)
    office.revm.warp_to(later)
    assert ask(office, "sharesPerToken") == (3, 2, 1)


def test_reference__that_replaces_another__begins_at_its_ratio() -> None:
    """Else every token would stand for one share again."""
    office = Office()
    office.revm.warp_to(split(office, 4))
    feed(office, 47)
    terms = (office.feed, office.dev.vault, (DAY, HOUR, 0, 3_000), 4, 1)
    office.reference = office.revm.create(REFERENCE, *terms)
    assert ask(office, "sharesPerToken") == (4, 1, 0)
    assert price(office).answer == 188 * UNIT


def test_notice__shorter_than_agreed__is_refused() -> None:
    office = Office(DevChainPlan(split_notice_seconds=2 * HOUR))
    with pytest.raises(Reverted) as refused:
        split(office, 4)
    assert refused.value.name == "TooSoon"


@pytest.mark.parametrize(("ratio", "after"), [((4, 1), 47), ((3, 2), 126), ((1, 10), 1_880)])
def test_price__of_a_token__does_not_jump_at_a_split(
    office: Office, ratio: tuple[int, int], after: int
) -> None:
    """The feed's last word is of old shares, its next of new ones, whenever that comes."""
    feed(office, 188)
    at = split(office, *ratio)
    for moment in (at - 1, at, at + HOUR):
        office.revm.warp_to(moment)
        assert price(office).answer == 188 * UNIT
    feed(office, after)
    assert price(office).answer == after * UNIT * ratio[0] // ratio[1]
    assert office.revm.read("referencePrice", office.share) == price(office).answer // 100


async def test_split__between_request_and_settlement__same_terms_settle(office: Office) -> None:
    """Filled before or after it, told by an old answer or a new one: what is paid is the same."""
    await office.holder(office.bob, 3)
    held = [await office.deposit(office.alice, 400 * DOLLAR, limit=195 * DOLLAR) for _ in "123"]
    back = [await office.redeem(office.bob, SHARE, limit=185 * DOLLAR) for _ in "123"]
    office.revm.warp_to(split(office, 4) - 1)
    for step in range(3):
        if step == 1:
            office.revm.warp_to(office.revm.now + 1)
        if step == 2:
            feed(office, 190 // 4)
            office.revm.call(
                office.dev.admin, "setAnswer", 190 * UNIT // 4, abi=FEED, to=office.feed
            )
        items = [bought(held[step], 2), sold(back[step], 1)]
        assert office.settle(items) == []


async def test_split__feed_speaks_of_new_shares_too_early__is_refused_not_paid(
    office: Office,
) -> None:
    request = await office.deposit(office.alice, 400 * DOLLAR)
    split(office, 4)
    feed(office, 47)
    assert office.settle([bought(request, 2)]) == [(request.n, Rejection.BAND)]


async def test_least_redeem__after_a_split__is_one_share_again(office: Office) -> None:
    await office.holder(office.alice, 1)
    terms = (office.share, office.reference, DAY, 2_500, 5_000, True, SHARE // 4)
    office.revm.call(office.dev.admin, "configureAsset", *terms)
    with pytest.raises(Reverted) as refused:
        await office.redeem(office.alice, SHARE // 4 - 1)
    assert refused.value.name == "AmountTooSmall"
    assert (await office.redeem(office.alice, SHARE // 4)).amount == SHARE // 4


# ---------------------------------------------------------------- the second key


def test_posted__feed_is_live__is_not_asked(office: Office) -> None:
    feed(office, 190)
    tell(office, office.dev.admin, "post", 200 * UNIT)
    assert price(office).answer == 190 * UNIT


async def test_posted__feed_is_stale__stands_in_and_items_settle(office: Office) -> None:
    request = await office.deposit(office.alice, 400 * DOLLAR, limit=MARKET_BUY_LIMIT)
    feed(office, 190, age=DAY + 1)
    assert office.settle([bought(request, 2)]) == [(request.n, Rejection.STALE_REFERENCE)]
    tell(office, office.dev.admin, "post", 180 * UNIT)
    assert (price(office).answer, price(office).updated_at) == (180 * UNIT, office.revm.now)
    assert office.settle([bought(request, 2)]) == []


def test_posted__too_old__does_not_count(office: Office) -> None:
    feed(office, 190, age=DAY + 1)
    tell(office, office.dev.admin, "post", 180 * UNIT)
    office.revm.warp_to(office.revm.now + 14_400)
    assert price(office).answer == 180 * UNIT
    office.revm.warp_to(office.revm.now + 1)
    assert price(office).answer == 190 * UNIT


def test_posted__the_feed_spoke_since__does_not_count() -> None:
    """Stale again soon after, its own word is the newer one."""
    office = Office(DevChainPlan(heartbeat_seconds=600))
    feed(office, 190, age=601)
    tell(office, office.dev.admin, "post", 180 * UNIT)
    office.revm.warp_to(office.revm.now + 10)
    feed(office, 195)
    office.revm.warp_to(office.revm.now + 601)
    assert price(office).answer == 195 * UNIT


def test_posted__step_by_step__goes_no_further_than_the_bound(office: Office) -> None:
    """The cap of a stolen second key: 30 % of the feed's last word, while the feed is silent."""
    feed(office, 100, age=DAY + 1)
    tell(office, office.dev.admin, "post", 130 * UNIT)
    for dollars in (131, 150, 69, -100, 0):
        with pytest.raises(Reverted) as refused:
            tell(office, office.dev.admin, "post", dollars * UNIT)
        assert refused.value.name == "MoveTooLarge"
    assert price(office).answer == 130 * UNIT


def test_posted__feed_says_nothing_at_all__is_held_against_what_was_noted(office: Office) -> None:
    feed(office, 100)
    tell(office, office.alice, "note")
    feed(office, 0, age=DAY + 1)
    tell(office, office.dev.admin, "post", 75 * UNIT)
    assert price(office).answer == 75 * UNIT
    with pytest.raises(Reverted):
        tell(office, office.dev.admin, "post", 69 * UNIT)


def test_noted__longer_ago_than_four_days__says_nothing(office: Office) -> None:
    """Counted from the feed's own time, also for a price that was posted while it still counted."""
    feed(office, 100, age=HOUR)
    tell(office, office.alice, "note")
    end = office.revm.now - HOUR + 4 * DAY
    feed(office, 0, age=DAY + 1)
    office.revm.warp_to(end)
    tell(office, office.dev.admin, "post", 75 * UNIT)
    assert price(office).answer == 75 * UNIT
    office.revm.warp_to(end + 1)
    with pytest.raises(Reverted) as silent:
        tell(office, office.dev.admin, "post", 75 * UNIT)
    assert silent.value.name == "NoLastGood"
    assert price(office).answer != 75 * UNIT


def test_noted__by_a_post_while_the_feed_lives__is_as_old_as_its_answer(office: Office) -> None:
    feed(office, 100, age=HOUR)
    tell(office, office.dev.admin, "post", 100 * UNIT)
    assert ask(office, "lastGoodAt") == (office.revm.now - HOUR,)


def test_posted__before_a_split__is_of_old_shares_after_it(office: Office) -> None:
    feed(office, 190, age=DAY + 1)
    at = split(office, 4)
    tell(office, office.dev.admin, "post", 180 * UNIT)
    office.revm.warp_to(at)
    assert price(office).answer == 180 * UNIT
    tell(office, office.dev.admin, "post", 45 * UNIT)
    assert price(office).answer == 180 * UNIT
    with pytest.raises(Reverted):
        tell(office, office.dev.admin, "post", 180 * UNIT)


def test_post__by_a_settler_with_the_role__is_refused(office: Office) -> None:
    """One stolen key is never both."""
    role = bytes.fromhex(office.revm.read("REFERENCE_ROLE", abi=REFERENCE, to=office.reference)[2:])
    office.revm.call(office.dev.admin, "grantRole", role, office.dev.settler)
    with pytest.raises(Reverted) as refused:
        tell(office, office.dev.settler, "post", 190 * UNIT)
    assert refused.value.name == "NotAllowed"
