"""Signing: transactions, keys, and the signer that guards a key with a policy.

A key signs whatever it is given, so it is never handed out bare: GuardedSigner decides first.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydantic import BaseModel, ConfigDict, Field

from bronco.logs import logger
from bronco.metrics import SIGNATURES
from clients.policy import SettlePolicy as SettlePolicy
from clients.policy import Signing
from clients.signed import SignedTx as SignedTx
from clients.signed import checked, fields_of
from models.chain import DEV_CHAIN_IDS
from models.errors import ConfigurationError, SigningRefused

# eth-account brings py_ecc, which raises this to 100,000. Then JSON that an endpoint or a caller
# nests deep is no RecursionError any more: it overflows the stack and ends the process.
# https://github.com/ethereum/py_ecc/blob/v8.0.0/py_ecc/__init__.py#L13
sys.setrecursionlimit(1_000)
_CONTENT_SHOWN = 12
_log = logger(__name__)


class UnsignedTx(BaseModel):
    """An EIP-1559 call without value. Fees: wei per gas. data: 0x hex. to "": a creation."""

    model_config = ConfigDict(frozen=True)

    chain_id: int
    to: str
    nonce: int
    gas: int
    max_fee: int
    max_priority_fee: int
    # One way to read it: a policy and a key that read two ways would check one call, sign another.
    data: str = Field(pattern=r"^0x(?:[0-9a-fA-F]{2})*$")


class Signer(Protocol):
    """Signs for one address; the same input gives the same bytes."""

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        ...

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of exactly `tx`. Asking again is harmless.

        Raises:
            SigningRefused: the policy does not allow it.
            SourceUnavailable: the signer could not be asked.
        """
        ...


class Key(Protocol):
    """A key, wherever it is kept. It refuses nothing."""

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        ...

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of `tx`. Raises SourceUnavailable where the key is kept elsewhere."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Ledger(Protocol):
    """What was signed lately; see clients/ledger.py."""

    def reserve(self, signing: Signing) -> None:
        """Write it down for good. Raises SigningRefused: the hour has no room for it."""
        ...


class LocalKey:
    """A key in the memory of this process."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        return str(self._account.address)

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of `tx`; deterministic (RFC 6979)."""
        return sign_with(self._account, tx)

    async def close(self) -> None:
        """Nothing to let go of."""


# A counter that appears with its first 1 has not increased: both are there from the start.
for _outcome in ("signed", "refused"):
    SIGNATURES.labels(_outcome)


class GuardedSigner:
    """A key behind a policy and a ledger: decide, write down, sign, look at what came out."""

    def __init__(self, key: Key, policy: SettlePolicy, ledger: Ledger | None = None) -> None:
        self._key = key
        self._policy = policy
        self._ledger = ledger
        self._one_at_a_time = asyncio.Lock()
        self.signed = 0
        self.refused = 0

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        return self._key.address

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of `tx`. Raises SigningRefused, SourceUnavailable."""
        try:
            signing = self._policy.check(tx)
            async with self._one_at_a_time:
                if self._ledger is not None:
                    # Down on disk first: what was signed and forgotten would not be counted.
                    self._ledger.reserve(signing)
                signed = await self._key.sign(tx)
        except SigningRefused as error:
            self.refuse(error.problem, nonce=tx.nonce)
            raise
        signed = checked(signed.raw, tx, self.address)
        self.signed += 1
        SIGNATURES.labels("signed").inc()
        _log.info("signed", **_line(signing), max_fee=tx.max_fee, tx_hash=signed.tx_hash)
        return signed

    def refuse(self, problem: str, **fields: object) -> None:
        """Count and log a refusal, also of a request that never became a transaction."""
        self.refused += 1
        SIGNATURES.labels("refused").inc()
        _log.warning("signing_refused", problem=problem, **fields)


def _line(signing: Signing) -> dict[str, object]:
    """A signature in a log line; `batch` is the same for each signature of the same content."""
    return {
        "batch": signing.content[:_CONTENT_SHOWN],
        "nonce": signing.nonce,
        "items": signing.items,
        "usdt_units": str(signing.usdt),
        "share_units": str(signing.shares),
        "cost_wei": str(signing.cost),
    }


def plain_key(private_key: str, chain_id: int) -> LocalKey:
    """A key from text, for dev chains.

    Raises:
        ConfigurationError: the chain is no dev chain, or the text is no key.
    """
    if chain_id not in DEV_CHAIN_IDS:
        problem = f"plain keys are for dev chains only, this is chain {chain_id}"
        raise ConfigurationError("settler key", problem)
    return LocalKey(account_of(private_key))


def plain_signer(private_key: str, policy: SettlePolicy) -> GuardedSigner:
    """A signer in this process, for tests on dev chains. Raises as `plain_key`."""
    return GuardedSigner(plain_key(private_key, policy.chain_id), policy)


def account_of(private_key: str) -> LocalAccount:
    """The account of a key. Raises ConfigurationError, which never quotes the key."""
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError):
        raise ConfigurationError("private key", "not 32 bytes of hex") from None
    return account


def new_account() -> LocalAccount:
    """A fresh account, from the system's randomness."""
    account: LocalAccount = Account.create()
    return account


def sign_with(account: LocalAccount, tx: UnsignedTx) -> SignedTx:
    """Sign without asking a policy: for a user's own wallet."""
    signed = account.sign_transaction(fields_of(tx))
    return SignedTx(raw="0x" + signed.raw_transaction.hex(), tx_hash="0x" + signed.hash.hex())
