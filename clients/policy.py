"""What the settler's key may sign, read from the transaction itself: a batch for our vault.

Nothing here asks anybody. Amounts are bounded by what an item could be at worst, because only the
vault knows whether a request is a deposit or a redeem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eth_utils.address import is_address, to_checksum_address
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict

from clients.abi import load_contract
from models.chain import GAS_CAP
from models.errors import SigningRefused
from models.money import SHARE_SCALE

if TYPE_CHECKING:
    from clients.keys import UnsignedTx

VAULT = load_contract("BroncoVault")
# https://eips.ethereum.org/EIPS/eip-2681
_HIGHEST_NONCE = 2**64 - 2
# https://ethereum.github.io/yellowpaper/paper.pdf, appendix G: G_transaction
_CALL_GAS = 21_000
_ID_BYTES = 32


class Use(NamedTuple):
    """One request in a batch, and the most it could pay out (USDT units) and mint (share units)."""

    n: int
    request_id: str
    usdt: int
    shares: int


class Signing(NamedTuple):
    """What one transaction would do at worst. cost: wei it may burn. content: hash of its calldata.

    items: requests settled or refunded; 0 = it only uses its nonce.
    """

    nonce: int
    content: str
    cost: int
    uses: tuple[Use, ...]

    @property
    def items(self) -> int:
        """Requests in it."""
        return len(self.uses)

    @property
    def usdt(self) -> int:
        """Most USDT units it pays out."""
        return sum(use.usdt for use in self.uses)

    @property
    def shares(self) -> int:
        """Most share units it mints."""
        return sum(use.shares for use in self.uses)


class SettlePolicy(BaseModel):
    """What the settler's key signs: batches for one vault on one chain, each within these limits.

    max_cost: wei a transaction may burn (gas times max_fee). max_fee: wei per gas. max_usdt: USDT
    units it may pay out. max_shares: share units it may mint. lowest_price, highest_price: USDT
    units a share can cost at all; they tell a deposit from a redeem, see `_use`.
    """

    model_config = ConfigDict(frozen=True)

    chain_id: int
    vault: str
    max_cost: int = 10**18
    max_fee: int = 500 * 10**9
    max_gas: int = GAS_CAP
    max_items: int = 100
    max_usdt: int = 2_000_000 * 10**6
    max_shares: int = 20_000 * SHARE_SCALE
    lowest_price: int = 10**4
    highest_price: int = 1_000_000 * 10**6

    def check(self, tx: UnsignedTx) -> Signing:
        """What it would do, all of it allowed. Raises SigningRefused naming what is wrong."""
        self._check_target(tx)
        self._check_gas(tx)
        try:
            function, arguments = VAULT.decode_call(tx.data)
        except ValueError as error:
            raise SigningRefused(str(error)) from error
        read = ALLOWED.get(function)
        if read is None:
            raise SigningRefused(f"{function} is no settlement")
        signing = Signing(
            nonce=tx.nonce,
            content=keccak(hexstr=tx.data).hex(),
            cost=tx.gas * tx.max_fee,
            uses=tuple(read(self, arguments)),
        )
        self._check_size(signing)
        return signing

    def _check_target(self, tx: UnsignedTx) -> None:
        if tx.chain_id != self.chain_id:
            raise SigningRefused(f"chain {tx.chain_id} is not {self.chain_id}")
        if not tx.to:
            raise SigningRefused("it creates a contract")
        if not is_address(tx.to) or to_checksum_address(tx.to) != to_checksum_address(self.vault):
            raise SigningRefused(f"{tx.to} is not the vault {self.vault}")
        if not 0 <= tx.nonce <= _HIGHEST_NONCE:
            raise SigningRefused(f"no account has the nonce {tx.nonce}")

    def _check_gas(self, tx: UnsignedTx) -> None:
        if tx.gas < _CALL_GAS or min(tx.max_fee, tx.max_priority_fee) < 0:
            raise SigningRefused("a gas limit or fee that no transaction can have")
        if tx.max_priority_fee > tx.max_fee:
            raise SigningRefused("the tip is above the whole fee")
        _within("gas", tx.gas, self.max_gas)
        _within("wei per gas", tx.max_fee, self.max_fee)
        _within("wei for gas", tx.gas * tx.max_fee, self.max_cost)

    def _check_size(self, signing: Signing) -> None:
        _within("requests", signing.items, self.max_items)
        seen: set[object] = set()
        for use in signing.uses:
            if use.n == 0 or not use.request_id.strip("0"):
                raise SigningRefused("request 0, which does not exist, among others")
            if use.n in seen or use.request_id in seen:
                raise SigningRefused(f"request {use.n} more than once")
            seen |= {use.n, use.request_id}
            # One at a time first: the sentence then names who blocks the rest.
            _within(f"USDT units for request {use.n}", use.usdt, self.max_usdt)
            _within(f"share units for request {use.n}", use.shares, self.max_shares)
        _within("USDT units", signing.usdt, self.max_usdt)
        _within("share units", signing.shares, self.max_shares)


def _settle(policy: SettlePolicy, arguments: Sequence[Any]) -> Iterator[Use]:
    """`settle(items, refunds)`. A refund gives back an escrow and takes nothing from the house."""
    items, refunds = arguments
    for n, request_id, taken, out, *_ in items:
        yield _use(policy, n, request_id.hex(), taken, out)
    # A refund of request 0 alone, or nothing at all, changes nothing and uses up a nonce.
    if not items and list(refunds) == [(0, bytes(_ID_BYTES), 0)]:
        return
    for n, request_id, _reason in refunds:
        yield Use(n, request_id.hex(), 0, 0)


def _use(policy: SettlePolicy, n: int, request_id: str, taken: int, out: int) -> Use:
    """The item as what it can be: a deposit mints `out`, a redeem pays `out`.

    Which of them it is follows from the price it would mean; where no price or both are possible it
    counts as both. The vault's own bounds refuse an item that is passed off as the other side.
    """
    scaled = SHARE_SCALE
    deposit = policy.lowest_price * out <= taken * scaled <= policy.highest_price * out
    redeem = policy.lowest_price * taken <= out * scaled <= policy.highest_price * taken
    if deposit and not redeem:
        return Use(n, request_id, 0, out)
    if redeem and not deposit:
        return Use(n, request_id, out, 0)
    return Use(n, request_id, out, out)


def _settle_approved(policy: SettlePolicy, arguments: Sequence[Any]) -> Iterator[Use]:
    """`settleWithApprovals(item, deadline, approvals)`.

    The vault asks for the approvals; the limits here hold as for any other settlement.
    """
    item, _deadline, _approvals = arguments
    n, request_id, taken, out, *_ = item
    yield _use(policy, n, request_id.hex(), taken, out)


def _refund_approved(_policy: SettlePolicy, arguments: Sequence[Any]) -> Iterator[Use]:
    """`refundWithApprovals(item, deadline, approvals)`."""
    item, _deadline, _approvals = arguments
    n, request_id, _reason = item
    yield Use(n, request_id.hex(), 0, 0)


ALLOWED: Mapping[str, Callable[[SettlePolicy, Sequence[Any]], Iterator[Use]]] = {
    "settle": _settle,
    "settleWithApprovals": _settle_approved,
    "refundWithApprovals": _refund_approved,
}
"""Every function of the vault the key may call, and how its arguments are read.

A function that is not here is refused; one is added together with tests of what it could do.
"""


def _within(what: str, value: int, most: int) -> None:
    if value > most:
        raise SigningRefused(f"{value} {what}, allowed are {most}")
