"""Sign-ins at the dashboard: begun, ended, forgotten, and told to the audit log."""

from datetime import timedelta

from clients.store import Store
from tests.contracts.builders import NOW

LIFETIME = timedelta(hours=12)
DIGEST, OTHER = "ab" * 32, "cd" * 32


async def actions(store: Store) -> list[tuple[str, str]]:
    return [(entry.action, entry.actor) for entry in await store.audit.latest()][::-1]


async def test_session__begun_twice__is_one_and_told_once(store: Store) -> None:
    for _ in range(2):
        await store.sessions.begin(DIGEST, "key:3f9a1c07be42", "ada", LIFETIME, NOW)
    found = await store.sessions.find(DIGEST)
    assert found is not None
    assert (found.identity, found.valid(NOW)) == ("key:3f9a1c07be42", True)
    assert await store.sessions.find(OTHER) is None
    assert await actions(store) == [("dashboard.signed_in", "ada")]
    assert DIGEST not in (await store.audit.latest())[0].data, "the audit log opens no session"


async def test_session__its_time_is_over__opens_nothing(store: Store) -> None:
    await store.sessions.begin(DIGEST, "key:3f9a1c07be42", "ada", LIFETIME, NOW)
    found = await store.sessions.find(DIGEST)
    assert found is not None
    assert found.valid(NOW + LIFETIME - timedelta(microseconds=1))
    assert not found.valid(NOW + LIFETIME)


async def test_session__ended_twice__opens_nothing_and_is_told_once(store: Store) -> None:
    await store.sessions.begin(DIGEST, "key:3f9a1c07be42", "ada", LIFETIME, NOW)
    for _ in range(2):
        await store.sessions.end(DIGEST, "ada", NOW)
    await store.sessions.end(OTHER, "ada", NOW)
    found = await store.sessions.find(DIGEST)
    assert found is not None
    assert not found.valid(NOW)
    assert await actions(store) == [("dashboard.signed_in", "ada"), ("dashboard.signed_out", "ada")]


async def test_session__a_day_after_its_end__is_forgotten_by_the_next(store: Store) -> None:
    await store.sessions.begin(DIGEST, "key:3f9a1c07be42", "ada", LIFETIME, NOW)
    later = NOW + LIFETIME + timedelta(days=1, seconds=1)
    await store.sessions.begin(OTHER, "key:3f9a1c07be42", "ada", LIFETIME, later)
    assert await store.sessions.find(DIGEST) is None
    assert await store.sessions.find(OTHER) is not None
