"""Audit chain, holds, findings, house positions and chain events."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlmodel import Session

from clients.store import Store
from models.audit import digest
from models.control import ControlState, Hold, HoldKind
from models.drafts import AuditDraft
from models.errors import Conflict, NotFound
from models.records import ChainEvent
from models.requests import Side
from tests.contracts.builders import CHAIN, NOW, VAULT, house_position, later, request_id


async def write_entries(store: Store, first: int, last: int) -> None:
    for number in range(first, last + 1):
        draft = AuditDraft(f"k{number}", "did", request_id(1), data={"n": number, "b": Decimal(1)})
        assert await store.audit.append(draft, NOW)


async def execute(store: Store, statement: str) -> None:
    def work(session: Session) -> None:
        session.execute(text(statement))

    await store._database.write("tampering", work)


async def test_audit__appended_twice__is_one_entry(store: Store) -> None:
    await write_entries(store, 1, 1)

    assert not await store.audit.append(AuditDraft("k1", "did something else"), NOW)
    entries = await store.audit.of_request(request_id(1))
    assert [(entry.action, entry.data) for entry in entries] == [("did", '{"b":"1","n":1}')]


async def test_audit__float_not_a_number__is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        await store.audit.append(AuditDraft("k", "did", data={"x": float("nan")}), NOW)


async def test_seal__in_parts__chains_all_and_verifies(store: Store) -> None:
    await write_entries(store, 1, 5)

    assert await store.audit.seal(3) == 3
    assert await store.audit.verify() is None
    await write_entries(store, 6, 7)
    assert await store.audit.seal() == 4
    assert await store.audit.seal() == 0

    assert await store.audit.verify() is None
    head = await store.audit.head()
    assert (head.seq, len(head.hash)) == (7, 64)


async def test_seal__two_sealers_at_once__one_chain(store: Store, other_store: Store) -> None:
    await write_entries(store, 1, 12)

    sealed = await asyncio.gather(*(each.audit.seal(5) for each in [store, other_store] * 2))

    assert sum(sealed) == 12
    assert await store.audit.verify() is None
    entries = await store.audit.latest()
    assert sorted(entry.seq or 0 for entry in entries) == list(range(1, 13))


@pytest.mark.parametrize(
    ("tampering", "seq", "problem"),
    [
        ("UPDATE audit_log SET data = '{}' WHERE seq = 3", 3, "changed"),
        ("UPDATE audit_log SET actor = 'me' WHERE seq = 1", 1, "changed"),
        ("UPDATE audit_log SET at = '2020-01-01 00:00:00.000000' WHERE seq = 5", 5, "changed"),
        ("DELETE FROM audit_log WHERE seq = 2", 2, "missing"),
        ("DELETE FROM audit_log WHERE seq = 5", 5, "missing"),
        ("DELETE FROM audit_log WHERE seq >= 4", 4, "missing"),
        ("UPDATE audit_log SET previous_hash = 'x' WHERE seq = 4", 4, "does not follow"),
        ("UPDATE locks SET note = 'x' WHERE name = 'audit'", 5, "head"),
    ],
)
async def test_verify__after_tampering__names_the_first_bad_place(
    store: Store, tampering: str, seq: int, problem: str
) -> None:
    await write_entries(store, 1, 5)
    await store.audit.seal()

    await execute(store, tampering)

    fault = await store.audit.verify()
    assert fault is not None
    assert fault.seq == seq
    assert problem in fault.problem


async def test_verify__entry_and_its_hash_rewritten__shows_at_the_next_one(store: Store) -> None:
    await write_entries(store, 1, 5)
    await store.audit.seal()
    (third,) = [entry for entry in await store.audit.latest() if entry.seq == 3]
    third.actor = "somebody else"
    forged = digest(third, 3, third.previous_hash)

    await execute(store, f"UPDATE audit_log SET actor='{third.actor}', hash='{forged}' WHERE seq=3")
    await execute(store, f"UPDATE audit_log SET previous_hash='{forged}' WHERE seq=4")

    fault = await store.audit.verify()
    assert fault is not None
    assert (fault.seq, fault.problem) == (4, "was changed after it was sealed")


def hold(key: str, reason: str = "because", **scope: object) -> Hold:
    return Hold.model_validate(
        {"key": key, "kind": HoldKind.MANUAL, "reason": reason, "who": "ann", "at": ""} | scope
    )


def state(version: int, *holds: Hold) -> ControlState:
    return ControlState(paused=any(each.everything for each in holds), version=version, holds=holds)


async def test_holds__set_and_lifted__rows_tell_the_history(store: Store) -> None:
    manual, breaker = hold("manual"), hold("oracle", side=Side.BUY, symbol="AAPL")
    set_ = AuditDraft("hold:1", "hold.set", actor="ann")
    await store.holds.record(state(1, manual), NOW, audits=[set_])
    await store.holds.record(state(2, manual, breaker), later(1), audits=[set_])
    await store.holds.record(state(3, breaker), later(2))

    assert [row.key for row in await store.holds.active()] == ["oracle"]
    rows = {row.key: row for row in await store.holds.history()}
    assert (rows["manual"].set_version, rows["manual"].lifted_version) == (1, 3)
    assert (rows["oracle"].side, rows["oracle"].symbol) == ("BUY", "AAPL")
    entries = [(entry.action, entry.actor) for entry in await store.audit.latest()]
    assert entries == [("hold.set", "ann")]
    assert await store.holds.newest_version() == 3


async def test_holds__older_state_arrives_late__changes_nothing(store: Store) -> None:
    await store.holds.record(state(42, hold("manual")), NOW)
    lifted = AuditDraft("lifted:41", "hold.lifted", actor="bob")

    assert not await store.holds.record(state(41), later(1), audits=[lifted])
    assert [entry.actor for entry in await store.audit.latest()] == ["bob"]
    assert not await store.holds.record(state(42, hold("manual")), later(1))
    assert [row.key for row in await store.holds.active()] == ["manual"]


async def test_holds__same_key_for_another_reason__is_a_new_hold(store: Store) -> None:
    await store.holds.record(state(1, hold("manual", "lunch")), NOW)
    await store.holds.record(state(2, hold("manual", "fire")), later(1))

    assert [row.reason for row in await store.holds.active()] == ["fire"]
    assert [row.lifted_version for row in await store.holds.history()] == [0, 2]


SEEN = [("gone:1", "gone", "order 1")]


async def test_findings__two_consecutive_runs__count(store: Store) -> None:
    assert await store.findings.next_run() == 1
    assert await store.findings.observe(1, SEEN) == []
    assert [found.key for found in await store.findings.observe(2, SEEN)] == ["gone:1"]
    assert await store.findings.next_run() == 3
    assert [found.times for found in await store.findings.standing()] == [2]


async def test_findings__same_run_again__is_counted_once(store: Store) -> None:
    await store.findings.observe(1, SEEN)
    assert await store.findings.observe(1, SEEN) == []
    first = await store.findings.observe(2, SEEN)
    again = await store.findings.observe(2, SEEN)

    assert [found.times for found in first + again] == [2, 2]
    assert await store.findings.observe(1, SEEN) == []


async def test_findings__a_clean_run_between__starts_over(store: Store) -> None:
    await store.findings.observe(1, SEEN)
    await store.findings.observe(2, SEEN)
    await store.findings.mark_handled("gone:1", "nudged")
    await store.findings.observe(3, [])

    assert await store.findings.observe(4, SEEN) == []
    found = await store.findings.observe(5, SEEN)
    assert [(each.first_run, each.handled) for each in found] == [(4, "")]


async def test_findings__run_numbers_with_gaps__still_consecutive(store: Store) -> None:
    await store.findings.observe(100, SEEN)

    assert len(await store.findings.observe(160, SEEN)) == 1


async def test_findings__handled__is_remembered_while_it_stands(store: Store) -> None:
    await store.findings.observe(1, SEEN)
    await store.findings.observe(2, SEEN)
    assert await store.findings.mark_handled("gone:1", "nudged")
    assert not await store.findings.mark_handled("gone:2", "nudged")

    assert [found.handled for found in await store.findings.observe(3, SEEN)] == ["nudged"]


async def test_house__booked_twice__is_one_position(store: Store) -> None:
    assert await store.house.book(house_position())
    assert not await store.house.book(house_position())
    assert await store.house.net("AAPL") == 3


async def test_house__grown_fill__replaces_the_total_and_never_shrinks(store: Store) -> None:
    await store.house.book(house_position(quantity=-3))
    assert await store.house.book(house_position(quantity=-5, cost=Decimal("950.05")))
    assert not await store.house.book(house_position(quantity=-4))

    (row,) = await store.house.booked("B1")
    assert (row.quantity, row.cost) == (-5, Decimal("950.05"))
    assert await store.house.net("AAPL") == -5


async def test_house__net__adds_causes_and_leaves_out_what_is_resolved(store: Store) -> None:
    await store.house.book(house_position("B1"))
    await store.house.book(house_position("B1", cause="OVER_FILL", quantity=-1))
    await store.house.book(house_position("B2", symbol="MSFT", quantity=7))
    (first, *_) = await store.house.unresolved()

    assert await store.house.resolve(first.id or 0, "flattened", who="ann", now=later(1))
    assert not await store.house.resolve(first.id or 0, "again", who="bob", now=later(2))

    assert await store.house.net("AAPL") == -1
    assert await store.house.net("MSFT") == 7
    assert await store.house.net("TSLA") == 0
    assert [row.resolution for row in await store.house.booked("B1")] == ["flattened", ""]
    assert "ann" in {entry.actor for entry in await store.audit.latest()}


async def test_house__grown_after_it_was_resolved__conflicts(store: Store) -> None:
    await store.house.book(house_position())
    (row,) = await store.house.unresolved()
    await store.house.resolve(row.id or 0, "flattened", who="ann", now=NOW)

    with pytest.raises(Conflict, match="grew from 3 to 5"):
        await store.house.book(house_position(quantity=5))


async def test_house__resolve_unknown__is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.house.resolve(1, "x", who="ann", now=NOW)


async def test_events__the_first_sighting_stays(store: Store) -> None:
    def event(n: int, block: int) -> ChainEvent:
        return ChainEvent(
            chain_id=CHAIN,
            vault=VAULT,
            request_number=n,
            request_id=request_id(n),
            tx_hash="0xAB",
            block_number=block,
            seen_at=NOW,
        )

    assert await store.events.record([event(1, 10), event(2, 10)]) == 2
    assert await store.events.record([event(2, 11), event(3, 11)]) == 1
    assert await store.events.record([]) == 0

    second = await store.events.of_request(CHAIN, VAULT, request_id(2))
    assert second is not None
    assert (second.block_number, second.tx_hash) == (10, "0xab")
    assert await store.events.of_request(CHAIN, VAULT, request_id(9)) is None
