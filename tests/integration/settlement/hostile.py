"""A USDT that uses up all gas when it is sent to one account, in place of the honest one."""

from tests.integration.vault.desk import Desk

_HONEST = "0x00000000000000000000000000000000000c0de0"


async def make_hostile(desk: Desk, victim: str) -> None:
    """A call whose first argument is the victim ends in INVALID; others go to the old code."""
    code = await desk.rpc.call("eth_getCode", desk.usdt, "latest")
    await desk.rpc.call("anvil_setCode", _HONEST, code)
    await desk.rpc.call("anvil_setCode", desk.usdt, _proxy(victim))


def _proxy(victim: str) -> str:
    """EVM code by hand: https://www.evm.codes."""
    account, honest = victim[2:].lower(), _HONEST[2:]
    check = f"600435_73{account}_14_60{{trap}}_57"  # calldata word 1 == victim ? jump
    forward = f"36_5f_5f_37_5f_5f_36_5f_73{honest}_5a_f4_3d_5f_5f_3e"
    end = "60{done}_57_3d_5f_fd_5b_3d_5f_f3_5b_fe"
    sizes = [
        len(part.replace("_", "").format(trap="00", done="00")) // 2
        for part in (check, forward, end)
    ]
    start = sizes[0] + sizes[1]
    done, trap = start + 6, start + 10
    joined = "_".join((check, forward, end)).replace("_", "")
    return "0x" + joined.format(trap=f"{trap:02x}", done=f"{done:02x}")
