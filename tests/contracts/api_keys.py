"""Keys of the API: made, rotated, revoked, and all of it told to the audit log."""

import asyncio
import json
from datetime import timedelta

import pytest

from clients.api_keys import new_key
from clients.store import Store
from clients.store.api_keys import KeyDraft
from models.access import Role
from models.errors import Conflict, NotFound
from tests.contracts.builders import NOW, later

ONE_DAY = timedelta(days=1)


def key_draft(lifetime: timedelta = 30 * ONE_DAY) -> KeyDraft:
    made = new_key()
    return KeyDraft(made.key_id, made.digest, lifetime, "grace")


async def told(store: Store) -> list[tuple[str, str, str]]:
    entries = await store.audit.latest()
    found = [(each.action, each.actor, json.loads(each.data)["key_id"]) for each in entries]
    return found[::-1]


async def test_api_key__created__is_found_and_told_without_its_secret(store: Store) -> None:
    made = new_key()
    draft = KeyDraft(made.key_id, made.digest, ONE_DAY, "grace")
    await store.api_keys.create("ada", Role.OPERATOR, draft, NOW)

    found = await store.api_keys.find(made.key_id)
    assert found is not None
    assert (found.caller.name, found.caller.role, found.digest) == (
        "ada",
        Role.OPERATOR,
        made.digest,
    )
    assert await told(store) == [("api_key.created", "grace", made.key_id)]
    assert made.text not in str(found)
    (entry,) = await store.audit.latest()
    assert made.text not in entry.data
    assert made.digest not in entry.data


async def test_api_key__expires__is_valid_until_then(store: Store) -> None:
    row = await store.api_keys.create("ada", Role.VIEWER, key_draft(ONE_DAY), NOW)
    assert row.valid(later(86_399))
    assert not row.valid(later(86_400))


async def test_api_key__name_has_a_valid_one__is_refused_until_it_ends(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(ONE_DAY), NOW)
    with pytest.raises(Conflict, match="rotate it"):
        await store.api_keys.create("ada", Role.ADMIN, key_draft(), NOW)
    await store.api_keys.create("ada", Role.ADMIN, key_draft(), later(86_400))


async def test_api_key__made_by_many_at_once__one_name_gets_one(store: Store) -> None:
    async def made() -> bool:
        try:
            await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(made() for _ in range(8)))) == 1
    valid = [row for row in (await store.api_keys.page()).items if row.valid(NOW)]
    assert len(valid) == 1


async def test_rotate__by_many_at_once__two_are_valid_at_most(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)

    async def rotated() -> bool:
        try:
            await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(rotated() for _ in range(8)))) == 1
    valid = [row for row in (await store.api_keys.page()).items if row.valid(NOW)]
    assert len(valid) == 2


async def test_rotate__one_is_valid__two_are_until_the_overlap_ends(store: Store) -> None:
    first = await store.api_keys.create("ada", Role.OPERATOR, key_draft(), NOW)
    made, old = await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)

    assert (made.role, old.key_id) == (Role.OPERATOR, first.key_id)
    assert made.valid(NOW)
    assert old.valid(NOW)
    assert not old.valid(later(86_400))
    with pytest.raises(Conflict, match="two are valid"):
        await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)
    assert [what for what, _, _ in await told(store)] == ["api_key.created", "api_key.rotated"]


async def test_rotate__expires_sooner_than_the_overlap__is_not_made_longer(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(ONE_DAY), NOW)
    _, old = await store.api_keys.rotate("ada", key_draft(), 7 * ONE_DAY, NOW)
    assert not old.valid(later(86_400))


async def test_rotate__same_key_again__changes_nothing(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)
    draft = key_draft()
    first = await store.api_keys.rotate("ada", draft, ONE_DAY, NOW)
    again = await store.api_keys.rotate("ada", draft, ONE_DAY, NOW)
    assert [row.key_id for row in again] == [row.key_id for row in first]
    assert len((await store.api_keys.page()).items) == 2


async def test_rotate__no_valid_key__is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)


async def test_revoke__by_name__ends_both_at_once_and_for_good(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)
    await store.api_keys.create("bob", Role.VIEWER, key_draft(), NOW)
    await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)

    ended = await store.api_keys.revoke("ada", "grace", "has left", later(60))
    assert [row.valid(later(60)) for row in ended] == [False, False]
    await store.api_keys.revoke("ada", "grace", "again", later(99))
    page = await store.api_keys.page()
    assert {row.name for row in page.items if row.valid(later(99))} == {"bob"}
    revoked = [entry for entry in await told(store) if entry[0] == "api_key.revoked"]
    assert len(revoked) == 2


async def test_revoke__by_id__leaves_the_other_one(store: Store) -> None:
    await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)
    made, old = await store.api_keys.rotate("ada", key_draft(), ONE_DAY, NOW)
    await store.api_keys.revoke(old.key_id, "grace", "", NOW)
    left = [row.key_id for row in (await store.api_keys.page()).items if row.valid(NOW)]
    assert left == [made.key_id]
    with pytest.raises(NotFound):
        await store.api_keys.revoke("nobody", "grace", "", NOW)


async def test_used__often__is_written_once_a_minute(store: Store) -> None:
    row = await store.api_keys.create("ada", Role.VIEWER, key_draft(), NOW)

    async def noted(seconds: float) -> float:
        await store.api_keys.used(row.key_id, later(seconds))
        found = await store.api_keys.find(row.key_id)
        assert found is not None
        assert found.last_used_at is not None
        return (found.last_used_at - NOW.replace(tzinfo=None)).total_seconds()

    assert [await noted(each) for each in (1, 30, 60, 62, 63)] == [1, 1, 1, 62, 62]


async def test_page__more_than_one__holds_every_key_once(store: Store) -> None:
    for number in range(5):
        await store.api_keys.create(f"key{number}", Role.VIEWER, key_draft(), NOW)
    seen: list[str] = []
    after = 0
    while True:
        page = await store.api_keys.page(after, 2)
        seen += [row.name for row in page.items]
        if not page.next_cursor:
            break
        after = int(page.next_cursor)
    assert seen == ["key4", "key3", "key2", "key1", "key0"]
