"""Who decides when endpoints differ, who is set aside for it, and how one comes back."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from clients.agreeing import AgreeingVault
from clients.endpoints import fault_of
from clients.quorum import TooFewEndpoints
from clients.rpc import AnswerForged, Rpc, RpcGarbled, RpcRefused, RpcUnreachable
from clients.vault import VaultClient
from models.errors import ConfigurationError, EndpointsDisagree, SourceUnavailable
from models.requests import BlockRef
from models.watch import Fault
from tests.builders import CHAIN_ID, VAULT

Answer = Callable[[], Any]


def block(number: int, fork: str = "a") -> BlockRef:
    return BlockRef(
        number=number, hash="0x" + f"{fork}{number:08}".rjust(64, "0"), timestamp=number
    )


class FakeReader:
    """An endpoint that has the whole chain, unless a test makes it say something else."""

    chain_id = CHAIN_ID
    address = VAULT

    def __init__(self, name: str) -> None:
        self.rpc = self
        self.url = f"https://user:s3cr3t@{name}.example/v3/s3cr3t"
        self.tip = 100
        self.requests = 7
        self.says: dict[str, Answer] = {}
        self.asked: list[str] = []

    def _say(self, what: str, truth: Any) -> Any:
        self.asked.append(what)
        return self.says[what]() if what in self.says else truth

    async def head(self) -> BlockRef:
        return cast(BlockRef, self._say("head", block(self.tip)))

    async def finalized(self) -> BlockRef:
        return cast(BlockRef, self._say("finalized", block(self.tip - 10)))

    async def block(self, number: int) -> BlockRef | None:
        there = block(number) if number <= self.tip else None
        return cast("BlockRef | None", self._say("block", there))

    async def count(self, at: BlockRef) -> int:
        return cast(int, self._say("count", self.requests))

    async def check(self) -> None:
        self._say("check", None)

    async def batch(self, calls: Any) -> list[Any]:
        """What a survey asks."""
        head = self._say("head", block(self.tip))
        chain = self._say("chain", CHAIN_ID)
        latest = {"number": hex(head.number), "hash": head.hash, "timestamp": "0x1"}
        return [hex(chain), latest]


def raising(error: Exception) -> Answer:
    def answer() -> Any:
        raise error

    return answer


class Office:
    """So many endpoints, a clock of its own, and what was reported."""

    def __init__(self, count: int) -> None:
        self.readers = [FakeReader(name) for name in "abcd"[:count]]
        self.now = 1_000.0
        self.reported: dict[str, str] = {}
        self.vault = AgreeingVault(
            *cast(list[VaultClient], self.readers), clock=lambda: self.now, report=self._report
        )

    def _report(self, source: str, problem: str) -> None:
        self.reported[source] = problem

    def lies(self, index: int, what: str, answer: Any) -> None:
        self.readers[index].says[what] = lambda: answer

    def fails(self, index: int, what: str, error: Exception) -> None:
        self.readers[index].says[what] = raising(error)

    def honest(self, index: int) -> None:
        self.readers[index].says.clear()

    @property
    def faults(self) -> list[Fault | None]:
        return [endpoint.fault for endpoint in self.vault.endpoints]


DOWN = RpcUnreachable("chain", "eth_call", "no connection")


def refused(text: str) -> RpcRefused:
    return RpcRefused("chain", "eth_call", {"code": -32000, "message": text})


async def test_agreed__first_two_say_the_same__third_is_not_asked() -> None:
    office = Office(3)
    assert await office.vault.count(block(100)) == 7
    assert [reader.asked for reader in office.readers] == [["count"], ["count"], []]


@pytest.mark.parametrize("liar", [0, 1])
async def test_agreed__one_of_three_lies__majority_decides_and_it_is_set_aside(liar: int) -> None:
    office = Office(3)
    office.lies(liar, "count", 9)

    assert await office.vault.count(block(100)) == 7

    assert office.faults[liar] is Fault.LIED
    label = f"{liar + 1}:{'ab'[liar]}.example"
    assert "contradicted" in office.reported[f"chain endpoint {label}"]
    asked = len(office.readers[liar].asked)
    assert await office.vault.count(block(100)) == 7
    assert len(office.readers[liar].asked) == asked


async def test_agreed__two_that_differ__nobody_decides_and_nobody_is_blamed() -> None:
    office = Office(2)
    office.lies(1, "count", 9)
    with pytest.raises(EndpointsDisagree) as raised:
        await office.vault.count(block(100))
    assert "1:a.example: 7" in str(raised.value)
    assert "2:b.example: 9" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert office.faults == [None, None]
    office.honest(1)
    assert await office.vault.count(block(100)) == 7


async def test_agreed__three_different_answers__nobody_decides() -> None:
    office = Office(3)
    office.lies(1, "count", 9)
    office.lies(2, "count", 8)
    with pytest.raises(EndpointsDisagree):
        await office.vault.count(block(100))
    assert office.faults == [None, None, None]


async def test_agreed__two_against_two__nobody_decides() -> None:
    office = Office(4)
    office.lies(1, "count", 9)
    office.lies(2, "count", 9)
    with pytest.raises(EndpointsDisagree):
        await office.vault.count(block(100))


async def test_agreed__one_of_two_trusted_and_a_liar__fails_closed_and_names_it() -> None:
    office = Office(3)
    office.lies(0, "count", 9)
    await office.vault.count(block(100))
    office.fails(1, "count", DOWN)

    with pytest.raises(RpcUnreachable):
        await office.vault.count(block(100))
    office.honest(1)
    office.lies(1, "count", 5)
    with pytest.raises(EndpointsDisagree):  # the liar has no vote to settle it
        await office.vault.count(block(100))


async def test_agreed__all_but_one_lied_by_themselves__names_who_and_why_without_secrets() -> None:
    office = Office(3)
    for index in (0, 1):
        office.lies(index, "chain", 5)
    await office.vault.survey()
    with pytest.raises(TooFewEndpoints) as raised:
        await office.vault.count(block(100))
    assert "1 of 3 endpoints can be trusted" in str(raised.value)
    assert "1:a.example WRONG_CHAIN: serves chain 5" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


async def test_agreed__one_fails__next_one_answers_and_three_times_sets_it_aside() -> None:
    office = Office(3)
    office.fails(0, "count", DOWN)
    for _ in range(2):
        assert await office.vault.count(block(100)) == 7
    assert office.faults == [None, None, None]
    assert await office.vault.count(block(100)) == 7
    assert office.faults == [Fault.DOWN, None, None]
    assert office.vault.healthy == tuple(cast(list[Rpc], office.readers[1:]))


async def test_agreed__set_aside_for_want_of_health__still_votes_when_nobody_else_is_left() -> None:
    office = Office(3)
    office.fails(0, "count", DOWN)
    for _ in range(3):
        await office.vault.count(block(100))
    office.honest(0)
    office.fails(1, "count", DOWN)
    assert await office.vault.count(block(100)) == 7


async def test_agreed__nobody_answers__nobody_is_blamed() -> None:
    office = Office(3)
    for index in range(3):
        office.fails(index, "count", DOWN)
    for _ in range(5):
        with pytest.raises(RpcUnreachable):
            await office.vault.count(block(100))
    assert office.faults == [None, None, None]


async def test_agreed__failure_then_answer__strikes_begin_anew() -> None:
    office = Office(3)
    for _ in range(4):
        office.fails(0, "count", DOWN)
        await office.vault.count(block(100))
        office.honest(0)
        await office.vault.count(block(100))
    assert office.faults == [None, None, None]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (AnswerForged("chain", "reading", "x"), Fault.LIED),
        (RpcGarbled("chain", "reading", "x"), Fault.GARBLED),
        (DOWN, Fault.DOWN),
        (SourceUnavailable("chain", "reading", "HTTP 429"), Fault.DOWN),
        (refused("missing trie node d0..1 (path ) state 0x12 is not available"), Fault.PRUNED),
        (refused("historical state 0xab is not available"), Fault.PRUNED),
        (refused("required historical state unavailable (reexec=128)"), Fault.PRUNED),
        (refused("distance to target block exceeds maximum proof window"), Fault.PRUNED),
        (refused("World state unavailable: state already discarded"), Fault.PRUNED),
        (refused("header not found"), Fault.LAGGING),
        (refused("header for hash not found"), Fault.LAGGING),
        (refused("hash 0xab is not currently canonical"), Fault.LAGGING),
        (refused("Unknown block"), Fault.LAGGING),
        (refused("daily request count exceeded, request rate limited"), Fault.REFUSES),
    ],
)
def test_fault_of__failed_call__says_what_is_wrong_with_the_endpoint(
    error: SourceUnavailable, fault: Fault
) -> None:
    assert fault_of(error) is fault


async def test_agreed__pruned_answer__set_aside_at_once() -> None:
    office = Office(3)
    office.fails(0, "count", refused("missing trie node"))
    assert await office.vault.count(block(100)) == 7
    assert office.faults == [Fault.PRUNED, None, None]


async def test_head__endpoints_differ_in_height__is_the_lower_that_both_have() -> None:
    office = Office(2)
    office.readers[1].tip = 98
    assert await office.vault.head() == block(98)


async def test_head__one_forks_off__majority_decides_and_it_goes_after_three_times() -> None:
    office = Office(3)
    office.lies(1, "head", block(100, "f"))
    office.lies(1, "block", block(100, "f"))
    for _ in range(3):
        assert await office.vault.head() == block(100)
    assert office.faults == [None, Fault.FORKED, None]


async def test_head__goes_far_back__is_not_believed_and_set_aside() -> None:
    office = Office(3)
    assert await office.vault.head() == block(100)
    office.readers[0].tip = 94
    for _ in range(3):
        assert await office.vault.head() == block(100)
    assert office.faults == [Fault.LAGGING, None, None]


async def test_head__both_of_two_go_far_back__fails_closed() -> None:
    office = Office(2)
    await office.vault.head()
    for reader in office.readers:
        reader.tip = 40
    with pytest.raises(SourceUnavailable, match="block 40, 100 was agreed on before"):
        await office.vault.head()
    for reader in office.readers:
        reader.tip = 101
    assert await office.vault.head() == block(101)


async def test_head__one_claims_the_far_future__changes_nothing() -> None:
    office = Office(3)
    office.lies(0, "head", block(10**9))
    assert await office.vault.head() == block(100)
    await office.vault.survey()
    assert office.faults == [None, None, None]


async def test_finalized__one_claims_too_much__is_the_lower_that_both_have() -> None:
    office = Office(3)
    office.lies(0, "finalized", block(100))
    assert await office.vault.finalized() == block(90)


async def test_finalized__lower_one_is_forged__majority_decides() -> None:
    office = Office(3)
    office.lies(0, "finalized", block(50, "f"))
    assert await office.vault.finalized() == block(50)


async def test_survey__wrong_chain__set_aside_at_once() -> None:
    office = Office(3)
    office.lies(1, "chain", 5)
    await office.vault.survey()
    assert office.faults == [None, Fault.WRONG_CHAIN, None]


async def test_survey__behind_by_more_than_allowed__set_aside_and_taken_back_after_its_time() -> (
    None
):
    office = Office(3)
    await office.vault.head()
    office.readers[2].tip = 94
    await office.vault.survey()
    assert office.faults == [None, None, Fault.LAGGING]
    assert "94" in office.vault.endpoints[2].detail
    office.readers[2].tip = 100
    await office.vault.survey()
    assert office.faults == [None, None, Fault.LAGGING]  # its time has not come
    office.now += 5
    await office.vault.survey()
    assert office.faults == [None, None, None]
    assert office.reported["chain endpoint 3:c.example"] == ""


async def test_survey__behind_by_what_is_allowed__stays() -> None:
    office = Office(3)
    office.readers[2].tip = 95
    await office.vault.survey()
    assert office.faults == [None, None, None]


async def test_survey__still_unwell__waits_twice_as_long_each_time() -> None:
    office = Office(3)
    office.readers[2].tip = 10
    waits = []
    for _ in range(4):
        await office.vault.survey()
        waits.append(office.vault.endpoints[2].retry_at - office.now)
        office.now = office.vault.endpoints[2].retry_at
    assert waits == [5, 10, 20, 40]


async def test_survey__liar_whose_time_has_come__is_tried_against_the_others() -> None:
    office = Office(3)
    await office.vault.head()
    office.lies(0, "count", 9)
    await office.vault.count(block(100))
    office.now += 59
    office.honest(0)
    await office.vault.survey()
    assert office.faults == [Fault.LIED, None, None]
    office.now += 1
    office.lies(0, "count", 9)
    await office.vault.survey()
    assert office.faults == [Fault.LIED, None, None]
    office.now += 120
    office.honest(0)
    await office.vault.survey()
    assert office.faults == [None, None, None]


async def test_survey__one_down__is_reported_even_where_nobody_reads() -> None:
    office = Office(2)
    office.fails(1, "head", DOWN)
    for _ in range(3):
        await office.vault.survey()
    assert office.faults == [None, Fault.DOWN]


async def test_survey__all_down__is_our_line_and_nobody_is_blamed() -> None:
    office = Office(3)
    for index in range(3):
        office.fails(index, "head", DOWN)
    for _ in range(5):
        await office.vault.survey()
    assert office.faults == [None, None, None]


async def test_check__one_of_three_does_not_answer__is_enough() -> None:
    office = Office(3)
    office.fails(0, "check", DOWN)
    await office.vault.check()
    office.fails(1, "check", DOWN)
    with pytest.raises(RpcUnreachable):
        await office.vault.check()


async def test_check__one_serves_another_chain__setting_is_named() -> None:
    office = Office(3)
    office.fails(2, "check", ConfigurationError("chain id", "serves chain 5"))
    with pytest.raises(ConfigurationError):
        await office.vault.check()


def test_healthy__all_well__are_the_connections_in_their_order() -> None:
    office = Office(3)
    assert office.vault.healthy == tuple(cast(list[Rpc], office.readers))


# --- the past -------------------------------------------------------------------------------------


async def test_past__two_of_three_keep_it__answer_and_the_third_stays_trusted() -> None:
    """A full node without old states is as good as any for all that trading asks."""
    office = Office(3)
    office.fails(0, "count", refused("missing trie node"))
    for _ in range(5):
        assert await office.vault.past("count", lambda vault: vault.count(block(3))) == 7
    assert office.faults == [None, None, None]


async def test_past__one_alone_keeps_it__nobody_decides() -> None:
    office = Office(3)
    office.fails(0, "count", refused("missing trie node"))
    office.fails(1, "count", refused("missing trie node"))
    with pytest.raises(SourceUnavailable):
        await office.vault.past("count", lambda vault: vault.count(block(3)))
    assert office.faults == [None, None, None]


async def test_past__two_contradict_each_other__nobody_decides() -> None:
    office = Office(2)
    office.lies(1, "count", 8)
    with pytest.raises(EndpointsDisagree):
        await office.vault.past("count", lambda vault: vault.count(block(3)))
