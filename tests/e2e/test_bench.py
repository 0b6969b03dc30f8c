"""`bronco bench orders`: it measures a stack of its own, from the first block to the last."""

import os
from pathlib import Path

import pytest

from tests.shell import Shell


@pytest.mark.soak  # a stack of its own
@pytest.mark.usefixtures("alone")
async def test_bench__few_orders__measures_each_of_its_numbers(tmp_path: Path) -> None:
    bronco = Shell(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    ran = await bronco("bench", "orders", "--count", "3", "--singles", "1", "--json")
    assert ran.code == 0, ran.error
    found = ran.json
    assert (found["orders"], found["single_orders"]) == (3, 1)
    # A batch shares what each of its items would cost alone.
    assert 0 < found["gas_per_settlement"]["20"] < found["gas_per_settlement"]["1"]
    assert found["floor_per_s"] > 0
    assert found["orders_per_s"] > 0
