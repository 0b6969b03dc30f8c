"""What is attested to be held, against what was minted: on a real chain, through reconcile."""

from collections.abc import AsyncIterator

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from bronco.devchain import ADMIN, dev_key
from clients.approvals import signable
from clients.attesting import MONITOR, Attestation, attestation_data
from clients.vault import VAULT
from models.broker import BrokerStatus
from models.requests import VaultRequest
from tests.integration.reconcile.office import Office
from tests.integration.settlement.rig import Rig
from tests.integration.vault.desk import DOLLAR, SHARE, Desk, bought, refund, sold

DAY = 86_400


@pytest.fixture
async def office(rig: Rig) -> AsyncIterator[Office]:
    made = Office(rig, watched=True)
    yield made
    await made.end_all()


async def attest(desk: Desk, backed: int) -> int:
    """Attested by the admin, the attestor of dev chains, as held when the newest block was mined.

    A block is mined first, so that no later one is of the same second.
    """
    await desk.rpc.call("evm_mine")
    time = (await desk.head()).timestamp
    await desk.warp_to(time + 1)
    said = Attestation(desk.share, backed, time)
    monitor = desk.chain.monitor
    data = attestation_data(said, chain_id=desk.chain.chain_id, monitor=monitor)
    signature = bytes(Account.sign_message(signable(data), dev_key(ADMIN)).signature)
    given = (said.token, said.backed, said.time, desk.admin.address, signature)
    await desk.bob.send(MONITOR, monitor, "attest", *given)
    return time


async def grown(desk: Desk, shares: int) -> None:
    """So many more tokens, minted as a settler mints."""
    await desk.holder(desk.alice, shares)


async def supply_kinds(office: Office) -> list[str]:
    """What two runs find wrong with the backing, and what alarms it made."""
    await office.run()
    await office.run()
    kinds = ("ATTESTATION_OLD", "SUPPLY_UNCOVERED", "SUPPLY_UNKNOWN")
    return [kind for kind in kinds if office.report.standing.get(kind)]


async def redeeming(office: Office, shares: int, filled: int) -> VaultRequest:
    """A redeem of alice's, of which so many shares are sold."""
    request = await office.rig.desk.redeem(office.rig.desk.alice, shares * SHARE)
    await office.admitted(request)
    await office.started(request)
    await office.claimed(request, shares)
    status = BrokerStatus.FILLED if filled == shares else BrokerStatus.PART_FILLED
    await office.reported(request, filled, status, quantity=shares)
    return request


async def test_supply__attested_as_held__is_no_alarm_also_after_later_mints(
    office: Office,
) -> None:
    """What is minted after the attestation is not held against it."""
    desk = office.rig.desk
    await grown(desk, 3)
    await attest(desk, 3 * SHARE)
    await grown(desk, 2)
    assert await supply_kinds(office) == []


async def test_supply__more_minted_than_attested__is_uncovered_until_attested_anew(
    office: Office,
) -> None:
    desk = office.rig.desk
    await grown(desk, 3)
    await attest(desk, 3 * SHARE - 1)
    assert await supply_kinds(office) == ["SUPPLY_UNCOVERED"]
    (alarm,) = [key for kind, key in office.report.alarms if kind == "SUPPLY_UNCOVERED"]
    assert alarm == "uncovered:US.AAPL"
    await attest(desk, 3 * SHARE)
    assert await supply_kinds(office) == []


async def test_supply__bought_and_not_minted_yet__is_more_than_covered(office: Office) -> None:
    desk = office.rig.desk
    (request,) = await office.rig.deposits(1)
    await attest(desk, SHARE)
    await desk.settle([bought(request, 1)])
    assert await supply_kinds(office) == []


async def test_supply__sold_and_not_burned_then__is_allowed_for_before_and_after_the_burn(
    office: Office,
) -> None:
    desk = office.rig.desk
    await grown(desk, 5)
    request = await redeeming(office, 2, 2)
    await attest(desk, 3 * SHARE)
    assert await supply_kinds(office) == []
    await desk.settle([sold(request, 2)])
    assert await desk.supply() == 3 * SHARE
    assert await supply_kinds(office) == []


async def test_supply__sold_for_a_redeem_that_had_ended__is_not_allowed_for(
    office: Office,
) -> None:
    """Its tokens went back to their owner: the house sold what it did not have."""
    desk = office.rig.desk
    await grown(desk, 5)
    request = await redeeming(office, 2, 2)
    await desk.settle([], [refund(request)])
    await attest(desk, 3 * SHARE)
    assert await supply_kinds(office) == ["SUPPLY_UNCOVERED"]


async def test_supply__escrowed_for_a_redeem_but_not_sold__is_not_allowed_for(
    office: Office,
) -> None:
    """Else whoever mints out of nothing would hide it by redeeming what was minted."""
    desk = office.rig.desk
    await grown(desk, 5)
    await redeeming(office, 2, 1)
    await attest(desk, 3 * SHARE)
    assert await supply_kinds(office) == ["SUPPLY_UNCOVERED"]
    await attest(desk, 4 * SHARE)
    assert await supply_kinds(office) == []


async def test_supply__the_book_is_stale__nothing_is_called_uncovered(office: Office) -> None:
    """A sale that nobody has read yet must not look like tokens out of nothing."""
    desk = office.rig.desk
    await grown(desk, 3)
    await attest(desk, SHARE)
    office.book_is_read = False
    assert await supply_kinds(office) == []
    assert "BOOK_STALE" in office.report.kinds


async def test_supply__its_ratio_cannot_be_read__is_not_judged(office: Office) -> None:
    """Then its orders are not counted either, and what they sold would seem to be missing."""
    desk = office.rig.desk
    await grown(desk, 5)
    await redeeming(office, 2, 2)
    await attest(desk, 3 * SHARE)
    await desk.configure_asset(feed=desk.feed)
    assert await supply_kinds(office) == []
    assert office.report.standing["RATIO_UNREAD"] == 1


async def test_attestation__none_then_fresh_then_old__is_told(office: Office) -> None:
    desk = office.rig.desk
    assert await supply_kinds(office) == ["ATTESTATION_OLD"]
    time = await attest(desk, 0)
    assert await supply_kinds(office) == []
    await desk.warp_to(time + DAY)
    assert await supply_kinds(office) == []
    await desk.warp_to(time + DAY + 1)
    assert await supply_kinds(office) == ["ATTESTATION_OLD"]


@pytest.mark.parametrize(
    ("call", "role"), [("revokeRole", "ATTESTOR_ROLE"), ("grantRole", "SETTLER_ROLE")]
)
async def test_attestation__its_attestor_may_no_more__counts_as_none(
    office: Office, call: str, role: str
) -> None:
    desk = office.rig.desk
    await grown(desk, 1)
    await attest(desk, SHARE)
    assert await supply_kinds(office) == []
    await desk.admin.send(VAULT, desk.address, call, keccak(text=role), desk.admin.address)
    assert await supply_kinds(office) == ["ATTESTATION_OLD"]


async def test_supply__another_block_took_the_place_of_the_one_compared__is_read_again(
    office: Office,
) -> None:
    desk = office.rig.desk
    await grown(desk, 1)
    before = await desk.rpc.call("evm_snapshot")
    await attest(desk, SHARE)
    assert await supply_kinds(office) == []
    await desk.rpc.call("evm_revert", before)
    await grown(desk, 1)
    (request,) = await office.rig.deposits(1, 400 * DOLLAR)
    await desk.settle([bought(request, 1)])
    await attest(desk, SHARE)
    assert await supply_kinds(office) == ["SUPPLY_UNCOVERED"]
