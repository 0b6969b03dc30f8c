"""Every call a desk makes, from a program that knows futu-api and nothing of ours."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from simulators.opend.control import SimulatorControl
from tests.integration.broker.desk import ACCOUNT, simulator

PROGRAM = Path(__file__).with_name("a_day.py")
ENDS_WITHIN_SECONDS = 60


async def test_day__plain_futu_api_program__every_call_is_answered(tmp_path: Path) -> None:
    async with simulator(price_interval_seconds=0.1) as server:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(PROGRAM), str(server.port)],
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_SECONDS,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        control = SimulatorControl(server.control_port)
        orders, account = await control.orders(), await control.account()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    bid, ask = told.pop("snapshot")
    assert 180 < bid < ask < 200
    assert "unlock" in told.pop("locked").lower()
    assert told == {
        "subscribe": [0, None],
        "quote push": True,
        "global state": [0, "AFTERNOON", True],
        "accounts": [[1002, "SIMULATE"], [281756479999, "REAL"]],
        "funds": 1_000_000.0,
        "order push": True,
        "positions": ["US.AAPL", 10.0],
        "modify": True,
        "cancel": True,
        "cancel all": 0,
        "order list": True,
        "history": True,
        "unlock": 0,
        "unlocked": 0,
    }
    paper = [order for order in orders if order.account == ACCOUNT]
    assert [(order.status, order.quantity) for order in paper] == [
        ("FILLED_ALL", 10),
        ("CANCELLED_ALL", 20),
        ("CANCELLED_ALL", 10),
        ("CANCELLED_ALL", 10),
    ]
    assert account.positions == {"AAPL": 10}
