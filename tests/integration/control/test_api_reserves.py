"""GET /reserves: the newest statement, as it was measured."""

from models.access import Role
from tests.builders import statement
from tests.integration.control.keys import app_of, client_of, new_api_key
from tests.integration.control.rig import ControlRig


async def test_reserves__never_measured_and_then_measured__are_404_and_shown(
    idle_rig: ControlRig,
) -> None:
    viewer = await new_api_key(idle_rig.store, Role.VIEWER)
    async with client_of(app_of(idle_rig)) as http:
        assert (await http.get("/reserves")).status_code == 401
        assert (await http.get("/reserves", headers=viewer)).status_code == 404
        made = statement()
        await idle_rig.store.reserves.record(made)
        answer = await http.get("/reserves", headers=viewer)
    shown = answer.json()
    assert answer.status_code == 200, shown
    assert shown["usdt"]["vault_units"] == str(made.usdt.vault_units)
    assert shown["shares"][0]["cover"] == "COVERED"
    assert shown["taken_at"].endswith("Z")
