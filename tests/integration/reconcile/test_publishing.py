"""The published statement: signed after own reads, verified with a node, refused when touched."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bronco.devchain import ADMIN, FIRST_USER, dev_key
from bronco.publishing import BrokerWord, Publisher, verify
from clients.keys import account_of
from clients.reserve_file import LATEST, ReserveFolder, read_attested, really_attested
from models.assets import Asset
from models.errors import Conflict, InvalidInput, SourceUnavailable
from models.reserves import Reserves
from models.splits import SharesPerToken
from tests.integration.reconcile.office import SYMBOL, Office
from tests.integration.reconcile.test_reconcile import executed, placed

ATTESTOR, STRANGER = account_of(dev_key(ADMIN)), account_of(dev_key(FIRST_USER))


def publisher(office: Office, folder: Path, held: int, today: int = 0) -> Publisher:
    chain = office.rig.desk.chain
    asset = Asset(symbol=SYMBOL, token=chain.shares["AAPL"], feed=chain.feeds["AAPL"])

    async def ask() -> BrokerWord:
        return BrokerWord({SYMBOL: held}, {SYMBOL: today})

    return Publisher(office.store, office.rig.vault, ReserveFolder(folder), [asset], ask)


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


async def restated(office: Office, change: Callable[[Reserves], dict[str, Any]]) -> None:
    """Whoever can write the desk's database says something else."""
    told = await office.store.reserves.latest()
    assert told is not None
    later = {"taken_at": told.taken_at + timedelta(microseconds=1)}
    await office.store.reserves.record(told.model_copy(update=later | change(told)))


def money(**changes: Any) -> Callable[[Reserves], dict[str, Any]]:
    return lambda told: {"usdt": told.usdt.model_copy(update=changes)}


def share(**changes: Any) -> Callable[[Reserves], dict[str, Any]]:
    return lambda told: {"shares": (told.shares[0].model_copy(update=changes),)}


SPLIT = SharesPerToken(numerator=4, denominator=1, epoch=1)
LIES: dict[str, tuple[Callable[[Reserves], dict[str, Any]], str]] = {
    "balance": (money(vault_units=1), "vault_units"),
    "liabilities": (money(liabilities_units=1), "liabilities_units 0, stated 1"),
    "free": (money(free_units=10**15), "free_units"),
    "fees": (money(fees_units=10**15), "fees_units"),
    "floor": (money(floor_units=10**15), "floor_units"),
    "decimals": (money(decimals=2), "decimals 6, stated 2"),
    "float": (lambda told: {"float": told.float.model_copy(update={"usdt_units": 7})}, "float"),
    "units held": (share(held_units=10**24), "1 US.AAPL stand for 1000000000000000000 units"),
    "ratio": (share(shares_per_token=SPLIT), "a token of US.AAPL is"),
    "held": (share(held=5_000, in_flight=5_000), "5000 US.AAPL are stated, the broker holds 1"),
    "none": (lambda _: {"shares": ()}, "other tokens"),
    "twice": (lambda told: {"shares": told.shares * 2}, "other tokens"),
    "another": (share(symbol="US.TSLA"), "other tokens"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_publish__the_database_was_changed__signs_nothing(
    office: Office, tmp_path: Path, lie: str
) -> None:
    await measured(office)
    change, says = LIES[lie]
    await restated(office, change)
    with pytest.raises(Conflict, match=says):
        await publisher(office, tmp_path, 1, today=3).publish(ATTESTOR)
    assert not (tmp_path / LATEST).exists()


async def test_publish__an_order_moves_it__is_signed_as_far_as_the_broker_lists_one(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    await restated(office, share(in_flight=2))
    with pytest.raises(Conflict, match="the broker holds 3 now"):
        await publisher(office, tmp_path, 3, today=1).publish(ATTESTOR)
    await publisher(office, tmp_path, 3, today=2).publish(ATTESTOR)


async def test_verify__more_in_the_file_than_was_signed__is_no_statement(
    office: Office, tmp_path: Path
) -> None:
    await measured(office)
    await publisher(office, tmp_path, 1).publish(ATTESTOR)
    signed = json.loads((tmp_path / LATEST).read_text())
    signed["statement"]["usdt"]["surplus_units"] = "999999999999"
    (tmp_path / "more.json").write_text(json.dumps(signed))
    with pytest.raises(InvalidInput, match="surplus_units"):
        read_attested(tmp_path / "more.json")


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
