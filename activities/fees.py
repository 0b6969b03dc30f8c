"""What a transaction offers for gas: bounded at first, raised when it is not mined. Pure."""

from dataclasses import dataclass

from models.chain import GAS_CAP, Fees


@dataclass(frozen=True)
class FeeLimits:
    """Bounds of every offer. max_fee: wei per gas. max_cost: wei one transaction may burn.

    times_suggested: never more than this many times what the chain suggests, but up to threshold
    (wei per gas) that is not asked: where gas costs next to nothing, five times that is nothing
    too, and would be the end of all bumps. headroom: how many times the first offer there must be
    money for, so that a bump does not end at the purse. max_gas: of one transaction.
    """

    # https://github.com/ethereum-optimism/optimism/blob/develop/op-service/txmgr/cli.go
    times_suggested: int = 5
    threshold: int = 10 * 10**9
    max_fee: int = 500 * 10**9
    max_cost: int = 10**18
    headroom: int = 2
    max_gas: int = GAS_CAP

    def offer(self, suggested: Fees) -> Fees:
        """The first offer: what the chain suggests, cut at max_fee."""
        cap = min(suggested.max_fee, self.max_fee)
        tip = min(suggested.max_priority_fee, cap)
        return Fees(base_fee=suggested.base_fee, max_priority_fee=tip, max_fee=cap)

    def gas(self, balance: int, fees: Fees) -> int:
        """Most gas that a transaction may use at these fees, from this much money."""
        affordable = min(balance, self.max_cost) // max(1, fees.max_fee * self.headroom)
        return min(affordable, self.max_gas)

    def purse(self, suggested: Fees, gas: int) -> int:
        """Wei that sending so much gas may take, bumps included."""
        return gas * self.offer(suggested).max_fee * self.headroom

    def ceiling(self, suggested: Fees, gas: int, balance: int | None = None) -> int:
        """Most wei per gas that a transaction of this size may offer now, from this much money."""
        cost = self.max_cost if balance is None else min(self.max_cost, balance)
        by_chain = max(self.threshold, self.times_suggested * suggested.max_fee)
        return min(self.max_fee, cost // max(1, gas), by_chain)


def bumped(offered: Fees, suggested: Fees, ceiling: int) -> Fees | None:
    """The offer that replaces this one; None when the ceiling leaves no room for it.

    A node replaces a waiting transaction only for a tenth more on both fees, rounded up here.
    """
    # https://github.com/ethereum/go-ethereum/blob/v1.16.0/core/txpool/legacypool/list.go#L304
    tip = max(_tenth_more(offered.max_priority_fee), suggested.max_priority_fee)
    cap = max(_tenth_more(offered.max_fee), suggested.max_fee, tip)
    if cap > ceiling:
        # The suggestion alone may be too high; the least that replaces may still fit.
        tip, cap = _tenth_more(offered.max_priority_fee), _tenth_more(offered.max_fee)
    if max(cap, tip) > ceiling:
        return None
    return Fees(base_fee=suggested.base_fee, max_priority_fee=tip, max_fee=max(cap, tip))


def _tenth_more(wei: int) -> int:
    return max(-(-wei * 11 // 10), wei + 1)
