"""Where every way to be refused has its case: (contract, function, error) and how to provoke it.

An error told apart by words carries them: "InvalidConfig: window".
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from clients.abi import ContractAbi, load_contract
from tests.integration.vault.codes import calling_back
from tests.integration.vault.office import Office
from tests.integration.vault.revm import GAS

Pair = tuple[str, str, str]
CONTRACTS = {
    name: load_contract(name)
    for name in (
        "BroncoVault",
        "ShareToken",
        "EligibilityList",
        "ShareReference",
        "SupplyMonitor",
        "Timelock",
    )
}


class Ask(NamedTuple):
    """The call that is refused. to: "" is the office's own contract of that name."""

    who: str
    args: tuple[object, ...] = ()
    to: str = ""
    gas: int = GAS
    reentering: bool = False
    """The money token makes the call, in the middle of another; who: makes that other."""


Case = Callable[[Office, str], Awaitable[Ask]]
"""Arranges what is needed on a fresh office and gives the call; the text is the function's name."""
CASES: dict[Pair, Case] = {}
NEVER: dict[Pair, str] = {}
"""Pairs that no call can show, and why. Function "": nothing in the contract throws it."""


def reverts(contract: str, functions: str, error: str) -> Callable[[Case], Case]:
    """Let the function below provoke the error in each of these functions."""

    def register(case: Case) -> Case:
        for function in functions.split():
            pair = (contract, function, error)
            assert pair not in CASES, f"{pair} has two cases"
            CASES[pair] = case
        return case

    return register


def never(contract: str, functions: str, error: str, why: str) -> None:
    """Say why no call of these functions can be refused so."""
    NEVER.update({(contract, function, error): why for function in functions.split(" ")})


def perform(office: Office, contract: str, function: str, ask: Ask) -> None:
    """Make the call. Raises Reverted with what the contract said."""
    abi = CONTRACTS[contract]
    if function == "constructor":
        libraries = dict.fromkeys(abi.libraries, office.dev.vault)
        office.revm.transact(ask.who, "", abi.creation(*ask.args, libraries=libraries))
        return
    own = {
        "BroncoVault": office.dev.vault,
        "ShareReference": office.reference,
        "SupplyMonitor": office.dev.monitor,
    }
    to = ask.to or own.get(contract, office.share)
    data = abi.calldata(function, *ask.args)
    if ask.reentering:
        office.revm.replace_code(office.dev.usdt, calling_back(to, data))
        to, data = office.dev.vault, CONTRACTS["BroncoVault"].calldata("fund", 1)
    office.revm.transact(ask.who, to, data, ask.gas)


def word(abi: ContractAbi, office: Office, name: str, to: str = "") -> bytes:
    """A bytes32 constant, as a role is."""
    return bytes.fromhex(office.revm.read(name, abi=abi, to=to)[2:])
