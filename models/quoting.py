"""What a request would come to, told before anybody deposits. It binds nobody."""

from decimal import Decimal

from models.messages import Message
from models.requests import Side


class QuoteInput(Message):
    """amount: USDT units (BUY) or token units (SELL). limit_price: USDT units per token, all-in.

    limit_price None: market, within the reference band. deadline: Unix seconds; 0: the default.
    """

    side: Side
    symbol: str
    amount: int
    limit_price: int | None = None
    deadline: int = 0


class QuoteSource(Message):
    """Where a number is from. at, age_seconds: when the source itself last said it."""

    name: str
    at: int
    age_seconds: int
    says: str


class QuoteObstacle(Message):
    """What would keep the request waiting, or send it back, as things are now."""

    kind: str
    detail: str


class QuoteOutcome(Message):
    """What so many shares at this price come to; amounts as in models.money.Settlement.

    price: dollars per share at the broker. all_in_price: USDT units per token, fee included.
    """

    price: Decimal
    all_in_price: int
    spent: int
    received: int
    fee: int
    returned: int


class QuoteResult(Message):
    """A quote. worst: at the limit; expected: at what the broker's book shows now.

    Times are Unix seconds. earliest_placement: after confirmations and the next open. refund_by: no
    order is placed or works later; reclaim_at: the owner may take the escrow back alone.
    """

    side: Side
    symbol: str
    token: str
    amount: int
    shares: int
    fee_bps: int
    usdt_decimals: int
    worst: QuoteOutcome | None
    expected: QuoteOutcome | None
    market_open: bool
    next_open: int | None
    confirmations: int | None
    earliest_placement: int | None
    deadline: int
    refund_by: int
    reclaim_at: int
    obstacles: tuple[QuoteObstacle, ...]
    sources: tuple[QuoteSource, ...]
    quoted_at: int
