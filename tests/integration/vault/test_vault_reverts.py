"""Every revert that any external function of our contracts can reach is seen, or said to be none.

Which there are is read from the sources' syntax tree (contracts/reverts.mjs), not from the cases.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bronco.processes import require_program
from tests.integration.vault.office import Office
from tests.integration.vault.reverts import (
    asking,
    delays,
    governing,
    money,
    monitor,
    reference,
    tokens,
)
from tests.integration.vault.reverts.table import CASES, CONTRACTS, NEVER, Pair, perform
from tests.integration.vault.revm import Reverted

ROOT = Path(__file__).parents[3]
TABLES = (asking, delays, governing, money, monitor, reference, tokens)
"""Importing them fills CASES."""
READING = ("view", "pure")


@pytest.fixture(scope="module")
def reachable() -> dict[str, dict[str, list[str]]]:
    """Errors by contract and function, as the sources have them now."""
    node = require_program("node", "run `make setup`")
    script = ROOT / "contracts" / "reverts.mjs"
    told = subprocess.run([node, script], capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, list[str]]] = json.loads(told)
    return found


@pytest.fixture(scope="module")
def opened() -> Office:
    return Office()


@pytest.fixture
def office(opened: Office) -> Iterator[Office]:
    snapshot = opened.revm.snapshot()
    yield opened
    opened.revm.restore(snapshot)


def errors_of(contract: str) -> set[str]:
    return {entry["name"] for entry in CONTRACTS[contract].abi if entry["type"] == "error"}


@pytest.mark.parametrize("pair", CASES, ids=lambda pair: "-".join(pair).replace(": ", "-"))
async def test_call__refused__says_exactly_why(office: Office, pair: Pair) -> None:
    contract, function, error = pair
    name, _, words = error.partition(": ")
    ask = await CASES[pair](office, function)

    with pytest.raises(Reverted) as refused:
        perform(office, contract, function, ask)

    assert refused.value.name == name
    assert refused.value.name in errors_of(contract)
    if words:
        assert str(refused.value) == f"{name}(what={words})"


def test_reverts__read_from_the_sources__each_has_a_case_or_a_reason(
    reachable: dict[str, dict[str, list[str]]],
) -> None:
    written = {
        (contract, function, error)
        for contract, functions in reachable.items()
        for function, errors in functions.items()
        for error in errors
    }
    excused = {pair for pair in NEVER if pair[1]}

    assert set(CASES) | excused == written
    assert not set(CASES) & excused


@pytest.mark.parametrize("contract", CONTRACTS)
def test_reverts__abi_as_shipped__is_covered_whole(
    contract: str, reachable: dict[str, dict[str, list[str]]]
) -> None:
    """The syntax tree and the compiler agree on what there is: nothing slips past the reader."""
    functions = {e["name"] for e in CONTRACTS[contract].abi if e["type"] == "function"}
    changing = {
        entry["name"]
        for entry in CONTRACTS[contract].abi
        if entry["type"] == "function" and entry["stateMutability"] not in READING
    }
    shown = {error.partition(": ")[0] for of, _, error in CASES if of == contract}
    excused = {error for of, function, error in NEVER if of == contract}

    assert changing <= set(reachable[contract])
    assert {function for of, function, _ in CASES if of == contract} <= functions | {"constructor"}
    assert shown | excused == errors_of(contract)
