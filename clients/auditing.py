"""The audit key's word on a head of the audit log, as EIP-712 typed data."""

import time
from collections.abc import Collection
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.constants import SECPK1_N
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from clients.approvals import signable
from models.audit import SignedHead
from models.drafts import AuditHead

AUDITOR_ROLE = "0x" + keccak(text="AUDITOR_ROLE").hex()
"""Who holds it in the vault signs for the log of that vault. The vault itself asks for it nowhere:
it only says, to whoever has an RPC, whose signature counts."""
# https://eips.ethereum.org/EIPS/eip-2
_HIGHEST_S = SECPK1_N // 2
_DOMAIN = ("name", "string"), ("version", "string"), ("chainId", "uint256")
_FIELDS = ("seq", "uint256"), ("hash", "bytes32"), ("time", "uint64")


def head_data(head: AuditHead, time: int, *, chain_id: int, vault: str) -> dict[str, Any]:
    """EIP-712 typed data of a head. time: Unix seconds, when it was signed."""
    return {
        "types": {
            "EIP712Domain": _typed((*_DOMAIN, ("verifyingContract", "address"))),
            "AuditHead": _typed(_FIELDS),
        },
        "primaryType": "AuditHead",
        "domain": {
            "name": "BroncoAudit",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": to_checksum_address(vault),
        },
        "message": {"seq": head.seq, "hash": "0x" + head.hash, "time": time},
    }


def sign_head(
    head: AuditHead, time: int, account: LocalAccount, *, chain_id: int, vault: str
) -> SignedHead:
    """The head with the account's signature."""
    data = head_data(head, time, chain_id=chain_id, vault=vault)
    signature = bytes(account.sign_message(signable(data)).signature)
    return SignedHead(
        chain_id=chain_id,
        vault=to_checksum_address(vault),
        seq=head.seq,
        hash=head.hash,
        time=time,
        signer=str(account.address),
        signature="0x" + signature.hex(),
    )


def really_signed(head: SignedHead) -> bool:
    """Whether its signature is that of the signer it names, in the one form that it has.

    (r, n - s) signs the same as (r, s): only the lower s counts, as in EIP-2.
    """
    if int(head.signature[66:130], 16) > _HIGHEST_S:
        return False
    data = head_data(head.head, head.time, chain_id=head.chain_id, vault=head.vault)
    try:
        found = Account.recover_message(signable(data), signature=head.signature)
    except (ValueError, ValidationError, BadSignature):
        return False
    return str(found).lower() == head.signer.lower()


def why_ignored(head: SignedHead, signers: Collection[str], chain_id: int, vault: str) -> str:
    """Why a head does not count; empty when it does. signers: whose word counts, lower case."""
    if (head.chain_id, head.vault.lower()) != (chain_id, vault.lower()):
        return f"is of vault {head.vault} on chain {head.chain_id}"
    if head.signer.lower() not in signers:
        return f"is by {head.signer}, whose word does not count here"
    return "" if really_signed(head) else "does not carry its signer's signature"


class Auditor:
    """The audit key in the signer's process: it vouches for heads of one vault's log, no more."""

    def __init__(self, account: LocalAccount, *, chain_id: int, vault: str) -> None:
        self._account = account
        self._chain_id = chain_id
        self._vault = vault

    def sign(self, head: AuditHead) -> SignedHead:
        """A head with the time of now, by this machine's clock."""
        now = int(time.time())
        return sign_head(head, now, self._account, chain_id=self._chain_id, vault=self._vault)


def _typed(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]
