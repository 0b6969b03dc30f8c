"""The audit log's head is signed only where the log grew out of the last one that was."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities import auditing
from activities.auditing import AuditActivities
from clients.auditing import why_ignored
from clients.head_file import HeadFile
from clients.store import Store, upgrade
from models.audit import SignedHead
from models.drafts import AuditFault, AuditHead
from models.errors import SourceUnavailable
from models.messages import AuditHeadResult
from tests.auditing import AUDITOR_ADDRESS, signed
from tests.contracts.auditing import rewrite_from
from tests.contracts.builders import CHAIN, VAULT
from tests.contracts.records import execute, write_entries


class Office:
    """A store, a folder, and a signer that may be down."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.file = HeadFile(folder, CHAIN, VAULT)
        self.down = False
        self.told: list[AuditFault | None] = []
        self.activities = AuditActivities(
            store,
            self,  # type: ignore[arg-type]
            self.file,
            AUDITOR_ADDRESS,
            self.told.append,
            lambda head: not why_ignored(head, {AUDITOR_ADDRESS.lower()}, CHAIN, VAULT),
        )

    async def sign_head(self, head: AuditHead, auditor: str) -> SignedHead:
        if self.down:
            raise SourceUnavailable("signer", "asking it")
        assert auditor == AUDITOR_ADDRESS
        return signed(head)

    async def run(self) -> AuditHeadResult:
        return await ActivityEnvironment().run(self.activities.sign_audit_head)

    async def write(self, first: int, last: int) -> None:
        await write_entries(self.store, first, last)
        await self.store.audit.seal()

    @property
    def places(self) -> list[int]:
        return [head.seq for head in self.file.read().heads]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    url = f"sqlite:///{tmp_path}/bronco.db"
    upgrade(url)
    store = Store(url, pool_size=2)
    yield Office(store, tmp_path / "kept")
    store.close()


async def test_sign_head__log_grew__is_signed_written_and_kept(office: Office) -> None:
    assert await office.run() == AuditHeadResult(seq=0)
    await office.write(1, 3)
    assert await office.run() == AuditHeadResult(seq=3, signed=True)
    await office.write(4, 9)
    assert await office.run() == AuditHeadResult(seq=9, signed=True)

    assert office.places == [3, 9]
    assert await office.store.audit.heads_from(1) == office.file.read().heads
    assert office.told == [None, None, None]


async def test_sign_head__nothing_new__writes_nothing(office: Office) -> None:
    await office.write(1, 3)
    await office.run()
    assert await office.run() == AuditHeadResult(seq=3)
    assert office.places == [3]


async def test_sign_head__past_was_rewritten__is_not_signed_for(office: Office) -> None:
    await office.write(1, 3)
    await office.run()
    await rewrite_from(office.store, 2)
    await office.write(4, 5)
    result = await office.run()
    assert (result.signed, result.seq) == (False, 3)
    assert "entry 4" in result.fault
    assert office.places == [3]
    assert office.told[-1] is not None


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2", "changed after it was sealed"),
        ("DELETE FROM audit_log WHERE seq = 2", "entry 2: missing"),
        ("DELETE FROM audit_log WHERE seq >= 5", "entry 5: missing"),
    ],
)
async def test_sign_head__what_was_signed_long_ago_was_changed__is_seen_until_it_is_right(
    office: Office, monkeypatch: pytest.MonkeyPatch, planted: str, says: str
) -> None:
    monkeypatch.setattr(auditing, "_STRETCH", 2)
    for first in (1, 4, 7):
        await office.write(first, first + 2)
        await office.run()
    assert office.places == [3, 6, 9]
    await execute(office.store, "CREATE TABLE kept AS SELECT * FROM audit_log")
    await execute(office.store, planted)

    async def seen() -> bool:
        return says in (await office.run()).fault

    # Two entries each time: nine are looked at in five runs, wherever it is just now.
    assert True in [await seen() for _ in range(6)]
    assert await seen()
    await execute(office.store, "DELETE FROM audit_log")
    await execute(office.store, "INSERT INTO audit_log SELECT * FROM kept")
    assert (await office.run()).fault == ""
    assert office.told[-1] is None


async def test_sign_head__log_shorter_than_what_was_signed__is_an_alarm(office: Office) -> None:
    await office.write(1, 3)
    old = await office.store.audit.head()
    await office.write(4, 9)
    await office.run()
    await execute(office.store, "DELETE FROM audit_log WHERE seq > 3")
    await execute(office.store, f"UPDATE locks SET version=3, note='{old.hash}' WHERE name='audit'")
    assert "entry 4: missing: a head was signed for 9" in (await office.run()).fault
    assert office.places == [9]


async def test_sign_head__file_was_put_back_from_a_copy__gets_its_heads_again(
    office: Office,
) -> None:
    for first in (1, 4, 7):
        await office.write(first, first + 2)
        await office.run()
    put_back(office, lines=1)
    assert await office.run() == AuditHeadResult(seq=9)
    assert office.places == [3, 6, 9]


@pytest.mark.parametrize("lines", [0, 1])
async def test_sign_head__file_was_put_back_and_the_log_rewritten__is_not_signed_for(
    office: Office, lines: int
) -> None:
    for first in (1, 4, 7):
        await office.write(first, first + 2)
        await office.run()
    put_back(office, lines)
    await rewrite_from(office.store, 5)
    result = await office.run()
    assert (result.signed, "entry" in result.fault) == (False, True)
    assert len(office.places) == lines


async def test_sign_head__the_database_keeps_what_is_no_head__is_left_out(office: Office) -> None:
    await office.write(1, 3)
    await office.run()
    (head,) = await office.store.audit.heads_from(1)
    await office.store.audit.keep_head(head.model_copy(update={"seq": 9}))
    row = "VALUES (8, '{}', '2026-01-05 15:30:00')"
    await execute(office.store, f"INSERT INTO audit_heads (seq, content, signed_at) {row}")
    await office.write(4, 5)
    assert await office.run() == AuditHeadResult(seq=5, signed=True)
    assert office.places == [3, 5]


def put_back(office: Office, lines: int) -> None:
    """As it was when it had so many lines."""
    kept = office.file.path.read_text().splitlines(keepends=True)
    office.file.path.write_text("".join(kept[:lines]))


async def test_sign_head__signer_down__nothing_is_written_and_no_all_clear(office: Office) -> None:
    await office.write(1, 3)
    office.down = True
    with pytest.raises(SourceUnavailable):
        await office.run()
    assert (office.places, office.told) == ([], [])


async def test_sign_head__died_before_the_store_kept_it__the_next_run_does(office: Office) -> None:
    await office.write(1, 3)
    office.file.append(signed(await office.store.audit.head()))
    assert await office.run() == AuditHeadResult(seq=3)
    assert [head.seq for head in await office.store.audit.heads_from(1)] == [3]
