"""The sliding hour: what counts, what counts once, and what a restart or a clock cannot change."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.keys import GuardedSigner, plain_key
from clients.ledger import HOUR_SECONDS, HourLimits, SigningLedger, steady_clock
from clients.policy import Signing, Use
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable
from models.money import SHARE_SCALE
from tests.signing import FILLER, GWEI, HOUR, KEY, POLICY, USDT, back, batch, bought, sold, tx


class FakeClock:
    def __init__(self, now: int = 1_800_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Book:
    """A ledger that can be closed and opened again, and a signer that asks it."""

    def __init__(self, path: Path, limits: HourLimits = HOUR) -> None:
        self.path, self.limits, self.clock = path, limits, FakeClock()
        self.ledger = SigningLedger(path, limits, self.clock)
        self.signer = GuardedSigner(plain_key(KEY, 31337), POLICY, self.ledger)

    def restart(self, **limits: int) -> None:
        self.ledger.close()
        self.limits = replace(self.limits, **limits)
        self.ledger = SigningLedger(self.path, self.limits, self.clock)
        self.signer = GuardedSigner(plain_key(KEY, 31337), POLICY, self.ledger)

    async def sign(self, **changes: object) -> str:
        return (await self.signer.sign(tx(**changes))).raw

    async def refused(self, says: str, **changes: object) -> None:
        """Not signed, by the signer's own count, and nothing is counted for it."""
        signed, before = self.signer.signed, self.ledger.sums()
        with pytest.raises(SigningRefused, match=says):
            await self.signer.sign(tx(**changes))
        assert self.signer.signed == signed
        assert self.ledger.sums() == before


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path / "state" / "signer.db")
    yield made
    made.ledger.close()


FULL = tuple(sold(n, 5_000 * USDT) for n in (1, 2))
"""10,000 USDT: half of the hour, all of a transaction."""
MORE = tuple(sold(n, 5_000 * USDT) for n in (3, 4))


async def test_hour__full__refuses_one_unit_more_and_not_what_pays_nothing(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    await book.sign(data=batch(*MORE), nonce=8)
    assert book.ledger.sums().usdt == HOUR.usdt
    await book.refused("USDT units, allowed", data=batch(sold(5, 1)), nonce=9)
    await book.sign(data=batch(back(6)), nonce=9)
    await book.sign(data=batch(bought(7)), nonce=10)
    await book.sign(data=FILLER, nonce=11)


async def test_hour__shares__are_counted_apart(book: Book) -> None:
    for n in (1, 2):
        await book.sign(data=batch(bought(n, 100 * SHARE_SCALE)), nonce=n)
    await book.refused("share units, allowed", data=batch(bought(3, 1)), nonce=3)


async def test_hour__slides__and_has_room_again_to_the_second(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    book.clock.now += 1800
    await book.sign(data=batch(*MORE), nonce=8)
    book.clock.now += HOUR_SECONDS - 1801
    await book.refused("USDT units", data=batch(sold(5, 5_000 * USDT)), nonce=9)
    book.clock.now += 1
    await book.sign(data=batch(sold(5, 5_000 * USDT)), nonce=9)
    assert book.ledger.sums().usdt == 15_000 * USDT


async def test_hour__signer_restarted__has_forgotten_nothing(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    book.restart()
    await book.sign(data=batch(*MORE), nonce=8)
    book.restart()
    await book.refused("USDT units", data=batch(sold(5, 1)), nonce=9)


async def test_bump__same_content_dearer__counts_once_at_its_dearest(book: Book) -> None:
    for fee in (40, 44, 49, 41):
        await book.sign(data=batch(*FULL), max_fee=fee * GWEI)
    sums = book.ledger.sums()
    assert (sums.usdt, sums.batches) == (10_000 * USDT, 1)
    assert sums.cost == 1_000_000 * 49 * GWEI


async def test_bump__begins_the_hour_anew(book: Book) -> None:
    """It was signed just now, so it may be mined from now on."""
    await book.sign(data=batch(*FULL))
    book.clock.now += 3000
    await book.sign(data=batch(*FULL), max_fee=44 * GWEI)
    book.clock.now += 3000
    assert book.ledger.sums().usdt == 10_000 * USDT


async def test_nonce__used_for_a_smaller_batch__adds_nothing(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    await book.sign(data=batch(FULL[0]))
    sums = book.ledger.sums()
    assert (sums.usdt, sums.batches) == (10_000 * USDT, 2)


async def test_nonce__used_for_other_requests__counts_both(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    await book.sign(data=batch(*MORE))
    assert book.ledger.sums().usdt == 20_000 * USDT
    await book.refused("USDT units", data=batch(sold(5, 1)))


async def test_batch__signed_again_under_other_nonces__counts_its_requests_once(
    book: Book,
) -> None:
    for nonce in range(7, 12):
        await book.sign(data=batch(*FULL), nonce=nonce)
    sums = book.ledger.sums()
    assert (sums.usdt, sums.batches) == (10_000 * USDT, 5)


async def test_request__signed_with_other_amounts__counts_at_its_most(book: Book) -> None:
    for usdt in (10, 3_000, 20):
        await book.sign(data=batch(sold(1, usdt * USDT)), nonce=usdt)
    assert book.ledger.sums().usdt == 3_000 * USDT


async def test_batches__without_end__stop_at_their_limit(book: Book) -> None:
    """Each nonce costs gas, also where no money moves."""
    for nonce in range(HOUR.batches):
        await book.sign(data=FILLER, nonce=nonce, max_fee=GWEI)
    await book.refused("batches, allowed", data=FILLER, nonce=999, max_fee=GWEI)


async def test_gas__of_many_nonces__stops_at_its_limit(book: Book) -> None:
    dearest = {"max_fee": 100 * GWEI, "data": FILLER}
    for nonce in range(10):
        await book.sign(nonce=nonce, **dearest)
    await book.refused("wei for gas, allowed", nonce=10, **dearest)


async def test_clock__before_the_last_signature__signs_nothing(book: Book) -> None:
    await book.sign(data=FILLER)
    book.clock.now -= 2 * HOUR_SECONDS
    book.restart()
    await book.refused("the clock is 7200 s before", data=FILLER, nonce=8)
    book.clock.now += 2 * HOUR_SECONDS
    await book.sign(data=FILLER, nonce=8)


async def test_clock__a_little_behind__goes_on_from_the_last_signature(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    book.clock.now -= 60
    book.restart()
    await book.sign(data=batch(*MORE), nonce=8)
    book.clock.now += 60 + HOUR_SECONDS
    assert book.ledger.sums().usdt == 0


async def test_limits__lowered_below_what_was_signed__sign_nothing_more(book: Book) -> None:
    await book.sign(data=batch(*FULL))
    book.restart(usdt=9_000 * USDT)
    await book.refused("USDT units", data=batch(back(9)), nonce=8)


def test_ledger__a_second_signer__is_refused(book: Book) -> None:
    with pytest.raises(ConfigurationError, match="another signer"):
        SigningLedger(book.path, HOUR, book.clock)


def test_ledger__file__is_ours_alone(book: Book) -> None:
    assert book.path.stat().st_mode & 0o777 == 0o600


def test_ledger__no_database__is_refused(tmp_path: Path) -> None:
    (tmp_path / "signer.db").write_text("not a database, but longer than a header of one" * 9)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        SigningLedger(tmp_path / "signer.db", HOUR)


async def test_ledger__cannot_be_written__signs_nothing(book: Book) -> None:
    book.ledger.close()
    with pytest.raises(SourceUnavailable, match="ledger"):
        await book.signer.sign(tx())
    assert book.signer.signed == 0
    book.restart()


def test_steady_clock__runs__with_the_machine() -> None:
    clock = steady_clock()
    first = clock()
    assert 0 <= clock() - first <= 60


USES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9_000), st.integers(0, 90)), max_size=4)
STEPS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 5), USES), max_size=25)


@settings(max_examples=60)
@given(steps=STEPS)
def test_hour__any_sequence__never_lets_more_out_than_it_allows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, list[tuple[int, ...]]]]
) -> None:
    """In every hour the most that each signed request could take stays within the limits."""
    clock = FakeClock()
    limits = HourLimits(usdt=20_000, shares=200, batches=10, cost=10**18)
    ledger = SigningLedger(tmp_path_factory.mktemp("ledger") / "signer.db", limits, clock)
    signed: list[tuple[int, Signing]] = []
    for number, (wait, nonce, amounts) in enumerate(steps):
        clock.now += wait
        uses = tuple({n: Use(n, str(n), usdt, shares) for n, usdt, shares in amounts}.values())
        signing = Signing(nonce, f"content {number % 7}", 1, uses)
        try:
            ledger.reserve(signing)
        except SigningRefused:
            continue
        signed.append((clock.now, signing))
    ledger.close()
    for end, _ in signed:
        lately = [one for at, one in signed if end - HOUR_SECONDS < at <= end]
        assert _most(lately, lambda use: use.usdt) <= limits.usdt
        assert _most(lately, lambda use: use.shares) <= limits.shares
        assert len({(one.nonce, one.content) for one in lately}) <= limits.batches


def _most(signings: list[Signing], amount: Callable[[Use], int]) -> int:
    """What the requests take together, each once, at its largest."""
    most: dict[str, int] = {}
    for signing in signings:
        for use in signing.uses:
            most[use.request_id] = max(most.get(use.request_id, 0), amount(use))
    return sum(most.values())
