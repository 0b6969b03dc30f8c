"""What the vault should do, written a second time: slowly, with fractions and lists.

Nothing is shared with the contract but the rules, so a slip in either shows as a difference.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from models.chain import RefundItem, Rejection, SettleItem
from models.money import MARKET_BUY_LIMIT
from models.requests import Side, VaultRequest, VaultStatus

BAND = Fraction(25, 100)
VAULT = "vault"
NO_LIMIT = 2**128 - 1


@dataclass
class Cap:
    """What a settler may do alone in a window, and what of it was used at a time."""

    most: int = 2**96 - 1
    window: int = 86_400
    used: int = 0
    time: int = 0

    def used_at(self, now: int) -> int:
        """It drains evenly; part of a unit has not drained yet."""
        return max(self.used - self.most * (now - self.time) // self.window, 0)

    def take(self, amount: int, now: int) -> None:
        self.used, self.time = self.used_at(now) + amount, now

    def allows(self, amount: int, now: int) -> bool:
        return self.used_at(now) + amount <= self.most

    def change(self, most: int, window: int, now: int) -> None:
        self.take(0, now)
        self.most, self.window = most, window


@dataclass
class Model:
    """Everything anybody holds or is owed. Keys of money: (token, account)."""

    usdt: str
    share: str
    balances: dict[tuple[str, str], int]
    claims: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    requests: dict[int, VaultRequest] = field(default_factory=dict)
    ended: dict[int, VaultStatus] = field(default_factory=dict)
    settled_as: dict[int, SettleItem] = field(default_factory=dict)
    owed: list[tuple[int, str, int]] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    supply: int = 0
    fees: int = 0
    price: int | None = 190_000_000
    now: int = 0
    minted: Cap = field(default_factory=Cap)
    paid: Cap = field(default_factory=Cap)
    return_limit: int = NO_LIMIT
    epoch: int = 0
    threshold: int = 0

    # --- the books

    @property
    def open(self) -> list[VaultRequest]:
        return [r for n, r in self.requests.items() if n not in self.ended]

    @property
    def escrow(self) -> int:
        return sum(r.amount for r in self.open if r.side is Side.BUY)

    @property
    def claimable(self) -> int:
        return sum(amount for (token, _), amount in self.claims.items() if token == self.usdt)

    @property
    def free(self) -> int:
        return self.balances[self.usdt, VAULT] - self.escrow - self.claimable

    @property
    def debt(self) -> int:
        return sum(amount for _, _, amount in self.owed)

    # --- what may happen

    def request(self, request: VaultRequest) -> None:
        token = self.usdt if request.side is Side.BUY else self.share
        self.balances[token, request.owner] -= request.amount
        self.balances[token, VAULT] += request.amount
        self.requests[request.n] = request

    def settle(self, item: SettleItem, *, approved: bool = False) -> Rejection:
        """Take one item; NONE also where nothing is to be done."""
        request = self.requests.get(item.n)
        if request is None:
            return Rejection.UNKNOWN_REQUEST
        if request.request_id != item.request_id:
            return Rejection.ID_MISMATCH
        end = self.ended.get(item.n)
        if end is VaultStatus.SETTLED:
            same = self.settled_as[item.n] == item
            return Rejection.NONE if same else Rejection.CONFLICT
        if end is not None:
            return Rejection.ALREADY_ENDED
        verdict = self._judge(request, item)
        if verdict is Rejection.NONE and not approved:
            verdict = self._judge_alone(request, item)
        if verdict is Rejection.NONE:
            if not approved:
                self._use(request, item)
            self._pay_out(request, item)
        return verdict

    def refund(self, item: RefundItem, *, approved: bool = False) -> Rejection:
        """Take one refund."""
        request = self.requests.get(item.n)
        if request is None:
            return Rejection.UNKNOWN_REQUEST
        if request.request_id != item.request_id:
            return Rejection.ID_MISMATCH
        end = self.ended.get(item.n)
        if end is VaultStatus.SETTLED:
            return Rejection.CONFLICT
        if end is VaultStatus.RECLAIMED:
            return Rejection.ALREADY_ENDED
        verdict = Rejection.NONE
        if end is None and not approved:
            verdict = self._judge_return(request, request.amount)
        if end is None and verdict is Rejection.NONE:
            self.give_back(request, VaultStatus.REFUNDED)
        return verdict

    def give_back(self, request: VaultRequest, end: VaultStatus) -> None:
        self.ended[request.n] = end
        token = self.usdt if request.side is Side.BUY else self.share
        self._push(token, request.owner, request.amount)

    def pay_owed(self, most: int) -> None:
        for _ in range(most):
            part = min(self.owed[0][2], max(self.free, 0)) if self.owed else 0
            if part == 0:
                return
            n, to, amount = self.owed.pop(0)
            self._push(self.usdt, to, part)
            if part < amount:
                self.owed.insert(0, (n, to, amount - part))

    def claim(self, token: str, account: str, to: str) -> None:
        amount = self.claims.pop((token, account))
        self.move(token, VAULT, to, amount)

    def move(self, token: str, source: str, to: str, amount: int) -> None:
        self.balances[token, source] -= amount
        self.balances[token, to] += amount

    # --- inside

    def _judge(self, request: VaultRequest, item: SettleItem) -> Rejection:
        buying = request.side is Side.BUY
        if not (item.taken and item.out and item.taken <= request.amount):
            return Rejection.AMOUNT
        if buying and item.fee >= item.taken:
            return Rejection.AMOUNT
        gross = item.taken - item.fee if buying else item.out + item.fee
        if item.fee > Fraction(gross * request.fee_bps, 10_000):
            return Rejection.FEE
        shares = Fraction(item.out if buying else item.taken, 10**18)
        all_in = (item.taken if buying else item.out) / shares
        market = request.limit_price in (0, MARKET_BUY_LIMIT)
        if (
            not market
            and (all_in > request.limit_price) is buying
            and all_in != request.limit_price
        ):
            return Rejection.LIMIT
        return Rejection.NONE

    def _judge_alone(self, request: VaultRequest, item: SettleItem) -> Rejection:
        """What a settler may not do without approvals."""
        if self.price is None:
            return Rejection.STALE_REFERENCE
        buying = request.side is Side.BUY
        gross = item.taken - item.fee if buying else item.out + item.fee
        shares = Fraction(item.out if buying else item.taken, 10**18)
        if abs(gross / shares - self.price) > self.price * BAND:
            return Rejection.BAND
        fits = (
            self.minted.allows(self.worth(item.out), self.now)
            if buying
            else self.paid.allows(item.out, self.now)
        )
        rest = self._judge_return(request, request.amount - item.taken)
        return rest if fits else Rejection.CAP

    def _judge_return(self, request: VaultRequest, amount: int) -> Rejection:
        if self.return_limit == NO_LIMIT:
            return Rejection.NONE
        if request.side is Side.SELL:
            if self.price is None:
                return Rejection.STALE_REFERENCE
            amount = self.worth(amount)
        return Rejection.NONE if amount <= self.return_limit else Rejection.RETURN_LIMIT

    def worth(self, shares: int) -> int:
        """USDT units at the reference, rounded up."""
        assert self.price is not None
        return -(-shares * self.price // 10**18)

    def _use(self, request: VaultRequest, item: SettleItem) -> None:
        minted, paid = (self.worth(item.out), 0) if request.side is Side.BUY else (0, item.out)
        self.minted.take(minted, self.now)
        self.paid.take(paid, self.now)

    def _pay_out(self, request: VaultRequest, item: SettleItem) -> None:
        self.ended[item.n] = VaultStatus.SETTLED
        self.settled_as[item.n] = item
        self.fees += item.fee
        rest = request.amount - item.taken
        if request.side is Side.BUY:
            self.supply += item.out
            self.balances[self.share, request.recipient] += item.out
            self._push(self.usdt, request.owner, rest)
            return
        self.supply -= item.taken
        self.balances[self.share, VAULT] -= item.taken
        now = min(item.out, max(self.free - self.debt, 0))
        self._push(self.usdt, request.recipient, now)
        if now < item.out:
            self.owed.append((item.n, request.recipient, item.out - now))
        self._push(self.share, request.owner, rest)

    def _push(self, token: str, to: str, amount: int) -> None:
        if amount == 0:
            return
        if token == self.usdt and self.blocked & {to, VAULT}:
            self.claims[token, to] += amount
        else:
            self.move(token, VAULT, to, amount)
