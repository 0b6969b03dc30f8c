"""Signing, and what may be signed: a batch for our vault on our chain, and nothing else.

The policy recomputes everything from the fields it signs; it never trusts a digest from outside.
"""

import json
from pathlib import Path
from typing import Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.types import TransactionDictType
from eth_utils.address import is_address, to_checksum_address
from pydantic import BaseModel, ConfigDict

from clients.abi import load_contract
from models.chain import DEV_CHAIN_IDS
from models.errors import ConfigurationError, SigningRefused

VAULT = load_contract("BroncoVault")


class UnsignedTx(BaseModel):
    """An EIP-1559 call without value. Fees: wei per gas. data: 0x hex. to "": a creation."""

    model_config = ConfigDict(frozen=True)

    chain_id: int
    to: str
    nonce: int
    gas: int
    max_fee: int
    max_priority_fee: int
    data: str


class SignedTx(BaseModel):
    """Bytes ready to send, 0x hex, and their hash."""

    model_config = ConfigDict(frozen=True)

    raw: str
    tx_hash: str


class SettlePolicy(BaseModel):
    """What the settler's key signs: `settle` on one vault, its cost bounded.

    max_cost: most wei one transaction may burn (gas times max_fee).
    """

    model_config = ConfigDict(frozen=True)

    chain_id: int
    vault: str
    max_cost: int = 10**18

    def check(self, tx: UnsignedTx) -> None:
        """Pass, or raise SigningRefused naming what is wrong."""
        if tx.chain_id != self.chain_id:
            raise SigningRefused(f"chain {tx.chain_id} is not {self.chain_id}")
        if not is_address(tx.to) or to_checksum_address(tx.to) != to_checksum_address(self.vault):
            raise SigningRefused(f"{tx.to} is not the vault {self.vault}")
        if min(tx.nonce, tx.gas, tx.max_fee, tx.max_priority_fee) < 0:
            raise SigningRefused("a negative nonce, gas limit or fee")
        if tx.max_priority_fee > tx.max_fee:
            raise SigningRefused("the tip is above the whole fee")
        if tx.gas * tx.max_fee > self.max_cost:
            raise SigningRefused(f"may cost {tx.gas * tx.max_fee} wei, allowed {self.max_cost}")
        try:
            function, _ = VAULT.decode_call(tx.data)
        except ValueError as error:
            raise SigningRefused(str(error)) from error
        # An empty batch passes: it moves nothing and closes a gap in the nonces.
        if function != "settle":
            raise SigningRefused(f"{function} is no settlement")


class Signer(Protocol):
    """Signs for one address; the same input gives the same bytes."""

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        ...

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of `tx`. Pure: no network, no clock. Raises SigningRefused."""
        ...


class LocalSigner:
    """A key in this process, behind a policy."""

    def __init__(self, account: LocalAccount, policy: SettlePolicy) -> None:
        self._account = account
        self._policy = policy

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        return str(self._account.address)

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of `tx`; deterministic (RFC 6979). Raises SigningRefused."""
        self._policy.check(tx)
        return sign_with(self._account, tx)


def keystore_signer(keyfile: Path, password_file: Path, policy: SettlePolicy) -> LocalSigner:
    """A signer from an encrypted keystore file and a file that holds its password.

    Raises:
        ConfigurationError: a file is missing or unreadable, or the password does not fit.
    """
    encrypted = _read(keyfile, "keystore file")
    password = _read(password_file, "keystore password file").rstrip("\r\n")
    try:
        key = Account.decrypt(json.loads(encrypted), password)
    except (ValueError, TypeError, KeyError):
        # `from None`: the vendor's error may quote what it was given.
        problem = f"{keyfile} is no keystore, or the password in {password_file} does not fit"
        raise ConfigurationError("keystore file", problem) from None
    return LocalSigner(Account.from_key(key), policy)


def plain_signer(private_key: str, policy: SettlePolicy) -> LocalSigner:
    """A signer from a key as text, for dev chains.

    Raises:
        ConfigurationError: the chain is no dev chain, or the text is no key.
    """
    if policy.chain_id not in DEV_CHAIN_IDS:
        problem = f"plain keys are for dev chains only, this is chain {policy.chain_id}"
        raise ConfigurationError("settler key", problem)
    return LocalSigner(account_of(private_key), policy)


def account_of(private_key: str) -> LocalAccount:
    """The account of a key. Raises ConfigurationError, which never quotes the key."""
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError):
        raise ConfigurationError("private key", "not 32 bytes of hex") from None
    return account


def create_keystore(private_key: str, password: str) -> str:
    """Keystore JSON (scrypt) of a key."""
    return json.dumps(Account.encrypt(account_of(private_key).key, password))


def sign_with(account: LocalAccount, tx: UnsignedTx) -> SignedTx:
    """Sign without asking a policy: for a user's own wallet."""
    fields: TransactionDictType = {
        "type": 2,
        "chainId": tx.chain_id,
        "to": to_checksum_address(tx.to) if tx.to else b"",
        "nonce": tx.nonce,
        "gas": tx.gas,
        "maxFeePerGas": tx.max_fee,
        "maxPriorityFeePerGas": tx.max_priority_fee,
        "value": 0,
        "data": bytes.fromhex(tx.data[2:]),
    }
    signed = account.sign_transaction(fields)
    return SignedTx(raw="0x" + signed.raw_transaction.hex(), tx_hash="0x" + signed.hash.hex())


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(setting, f"{path} cannot be read ({error})") from error
