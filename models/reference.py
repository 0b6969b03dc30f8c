"""What a share reference knows of one asset's price, judged as the contract judges it.

Prices are integers in the feed's decimals: of the feed and as posted per share, else per token.
Times are Unix seconds. contracts/src/ShareReference.sol decides; this says why beforehand.
"""

from dataclasses import dataclass

from models.errors import InvalidInput
from models.money import move_bps_up, price_per_token, share_price_bounds
from models.splits import NextSplit, SharesPerToken


@dataclass(frozen=True)
class Reference:
    """One look at a reference. heartbeat, max_age, noted_for: seconds.

    feed_price 0: the feed gives none. posted_at 0: nobody posted. last_good 0: nobody noted.
    answer 0: the reference itself gives no price.
    """

    now: int
    decimals: int
    heartbeat: int
    max_age: int
    max_move_bps: int
    feed_price: int
    feed_time: int
    feed_ratio: SharesPerToken
    posted: int
    posted_at: int
    last_good: int
    last_good_at: int
    noted_for: int
    ratio: SharesPerToken
    upcoming: NextSplit | None
    answer: int
    answered_at: int

    @property
    def feed_per_token(self) -> int:
        """The feed's word by the ratio of its own time, rounded down."""
        return price_per_token(self.feed_price, self.feed_ratio)

    @property
    def live(self) -> bool:
        """Whether the feed's word counts: there is one, not from the future, within heartbeat."""
        return self.feed_per_token > 0 and 0 <= self.now - self.feed_time <= self.heartbeat

    @property
    def stands_in(self) -> bool:
        """Whether the posted price is what the reference gives now."""
        return not self.live and self.posted_at != 0 and self.answered_at == self.posted_at

    @property
    def anchor(self) -> int:
        """What a posted price is held against: the feed's word, else the last that was noted.

        0 when that is too old to say anything.
        """
        return self.feed_per_token or (self.last_good if self._noted_counts else 0)

    @property
    def _noted_counts(self) -> bool:
        return self.now - self.last_good_at <= self.noted_for

    @property
    def per_share_bounds(self) -> tuple[int, int]:
        """Lowest and highest price of a share that may be posted now."""
        return share_price_bounds(self.anchor, self.max_move_bps, self.ratio)

    def check(self, price: int) -> None:
        """Raises InvalidInput when the contract would refuse this price of a share, with why."""
        if not self.anchor:
            remedy = "the feed gives no price and none was noted lately: nothing to hold it to"
            raise InvalidInput("PRICE", shown(price, self.decimals), remedy)
        low, high = self.per_share_bounds
        if not low <= price <= high:
            token = price_per_token(price, self.ratio)
            move = move_bps_up(token, self.anchor)
            remedy = (
                f"a token would be {shown(token, self.decimals)}, {move} bps from "
                f"{shown(self.anchor, self.decimals)}; allowed are {self.max_move_bps}: "
                f"from {shown(low, self.decimals)} to {shown(high, self.decimals)} a share"
            )
            raise InvalidInput("PRICE", shown(price, self.decimals), remedy)


def shown(price: int, decimals: int) -> str:
    """A price as people write it, exactly."""
    whole, rest = divmod(price, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}".rstrip("0") if rest else f"{whole}"
