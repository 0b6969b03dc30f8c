"""Heads of the audit log that were signed and kept elsewhere, and what they find out."""

import asyncio

import pytest

from clients.store import Store
from models.audit import START, digest
from models.drafts import AuditDraft, AuditHead
from tests.auditing import signed
from tests.contracts.builders import NOW
from tests.contracts.records import execute, write_entries


async def sealed(store: Store, first: int, last: int) -> AuditHead:
    await write_entries(store, first, last)
    await store.audit.seal()
    return await store.audit.head()


async def test_examine__log_that_grew_out_of_its_heads__holds(store: Store) -> None:
    heads = [await sealed(store, 1, 3), await sealed(store, 4, 4), await sealed(store, 5, 9)]
    await store.audit.append(AuditDraft("late", "did"), NOW)

    found = await store.audit.examine(heads)

    assert found == (None, heads[-1], heads[-1], 9, 1, 3)
    assert await store.audit.verify(heads[1:], since=heads[1]) is None


async def test_examine__rewritten_with_all_its_hashes__signed_head_tells(store: Store) -> None:
    heads = [await sealed(store, 1, 3), await sealed(store, 4, 9)]
    await rewrite_from(store, 6)

    assert await store.audit.verify() is None
    fault = await store.audit.verify(heads)

    assert fault is not None
    assert fault.seq == 4
    assert "this or one up to 9 was rewritten" in fault.problem
    assert await store.audit.verify([heads[0]]) is None


async def test_examine__tail_cut_off_with_the_head__signed_head_tells(store: Store) -> None:
    before, head = await sealed(store, 1, 5), await sealed(store, 6, 9)
    await execute(store, "DELETE FROM audit_log WHERE seq > 5")
    await execute(store, f"UPDATE locks SET version=5, note='{before.hash}' WHERE name='audit'")

    assert await store.audit.verify() is None
    fault = await store.audit.verify([before, head])
    since = await store.audit.verify([head], since=head)

    assert fault is not None
    assert (fault.seq, fault.problem) == (6, "missing: a head was signed for 9, the log ends at 5")
    assert since is not None


@pytest.mark.parametrize("place", [0, -4, 12])
async def test_examine__row_with_a_place_that_nobody_gave__is_named(
    store: Store, place: int
) -> None:
    await sealed(store, 1, 5)
    await store.audit.append(AuditDraft("forged", "did"), NOW)
    await execute(store, f"UPDATE audit_log SET seq = {place} WHERE event_key = 'forged'")

    fault = await store.audit.verify()

    assert fault is not None
    assert (fault.seq, fault.problem) == (place, "has a place that nobody gave it")
    assert fault.entry_id > 0


async def test_examine__while_others_write_and_seal__never_alarms(
    store: Store, other_store: Store
) -> None:
    heads = [await sealed(store, 1, 5)]

    async def write() -> None:
        for number in range(6, 40):
            await other_store.audit.append(AuditDraft(f"k{number}", "did"), NOW)
            await other_store.audit.seal(3)

    async def look() -> None:
        while not writing.done():
            assert await store.audit.verify(heads, since=START) is None

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, look())
    assert (await store.audit.head()).seq == 39


async def test_seal__many_writers_and_sealers_at_once__one_chain_without_a_gap(
    store: Store, other_store: Store
) -> None:
    async def write(which: Store, name: str) -> None:
        for number in range(10):
            await which.audit.append(AuditDraft(f"{name}{number}", "did", data={"n": number}), NOW)
            await which.audit.seal(4)

    stores = (store, other_store)
    await asyncio.gather(
        *(write(each, name) for each, name in zip(stores * 2, "abcd", strict=True))
    )
    await store.audit.seal()

    assert (await store.audit.head()).seq == 40
    assert await other_store.audit.verify() is None
    rows = await store.audit.sealed(0, 40)
    assert [row.seq for row in rows] == list(range(1, 41))
    assert len({row.hash for row in rows}) == 40


async def test_keep_head__twice_and_more__read_back_from_a_place(store: Store) -> None:
    heads = [signed(AuditHead(seq, f"{seq:064x}")) for seq in (2, 5, 9)]
    for head in (*heads, heads[1]):
        await store.audit.keep_head(head)

    assert await store.audit.heads_from(1) == heads
    assert await store.audit.heads_from(3) == heads[1:]


async def rewrite_from(store: Store, seq: int) -> None:
    """Change an entry, and all hashes from there on, as somebody with our code would."""
    rows = await store.audit.sealed(seq - 1, 2**31)
    previous = rows[0].previous_hash
    for row in rows:
        row = row._replace(actor="somebody" if row.seq == seq else row.actor)
        forged = digest(row, row.seq, previous)
        values = f"actor='{row.actor}', previous_hash='{previous}', hash='{forged}'"
        await execute(store, f"UPDATE audit_log SET {values} WHERE seq={row.seq}")
        previous = forged
    await execute(store, f"UPDATE locks SET note='{previous}' WHERE name='audit'")
