"""What is attested to be held for a token, beside what is minted of it."""

from typing import Any

import pytest
from eth_utils.crypto import keccak

from bronco.deployment import DevChainPlan
from clients.attesting import MONITOR
from models.money import SHARE_SCALE
from tests.integration.vault.office import Office
from tests.integration.vault.reverts.monitor import attesting
from tests.integration.vault.revm import Reverted

DAY = 86_400


def supply(office: Office) -> tuple[Any, ...]:
    data = bytes.fromhex(MONITOR.calldata("supplyOf", office.share)[2:])
    answer = office.revm.view(office.dev.monitor, data)
    return MONITOR.decode_result("supplyOf", "0x" + answer.hex())


async def test_supply__attested__is_told_beside_what_is_minted_until_it_is_old() -> None:
    office = Office(DevChainPlan(attestation_seconds=DAY))
    await office.holder(office.alice, 3)
    assert supply(office) == (0, 3 * SHARE_SCALE, False)
    office.tell_monitor(attesting(office, backed=3 * SHARE_SCALE).args)
    assert supply(office) == (3 * SHARE_SCALE, 3 * SHARE_SCALE, True)
    office.revm.warp_to(office.revm.now + DAY)
    assert supply(office)[2]
    office.revm.warp_to(office.revm.now + 1)
    assert not supply(office)[2]


@pytest.mark.parametrize(
    ("call", "role"), [("revokeRole", "ATTESTOR_ROLE"), ("grantRole", "SETTLER_ROLE")]
)
async def test_attestation__of_one_who_may_attest_no_more__is_not_fresh(
    call: str, role: str
) -> None:
    """Neither one who lost the role, nor one who has come to mint."""
    office = Office()
    office.tell_monitor(attesting(office, backed=5).args)
    assert supply(office)[2]
    office.revm.call(office.dev.admin, call, keccak(text=role), office.dev.admin)
    assert supply(office)[::2] == (5, False)


async def test_attestation__carried_late__does_not_replace_a_newer_one() -> None:
    """Else anybody could bring back an older and higher one that is still fresh."""
    office = Office()
    office.revm.warp_to(office.revm.now + 100)
    office.tell_monitor(attesting(office, backed=9, ago=60).args)
    office.tell_monitor(attesting(office, backed=5, ago=50).args)
    assert supply(office)[0] == 5
    late = attesting(office, backed=9, ago=55)
    with pytest.raises(Reverted) as refused:
        office.tell_monitor(late.args)
    assert refused.value.name == "Superseded"
    assert supply(office)[0] == 5


async def test_guardian__sees_less_than_is_minted__stops_it_all() -> None:
    """It gates nothing by itself: the guardian's two calls do."""
    office = Office()
    await office.holder(office.alice, 3)
    office.tell_monitor(attesting(office, backed=2 * SHARE_SCALE).args)
    backed, minted, fresh = supply(office)
    assert fresh
    assert backed < minted
    office.revm.call(office.dev.guardian, "pause")
    office.revm.call(office.dev.guardian, "suspendSettler", office.dev.settler)
    assert office.revm.read("paused")
