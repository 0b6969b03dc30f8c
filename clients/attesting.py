"""What an attestor signs about the shares behind a token, as SupplyMonitor.sol checks it."""

from dataclasses import dataclass
from typing import Any

from clients.abi import load_contract

MONITOR = load_contract("SupplyMonitor")
_DOMAIN = ("name", "string"), ("version", "string"), ("chainId", "uint256")


@dataclass(frozen=True)
class Attestation:
    """backed: token units that the shares held at `time` (Unix seconds) stand for."""

    token: str
    backed: int
    time: int


def attestation_data(attestation: Attestation, *, chain_id: int, monitor: str) -> dict[str, Any]:
    """EIP-712 typed data of an attestation."""
    fields = (("token", "address"), ("backed", "uint256"), ("time", "uint64"))
    return {
        "types": {
            "EIP712Domain": _typed((*_DOMAIN, ("verifyingContract", "address"))),
            "Attestation": _typed(fields),
        },
        "primaryType": "Attestation",
        "domain": {
            "name": "BroncoSupplyMonitor",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": monitor,
        },
        "message": {
            "token": attestation.token,
            "backed": attestation.backed,
            "time": attestation.time,
        },
    }


def attest_calldata(attestation: Attestation, attestor: str, signature: bytes) -> str:
    """Calldata of SupplyMonitor.attest, 0x hex; anybody may send it."""
    given = (attestation.token, attestation.backed, attestation.time)
    return MONITOR.calldata("attest", *given, attestor, signature)


def _typed(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]
