"""Signed statements of the reserves in files that anybody may read: what is signed, and by whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError as EthValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from clients.approvals import signable
from models.errors import InvalidInput, SourceUnavailable
from models.reserves import Reserves, canonical

FORMAT = "bronco-reserves-1"
LATEST = "latest.json"
_SOURCE = "folder of attested reserves"
_DOMAIN = ("name", "string"), ("version", "string"), ("chainId", "uint256")
_FIELDS = ("statement", "bytes32"), ("block", "uint256"), ("time", "uint64")


class AttestedReserves(BaseModel):
    """A statement, and the signature of whoever vouches for it: EIP-712 over its canonical text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    statement: Reserves
    attestor: str
    signature: str

    @property
    def time(self) -> int:
        """Unix seconds of the block it is of."""
        return self.statement.block.timestamp


def attested(statement: Reserves, account: LocalAccount) -> AttestedReserves:
    """Sign a statement."""
    signature = bytes(account.sign_message(signable(reserves_data(statement))).signature)
    return AttestedReserves(
        statement=statement, attestor=str(account.address), signature="0x" + signature.hex()
    )


def really_attested(found: AttestedReserves) -> bool:
    """Whether its signature is that of the attestor it names, over every digit of it."""
    try:
        who = Account.recover_message(
            signable(reserves_data(found.statement)), signature=found.signature
        )
    except (ValueError, EthValidationError, BadSignature):
        return False
    return found.format == FORMAT and str(who).lower() == found.attestor.lower()


def reserves_data(statement: Reserves) -> dict[str, Any]:
    """EIP-712 typed data of a statement."""
    digest = keccak(text=canonical(statement))
    domain = (*_DOMAIN, ("verifyingContract", "address"))
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
            "Reserves": [{"name": name, "type": kind} for name, kind in _FIELDS],
        },
        "primaryType": "Reserves",
        "domain": {
            "name": "BroncoReserves",
            "version": "1",
            "chainId": statement.chain_id,
            "verifyingContract": statement.vault,
        },
        "message": {
            "statement": digest,
            "block": statement.block.number,
            "time": statement.block.timestamp,
        },
    }


class ReserveFolder:
    """One file a statement, and `latest.json`; each appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, made: AttestedReserves) -> Path:
        """Publish it; blocking. The same one again changes nothing.

        Raises:
            SourceUnavailable: it is not on disk.
        """
        path = self.folder / f"reserves-{made.time}.json"
        text = made.model_dump_json(indent=2) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for target in (path, self.folder / LATEST):
                _replace(target, text)
        except OSError as error:
            raise SourceUnavailable(_SOURCE, f"writing {path}", str(error)) from error
        return path

    def newest(self) -> AttestedReserves | None:
        """The newest one; blocking. None: none was ever published.

        Raises:
            SourceUnavailable: it cannot be read, or is none.
        """
        path = self.folder / LATEST
        if not path.exists():
            return None
        try:
            return read_attested(path)
        except InvalidInput as error:
            raise SourceUnavailable(_SOURCE, f"reading {path}", str(error)) from error


def read_attested(path: Path) -> AttestedReserves:
    """A published statement; whether it is signed is another question.

    Raises:
        InvalidInput: it cannot be read, or is none.
    """
    try:
        return AttestedReserves.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput("file", str(path), str(error)) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput("file", str(path), f"{where}: {first['msg']}") from None


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
