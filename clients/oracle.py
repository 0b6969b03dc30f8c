"""Reference prices from Chainlink-style feeds, refused unless they are plainly usable."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from eth_utils.address import to_checksum_address

from clients.abi import load_contract
from clients.rpc import Reader, RpcRefused
from models.errors import Unusable
from models.guard import Guard
from models.money import Usd
from models.requests import BlockRef

FEED = load_contract("DevFeed")  # AggregatorV3Interface
# https://docs.chain.link/data-feeds/api-reference#latestrounddata
_SKEW_SECONDS = 30
_MAX_DECIMALS = 30


class PriceUnusable(Unusable):
    """The feed answered with something no order may be based on; as good as no answer."""

    def __init__(self, guard: Guard, feed: str, problem: str) -> None:
        super().__init__(guard, "oracle", f"reading feed {feed}", problem)
        self.feed = feed


class PriceStale(PriceUnusable):
    """The feed's newest answer is older than its heartbeat allows."""

    def __init__(self, feed: str, age_seconds: int, heartbeat_seconds: int) -> None:
        problem = f"{age_seconds} s old, its heartbeat is {heartbeat_seconds} s"
        super().__init__(Guard.FEED_STALE, feed, problem)
        self.age_seconds = age_seconds


@dataclass(frozen=True)
class FeedPrice:
    """Dollars per unit, exact; updated_at in Unix seconds; age measured at `block`."""

    usd: Usd
    round_id: int
    updated_at: int
    block: BlockRef
    decimals: int = 8

    @property
    def at(self) -> datetime:
        """Time of the answer."""
        return datetime.fromtimestamp(self.updated_at, UTC)


class OracleClient:
    """Reads feeds through one endpoint, at a block."""

    def __init__(self, rpc: Reader) -> None:
        self._rpc = rpc

    async def price(self, feed: str, *, heartbeat_seconds: int, at: BlockRef) -> FeedPrice:
        """The feed's newest answer at a block.

        Raises:
            PriceStale: it is older than the heartbeat.
            PriceUnusable: it is not positive, from the future, incomplete, or no feed's answer.
            SourceUnavailable: the endpoint could not be asked.
        """
        address = to_checksum_address(feed)
        where = {"blockHash": at.hash, "requireCanonical": True}
        calls = [
            ("eth_call", ({"to": address, "data": FEED.calldata(function)}, where))
            for function in ("latestRoundData", "decimals")
        ]
        try:
            answer, decimals = await self._rpc.batch(calls)
            rounds = FEED.decode_result("latestRoundData", answer)
            scale = int(FEED.decode_result("decimals", decimals)[0])
        except (ValueError, TypeError, RpcRefused) as error:
            raise PriceUnusable(Guard.FEED_UNREADABLE, address, str(error)) from error
        return judged(address, rounds, scale, heartbeat_seconds=heartbeat_seconds, at=at)


def judged(
    feed: str, rounds: tuple[int, ...], decimals: int, *, heartbeat_seconds: int, at: BlockRef
) -> FeedPrice:
    """The price in an answer of latestRoundData. Raises as OracleClient.price."""
    round_id, answer, _, updated_at, _ = rounds
    if answer <= 0:
        raise PriceUnusable(Guard.FEED_ANSWER, feed, f"the answer is {answer}")
    if not 0 <= decimals <= _MAX_DECIMALS:
        raise PriceUnusable(Guard.FEED_DECIMALS, feed, f"{decimals} decimals")
    if updated_at == 0:
        raise PriceUnusable(Guard.FEED_ROUND, feed, "its round is not complete")
    age = at.timestamp - updated_at
    if age < -_SKEW_SECONDS:
        raise PriceUnusable(Guard.FEED_FUTURE, feed, f"its answer is from {-age} s in the future")
    if age > heartbeat_seconds:
        raise PriceStale(feed, age, heartbeat_seconds)
    usd = Usd(Decimal(f"{answer}e-{decimals}"))  # exact, which scaleb is only up to 28 digits
    return FeedPrice(usd=usd, round_id=round_id, updated_at=updated_at, block=at, decimals=decimals)
