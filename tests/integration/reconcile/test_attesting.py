"""`bronco attest`: from the broker's account to the monitor, and what reconcile makes of it."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from bronco.attestor import Attestor, SharesOf
from bronco.cli.backing import read_backing, write_backing
from bronco.devchain import ADMIN, FIRST_USER, SETTLER, dev_key
from clients.attesting import MONITOR
from clients.keys import account_of
from clients.vault import VAULT
from models.assets import Asset
from models.errors import Conflict, InvalidInput, SourceUnavailable
from tests.integration.broker.desk import ACCOUNT, client_of, settings, simulator, ticket
from tests.integration.reconcile.office import Office
from tests.integration.settlement.rig import Rig
from tests.integration.vault.desk import SHARE, Desk
from tests.keystores import write_keystore
from tests.shell import Inline, Ran
from tests.waiting import eventually

KEYS = {index: account_of(dev_key(index)) for index in (ADMIN, SETTLER, FIRST_USER)}


class Attesting:
    """The command, with a keystore for each of some dev accounts."""

    def __init__(self, office: Office, directory: Path, **changes: str) -> None:
        chain = office.rig.desk.chain
        self.desk = office.rig.desk
        self.directory = directory
        environment = chain.variables() | {"BRONCO_CHAIN_RPC_URLS": self.desk.rpc.url} | changes
        self.shell = Inline(directory, environment)
        self.keys = {index: write_keystore(directory, index) for index in (ADMIN, SETTLER)}

    async def __call__(self, *arguments: str, key: int = ADMIN, **changes: str) -> Ran:
        await a_second_later(self.desk)
        return await self.shell("attest", "AAPL", *self.keys[key], *arguments, **changes)

    async def kept(self) -> int:
        return await kept(self.desk)


@pytest.fixture
async def office(rig: Rig) -> AsyncIterator[Office]:
    made = Office(rig, watched=True)
    yield made
    await made.end_all()


@pytest.fixture
def attest(office: Office, tmp_path: Path) -> Attesting:
    return Attesting(office, tmp_path)


def attestor(office: Office) -> Attestor:
    return Attestor(office.rig.vault, office.rig.desk.chain.monitor, split_margin=30.0)


def asset_of(desk: Desk) -> Asset:
    return Asset(symbol="AAPL", token=desk.share, feed=desk.feed)


def holding(shares: int) -> SharesOf:
    async def held() -> int:
        return shares

    return held


async def a_second_later(desk: Desk) -> None:
    """So that the second before the newest block has all that was done until now."""
    await desk.warp_to((await desk.head()).timestamp + 2)


async def kept(desk: Desk) -> int:
    return await desk.alice.read(MONITOR, desk.chain.monitor, "attestations", desk.share)


async def alarms(office: Office) -> list[str]:
    await office.run()
    await office.run()
    return [kind for kind in office.report.standing if kind not in ("ROW", "POSITION")]


async def test_attest__posted_twice__is_kept_once_and_covers(
    office: Office, attest: Attesting
) -> None:
    await office.rig.desk.holder(office.rig.desk.alice, 3)
    posted = await attest("--shares", "3", "--post", "--yes", "--json")
    assert posted.code == 0, posted.error
    assert posted.json["tx_hash"].startswith("0x")
    assert await attest.kept() == 3 * SHARE
    assert await alarms(office) == []

    same = ("--shares", "3", "--time", str(posted.json["time"]))
    there = await attest(*same, "--post", "--yes")
    assert (there.code, there.out.splitlines()[-1]) == (
        0,
        "this very attestation is there already",
    )
    assert await attest.kept() == 3 * SHARE


async def test_attest__another_word_about_the_same_time__is_refused(office: Office) -> None:
    made, asset = attestor(office), asset_of(office.rig.desk)
    await a_second_later(office.rig.desk)
    draft = await made.draft(asset, holding(3))
    signer = str(KEYS[ADMIN].address)
    assert not await made.is_there(draft, signer)
    call = made.signed(draft, KEYS[ADMIN])
    await office.rig.desk.carol.transact("attest", made.monitor.address, call)
    assert await made.is_there(draft, signer)
    for shares, ago in ((4, 0), (3, 1)):
        other = await made.draft(asset, holding(shares), draft.attestation.time - ago)
        with pytest.raises(Conflict, match=f"attested {3 * SHARE} token units"):
            await made.is_there(other, signer)


async def test_attest__fewer_than_minted__is_an_alarm(office: Office) -> None:
    desk = office.rig.desk
    await desk.holder(desk.alice, 3)
    await a_second_later(desk)
    made = attestor(office)
    draft = await made.draft(asset_of(desk), holding(2))
    data = made.signed(draft, KEYS[ADMIN])
    assert await kept(desk) == 0
    await desk.carol.transact("attest", made.monitor.address, data)
    assert await kept(desk) == 2 * SHARE
    assert await alarms(office) == ["SUPPLY_UNCOVERED"]


@pytest.mark.parametrize(("key", "may"), [(ADMIN, True), (FIRST_USER, False), (SETTLER, False)])
async def test_attest__by_key__is_for_who_has_the_role(office: Office, key: int, may: bool) -> None:
    desk = office.rig.desk
    role = keccak(text="ATTESTOR_ROLE")
    await desk.admin.send(VAULT, desk.address, "grantRole", role, desk.settler.address)
    made = attestor(office)
    draft = await made.draft(asset_of(desk), holding(7))
    with nullcontext() if may else pytest.raises(InvalidInput, match="ATTESTOR_ROLE"):
        await made.must_be_allowed(str(KEYS[key].address), draft)


async def test_attest__with_the_settlers_key__signs_nothing(attest: Attesting) -> None:
    refused = await attest("--shares", "7", "--yes", key=SETTLER)
    assert (refused.code, refused.out) == (1, "")
    assert "BRONCO_SIGNER_ADDRESS" in refused.error


async def test_attest__around_a_split__waits_and_then_counts_new_shares(office: Office) -> None:
    """Ten new shares are two and a half tokens of four."""
    desk = office.rig.desk
    made, asset = attestor(office), asset_of(desk)
    at = await desk.split(4, 1, seconds=1000)
    assert (await made.draft(asset, holding(3))).attestation.backed == 3 * SHARE
    for moment in (at - 29, at, at + 29):
        await desk.warp_to(moment)
        with pytest.raises(SourceUnavailable, match="around a split"):
            await made.draft(asset, holding(10))
    await desk.warp_to(at + 60)
    assert (await made.draft(asset, holding(10))).attestation.backed == 5 * SHARE // 2
    before = await made.draft(asset, holding(10), at - 100)
    assert before.attestation.backed == 10 * SHARE


async def test_attest__short_at_the_broker__is_nothing_held(office: Office) -> None:
    draft = await attestor(office).draft(asset_of(office.rig.desk), holding(-3))
    assert (draft.shares, draft.attestation.backed) == (-3, 0)


async def test_status__shows_backed_minted_and_age(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = office.rig.desk
    assert await read_backing() == []
    for name, value in desk.chain.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BRONCO_CHAIN_RPC_URLS", desk.rpc.url)
    (never,) = await read_backing()
    assert (never["age"], never["problem"]) == (None, "nobody has attested what backs it")
    await desk.holder(desk.alice, 3)
    await a_second_later(desk)
    made = attestor(office)
    draft = await made.draft(asset_of(desk), holding(2))
    await desk.carol.transact("attest", made.monitor.address, made.signed(draft, KEYS[ADMIN]))
    await desk.warp_to(draft.attestation.time + 86_401)
    (old,) = await read_backing()
    assert old == {
        "symbol": "AAPL",
        "backed": str(2 * SHARE),
        "minted": str(3 * SHARE),
        "age": 86_401,
        "problem": "attested 86401 s ago, allowed are 86400",
    }
    write_backing([old])
    assert "86401 s ago" in capsys.readouterr().out


async def test_attest__what_the_broker_holds__is_asked_and_shown(
    office: Office, tmp_path: Path
) -> None:
    async with simulator() as server:
        async with client_of(settings(server.port), tmp_path) as client:
            await client.place(ticket(5), 10.0)

            async def filled() -> bool:
                return [one.quantity for one in await client.positions()] == [5]

            await eventually(filled)
        attest = Attesting(
            office,
            tmp_path,
            BRONCO_BROKER_PORT=str(server.port),
            BRONCO_BROKER_ACCOUNT_ID=str(ACCOUNT),
        )
        posted = await attest("--post", "--yes", "--json")
    assert posted.code == 0, posted.error
    assert (posted.json["shares"], posted.json["backed"]) == (5, str(5 * SHARE))
    assert await attest.kept() == 5 * SHARE
