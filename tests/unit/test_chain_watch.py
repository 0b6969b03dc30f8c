"""Walking the vault's numbers: backlog, tail, reorganisations, starts that fail."""

from collections.abc import Sequence
from typing import Any

import pytest

from activities.chain_watch import RequestWalk
from clients.heads import Wake
from models.assets import Asset, AssetBook
from models.chain import VaultEvent
from models.errors import SourceUnavailable
from models.requests import (
    BlockRef,
    OrderRequest,
    Side,
    VaultRequest,
    VaultStatus,
    order_workflow_id,
)
from tests.builders import CHAIN_ID, TOKEN, VAULT, block, request_id_of, vault_request

ASSETS = AssetBook(assets=(Asset(symbol="US.AAPL", token=TOKEN, feed=TOKEN),))


class FakeVault:
    """The chain of one fork after another; request n is made in block n unless told otherwise."""

    chain_id = CHAIN_ID
    address = VAULT

    def __init__(self) -> None:
        self.at = block(10)
        self.final = 0
        self.there: dict[int, VaultRequest] = {}
        self.down = False
        self.asked: list[tuple[int, int]] = []

    def have(self, first: int, last: int, salt: int = 0, **changes: object) -> None:
        for n in range(first, last + 1):
            fields: dict[str, Any] = {"request_id": request_id_of(n, salt), "created_block": n}
            self.there[n] = vault_request(n, **(fields | changes))

    def mine(self, number: int, fork: str = "a") -> None:
        self.at = block(number, fork)

    async def head(self) -> BlockRef:
        self._answer()
        return self.at

    async def finalized(self) -> BlockRef:
        self._answer()
        return block(self.final)

    async def count(self, at: BlockRef) -> int:
        assert at == self.at
        return max(self.there, default=0)

    async def requests(self, first: int, last: int, at: BlockRef) -> list[VaultRequest]:
        assert at == self.at
        self.asked.append((first, last))
        return [self.there[n] for n in range(first, last + 1) if n in self.there]

    def _answer(self) -> None:
        if self.down:
            raise SourceUnavailable("chain", "reading", "no answer")


class FakeGateway:
    def __init__(self) -> None:
        self.started: list[OrderRequest] = []
        self.signals: list[tuple[str, str]] = []
        self.fails: set[int] = set()
        self.deaf = False
        self.runs = True

    async def start_order(self, request: OrderRequest) -> None:
        if request.n in self.fails:
            raise SourceUnavailable("Temporal", "starting", "no answer")
        self.started.append(request)

    async def signal_order(self, workflow_id: str, signal: str) -> bool:
        if self.deaf:
            raise SourceUnavailable("Temporal", "signalling", "no answer")
        self.signals.append((workflow_id, signal))
        return self.runs

    @property
    def numbers(self) -> list[int]:
        return [request.n for request in self.started]


class Watched:
    def __init__(self) -> None:
        self.vault = FakeVault()
        self.gateway = FakeGateway()
        self.walk = RequestWalk(self.vault, self.gateway, ASSETS)  # type: ignore[arg-type]

    async def look_after(self, number: int, fork: str = "a") -> None:
        self.vault.mine(number, fork)
        await self.walk.look()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def event(name: str, n: int, salt: int = 0) -> VaultEvent:
    return VaultEvent(
        name=name,
        n=n,
        request_id=request_id_of(n, salt),
        args={},
        tx_hash=f"0xtx{n}",
        block_number=n,
        block_hash="0xb",
    )


def wake(*events: VaultEvent) -> Wake:
    return Wake(heads=1, events=events, resumed=False)


def woken(n: int, salt: int = 0) -> tuple[str, str]:
    return order_workflow_id(CHAIN_ID, VAULT, request_id_of(n, salt)), "wake"


async def test_backlog__longer_than_a_page__is_started_whole(watched: Watched) -> None:
    watched.vault.have(1, 450)
    await watched.look_after(500)
    assert sorted(watched.gateway.numbers) == list(range(1, 451))
    assert watched.vault.asked == [(1, 200), (201, 400), (401, 450)]


async def test_request__that_has_ended__is_not_started(watched: Watched) -> None:
    watched.vault.have(1, 3)
    watched.vault.have(2, 2, status=VaultStatus.SETTLED)
    await watched.look_after(10)
    assert watched.gateway.numbers == [1, 3]


async def test_request__started__carries_what_decorates_it(watched: Watched) -> None:
    watched.vault.have(1, 1, side=Side.SELL)
    watched.vault.have(2, 2, asset="0x0000000000000000000000000000000000000001")
    watched.walk.hint(wake(event("RedeemRequested", 1)))
    await watched.look_after(10)
    redeem, unknown = watched.gateway.started
    assert (redeem.side, redeem.symbol, redeem.tx_hash) == (Side.SELL, "US.AAPL", "0xtx1")
    assert (unknown.symbol, unknown.tx_hash) == ("", "")


async def test_logs__twice_and_with_terms_that_are_none__start_what_the_vault_says_once(
    watched: Watched,
) -> None:
    """A log only wakes: how often it comes and what it claims decides nothing."""
    watched.vault.have(1, 1)
    true, lying = event("DepositRequested", 1), event("DepositRequested", 1, salt=9)
    for _ in range(3):
        watched.walk.hint(wake(true, true, lying, event("DepositRequested", 77)))
        await watched.look_after(10)
    assert [request.request_id for request in watched.gateway.started] == [request_id_of(1)]


async def test_request__counted_but_not_shown__is_not_passed_over(watched: Watched) -> None:
    watched.vault.have(1, 1)
    watched.vault.have(3, 3)
    with pytest.raises(SourceUnavailable, match="2 came of 3"):
        await watched.look_after(10)
    watched.vault.have(2, 2)
    await watched.walk.look()
    assert sorted(set(watched.gateway.numbers)) == [1, 2, 3]


async def test_look__same_head__reads_nothing_again(watched: Watched) -> None:
    watched.vault.have(1, 1)
    await watched.look_after(10)
    await watched.walk.look()
    assert watched.vault.asked == [(1, 1)]


async def test_look__new_head__starts_only_what_is_new(watched: Watched) -> None:
    watched.vault.have(1, 2)
    await watched.look_after(10)
    watched.vault.have(3, 3)
    await watched.look_after(11)
    assert watched.gateway.numbers == [1, 2, 3]


async def test_tail__number_used_again_with_other_terms__wakes_old_and_starts_new(
    watched: Watched,
) -> None:
    watched.vault.have(1, 3)
    await watched.look_after(10)
    watched.vault.have(3, 3, salt=7)
    await watched.look_after(10, fork="b")
    assert watched.gateway.signals == [woken(3)]
    assert watched.gateway.started[-1].request_id == request_id_of(3, 7)
    assert watched.gateway.numbers == [1, 2, 3, 3]


async def test_tail__requests_vanished__are_woken_and_started_when_they_reappear(
    watched: Watched,
) -> None:
    watched.vault.have(1, 3)
    await watched.look_after(10)
    del watched.vault.there[2], watched.vault.there[3]
    await watched.look_after(10, fork="b")
    assert watched.gateway.signals == [woken(2), woken(3)]
    watched.vault.have(2, 3)
    await watched.look_after(11, fork="b")
    assert watched.gateway.numbers == [1, 2, 3, 2, 3]


async def test_tail__vanished_after_its_end__is_started_to_say_so(watched: Watched) -> None:
    watched.vault.have(1, 1, status=VaultStatus.SETTLED)
    watched.gateway.runs = False
    await watched.look_after(10)
    assert watched.gateway.started == []
    watched.vault.there.clear()
    await watched.look_after(10, fork="b")
    assert requests_of(watched.gateway.started) == [request_id_of(1)]


@pytest.mark.parametrize("changes", [{"created_block": 11}, {"status": VaultStatus.OPEN}])
async def test_tail__same_request_in_another_block_or_open_again__is_started_again(
    watched: Watched, changes: dict[str, Any]
) -> None:
    watched.vault.have(1, 1, status=VaultStatus.SETTLED, created_block=10)
    await watched.look_after(10)
    watched.vault.have(1, 1, **({"status": VaultStatus.SETTLED, "created_block": 10} | changes))
    await watched.look_after(11, fork="b")
    await watched.look_after(12, fork="b")
    assert requests_of(watched.gateway.started) == [request_id_of(1)]


async def test_tail__all_requests_vanished__is_survived(watched: Watched) -> None:
    watched.vault.have(1, 2)
    await watched.look_after(10)
    watched.vault.there.clear()
    await watched.look_after(10, fork="b")
    assert watched.gateway.signals == [woken(1), woken(2)]
    assert watched.walk.progress == (1, 10)


async def test_tail__once_final__is_not_read_again(watched: Watched) -> None:
    watched.vault.have(1, 3)
    watched.vault.final = 2
    await watched.look_after(10)
    await watched.look_after(11)
    assert watched.vault.asked == [(1, 3), (3, 3)]


async def test_start__fails__is_repeated_at_the_next_look(watched: Watched) -> None:
    watched.vault.have(1, 5)
    watched.gateway.fails = {3}
    with pytest.raises(SourceUnavailable):
        await watched.look_after(10)
    watched.gateway.fails = set()
    await watched.walk.look()
    assert set(watched.gateway.numbers) == {1, 2, 3, 4, 5}
    assert watched.walk.progress[0] == 6


async def test_chain__down_and_up_again__loses_no_request(watched: Watched) -> None:
    watched.vault.have(1, 1)
    await watched.look_after(10)
    watched.vault.down = True
    with pytest.raises(SourceUnavailable):
        await watched.look_after(11)
    watched.vault.down = False
    watched.vault.have(2, 2)
    await watched.look_after(12)
    assert watched.gateway.numbers == [1, 2]


async def test_reorganisation__told_while_temporal_is_down__is_told_later(
    watched: Watched,
) -> None:
    watched.vault.have(1, 2)
    await watched.look_after(10)
    watched.vault.have(2, 2, salt=7)
    watched.gateway.deaf = True
    with pytest.raises(SourceUnavailable):
        await watched.look_after(10, fork="b")
    watched.gateway.deaf = False
    await watched.walk.look()
    assert watched.gateway.signals == [woken(2)]
    assert watched.gateway.started[-1].request_id == request_id_of(2, 7)


async def test_cancel__hinted_by_its_event__wakes_also_without_a_new_head(
    watched: Watched,
) -> None:
    watched.vault.have(1, 1)
    await watched.look_after(10)
    watched.walk.hint(wake(event("CancelRequested", 1)))
    watched.gateway.deaf = True
    with pytest.raises(SourceUnavailable):
        await watched.walk.look()
    watched.gateway.deaf = False
    await watched.walk.look()
    assert watched.gateway.signals == [woken(1)]
    await watched.walk.look()
    assert watched.gateway.signals == [woken(1)]


async def test_cancel__of_the_tail_that_nobody_hinted__wakes_once(watched: Watched) -> None:
    watched.vault.have(1, 2)
    await watched.look_after(10)
    watched.vault.have(2, 2, cancel_requested=True)
    await watched.look_after(11)
    await watched.look_after(12)
    assert watched.gateway.signals == [woken(2)]


async def test_hints__of_requests_long_past__are_not_kept(watched: Watched) -> None:
    watched.vault.have(1, 3)
    watched.vault.final = 10
    await watched.look_after(10)
    watched.walk.hint(wake(*(event("DepositRequested", n) for n in (1, 2, 3, 4))))
    assert watched.walk._hashes == {4: "0xtx4"}


def requests_of(found: Sequence[OrderRequest]) -> list[str]:
    return [request.request_id for request in found]


async def test_restart__of_the_watcher__starts_every_open_request_again(
    watched: Watched,
) -> None:
    watched.vault.have(1, 3)
    await watched.look_after(10)
    again = RequestWalk(watched.vault, watched.gateway, ASSETS)  # type: ignore[arg-type]
    await again.look()
    first, second = watched.gateway.started[:3], watched.gateway.started[3:]
    assert requests_of(first) == requests_of(second)
