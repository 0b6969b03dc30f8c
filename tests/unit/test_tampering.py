"""Whoever tampers with the audit log is found out, wherever and however it was done."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bronco.audited import Outside, examine, gathered, sift
from clients.head_file import HeadFile, KeptHeads
from clients.store import Store, upgrade
from models.audit import SignedHead
from models.drafts import AuditDraft, AuditHead
from tests.auditing import AUDITOR_ADDRESS, signed
from tests.contracts.builders import CHAIN, NOW, VAULT, later, request_id
from tests.contracts.records import execute
from tests.tampering import KINDS, Log, Vandal


class Scene(NamedTuple):
    store: Store
    vandal: Vandal
    log: Log
    heads: list[SignedHead]


async def scene(tmp_path: Path, entries: int, chance: random.Random) -> Scene:
    """A log of so many entries; its end and every tenth place or so have signed heads."""
    url = f"sqlite:///{tmp_path}/bronco.db"
    upgrade(url)
    store = Store(url, pool_size=1)
    for number in range(1, entries + 1):
        draft = AuditDraft(
            f"k{number}", "did", request_id(number % 7), data={"n": number, "usdt": str(10**18)}
        )
        await store.audit.append(draft, NOW)
    await store.audit.seal(entries)
    rows = await store.audit.sealed(0, entries, entries)
    places = sorted({entries, *chance.sample(range(1, entries), entries // 10)})
    heads = [signed(AuditHead(n, rows[n - 1].hash)) for n in places]
    return Scene(store, Vandal(tmp_path / "bronco.db"), Log(rows, await store.audit.head()), heads)


async def hunt(kind: str, entries: int, places: int, tmp_path: Path) -> None:
    """Tamper so often, each time with the whole log, and see that each is found where it is."""
    chance = random.Random(f"{kind} {entries}")
    made = await scene(tmp_path, entries, chance)
    heads = [head.seq for head in made.heads]
    anchors = [head.head for head in made.heads]
    chosen = chance.sample(range(1, entries + 1), places)
    try:
        for place in chosen:
            tampered = KINDS[kind](made.log, heads, place, chance)
            made.vandal.put(tampered.log)
            fault = await made.store.audit.verify(anchors)
            assert fault is not None, f"{kind} at {place} was not found"
            named = f"{kind} at {place}: {fault}"
            assert tampered.first <= fault.seq <= tampered.last, named
        made.vandal.put(made.log)
        assert await made.store.audit.verify(anchors) is None
    finally:
        made.vandal.close()
        made.store.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_tampering__sixty_places__each_is_found_and_named(kind: str, tmp_path: Path) -> None:
    await hunt(kind, 60, 60, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
async def test_tampering__thousand_places__each_is_found_and_named(
    kind: str, tmp_path: Path
) -> None:
    await hunt(kind, 1_000, 1_000, tmp_path)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Scene]:
    made = await scene(tmp_path, 20, random.Random(1))
    yield made
    made.vandal.close()
    made.store.close()


def sifted(*heads: SignedHead, signers: tuple[str, ...] = (AUDITOR_ADDRESS,)) -> Outside:
    return sift([("file", KeptHeads(list(heads), []))], signers, CHAIN, VAULT)


async def test_examine__heads_that_count__are_found(small: Scene) -> None:
    report = await examine(small.store.audit, sifted(*small.heads), NOW)
    assert (report.whole, report.problems) == (True, [])
    assert report.verdict.heads == len(small.heads)


async def test_examine__without_heads__says_what_it_cannot_tell(small: Scene) -> None:
    report = await examine(small.store.audit, sifted(), NOW)
    assert report.whole
    assert ["cut off" in problem for problem in report.problems] == [True]


async def test_examine__file_of_heads_was_put_back__says_what_nobody_signed_for(
    small: Scene,
) -> None:
    """Behind the newest head anything can be rewritten, and its hashes with it."""
    old = [head for head in small.heads if head.seq < 20]
    within = await examine(small.store.audit, sifted(*old), later(9 * 60))
    assert within.problems == []
    report = await examine(small.store.audit, sifted(*old), later(11 * 60))
    first = old[-1].seq + 1
    assert [f"for entry {first} of" in problem for problem in report.problems] == [True]


async def test_gathered__rewritten_behind_the_files_last_head__the_databases_own_tell(
    small: Scene,
) -> None:
    for head in small.heads:
        await small.store.audit.keep_head(head)
    old = [head for head in small.heads if head.seq < 20]
    places = [head.seq for head in old]
    changed = KINDS["recomputed hashes"](small.log, places, old[-1].seq + 1, random.Random(1))
    small.vandal.put(changed.log)
    kept = [("file", KeptHeads(old, []))]
    outside = await gathered(small.store.audit, kept, [AUDITOR_ADDRESS], CHAIN, VAULT)
    report = await examine(small.store.audit, outside, NOW)
    assert not report.whole


async def test_examine__a_place_taken_twice__is_found(tmp_path: Path) -> None:
    """Whoever drops the index can put a row beside the last one of a page."""
    made = await scene(tmp_path, 1_001, random.Random(1))
    statements = (
        "CREATE TABLE copied AS SELECT * FROM audit_log",
        "DROP TABLE audit_log",
        "ALTER TABLE copied RENAME TO audit_log",
        "INSERT INTO audit_log SELECT * FROM audit_log WHERE seq = 1000",
        "UPDATE audit_log SET id = 99999, action = 'order.settled' WHERE rowid = 1002",
    )
    for statement in statements:
        await execute(made.store, statement)
    fault = await made.store.audit.verify([head.head for head in made.heads])
    assert fault is not None
    assert (fault.seq, fault.problem) == (1_000, "its place is taken")
    made.vandal.close()
    made.store.close()


def test_sift__forged_or_foreign_heads__do_not_count() -> None:
    good = signed(AuditHead(3, "a" * 64))
    stranger = signed(good.head, index=7)
    posing = stranger.model_copy(update={"signer": AUDITOR_ADDRESS})
    elsewhere = good.model_copy(update={"chain_id": 5})
    found = sifted(good, stranger, posing, elsewhere)
    assert found.heads == [good]
    words = " ".join(found.problems)
    assert all(part in words for part in ("whose word", "signer's signature", "on chain 5"))
    assert len(sifted(good, stranger, signers=(AUDITOR_ADDRESS, stranger.signer)).heads) == 2


def test_audit_verify__tampered_log__names_the_row_and_fails(
    small: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bronco.cli import run

    file = HeadFile(tmp_path / "kept", CHAIN, VAULT)
    for head in small.heads:
        file.append(head)
    monkeypatch.setenv("BRONCO_DATABASE_URL", f"sqlite:///{tmp_path}/bronco.db")
    monkeypatch.setenv("BRONCO_CHAIN_VAULT", VAULT)
    monkeypatch.setenv("BRONCO_AUDIT_DIRECTORY", str(tmp_path / "kept"))
    monkeypatch.setenv("BRONCO_AUDIT_ADDRESS", AUDITOR_ADDRESS)
    assert run(["audit", "verify"]) == 0
    assert "whole: 20 entries" in capsys.readouterr().out

    tampered = KINDS["changed field"](small.log, [], 13, random.Random(3)).log
    small.vandal.put(tampered)
    assert run(["audit", "verify", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["fault"]["seq"]) == (False, 13)
    assert told["fault"]["row"] == tampered.rows[12].id

    small.vandal.put(small.log)
    monkeypatch.delenv("BRONCO_AUDIT_DIRECTORY")
    assert run(["audit", "verify"]) == 3
    assert run(["audit", "verify", "--heads", str(file.path)]) == 0
