"""The published statement: signed after own reads, verified with a node, refused when touched."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bronco.devchain import ADMIN, FIRST_USER, dev_key
from bronco.publishing import Publisher, verify
from clients.keys import account_of
from clients.reserve_file import LATEST, ReserveFolder, read_attested, really_attested
from models.errors import Conflict, SourceUnavailable
from tests.integration.reconcile.office import SYMBOL, Office
from tests.integration.reconcile.test_reconcile import executed, placed

ATTESTOR, STRANGER = account_of(dev_key(ADMIN)), account_of(dev_key(FIRST_USER))


def publisher(office: Office, folder: Path, held: int) -> Publisher:
    async def holdings() -> Mapping[str, int]:
        return {SYMBOL: held}

    return Publisher(office.store, office.rig.vault, ReserveFolder(folder), holdings)


async def measured(office: Office) -> None:
    """One share bought for one token; one run of reconcile."""
    await executed(office, await placed(office, 1))
    office.broker.shares = 1
    await office.run()


async def test_publish__as_chain_and_broker_say__verifies_until_one_digit_is_changed(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    made = await publisher(office, tmp_path, 1).publish(ATTESTOR)
    latest = tmp_path / LATEST
    assert read_attested(latest) == made
    checks = await verify(read_attested(latest), office.rig.vault)
    assert checks == [("signature", ""), ("attestor", ""), ("chain", "")]
    text = latest.read_text()
    for field in ("vault_units", "issued_units", "usd_cents"):
        (tmp_path / "changed.json").write_text(_changed(text, field))
        ((what, why),) = await verify(read_attested(tmp_path / "changed.json"), office.rig.vault)
        assert (what, bool(why)) == ("signature", True), field


async def test_publish__signed_by_who_may_not__does_not_verify(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    made = await publisher(office, tmp_path, 1).publish(STRANGER)
    assert really_attested(made)
    checks = dict(await verify(made, office.rig.vault))
    assert checks["signature"] == ""
    assert "may attest no more" in checks["attestor"]


async def test_publish__the_broker_says_otherwise__signs_nothing(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    with pytest.raises(Conflict, match=f"1 {SYMBOL} are stated, the broker holds 0 now"):
        await publisher(office, tmp_path, 0).publish(ATTESTOR)
    assert not (tmp_path / LATEST).exists()


async def test_publish__the_database_was_changed__signs_nothing(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    told = await office.store.reserves.latest()
    assert told is not None
    money = told.usdt.model_copy(update={"vault_units": told.usdt.vault_units + 1})
    later = told.model_copy(
        update={"usdt": money, "taken_at": told.taken_at + timedelta(microseconds=1)}
    )
    await office.store.reserves.record(later)
    with pytest.raises(Conflict, match="the vault's balance"):
        await publisher(office, tmp_path, 1).publish(ATTESTOR)


async def test_publish__not_all_was_measured__signs_nothing(office: Office, tmp_path: Path) -> None:
    office.broker.shares = None
    await office.run()
    with pytest.raises(SourceUnavailable, match="not all of it was measured"):
        await publisher(office, tmp_path, 0).publish(ATTESTOR)


def _changed(text: str, field: str) -> str:
    """One digit more than what was signed."""
    found = json.loads(text)
    statement = found["statement"]
    for part in (statement["usdt"], statement["float"], statement["shares"][0]):
        if field in part:
            part[field] = str(int(part[field]) + 1)
            return json.dumps(found)
    raise AssertionError(field)
