"""A split of many symbols at once: each holds a request of one side in one phase of its life."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import product

from bronco.devchain import ADMIN
from clients.abi import load_contract
from clients.wallet import Requested
from models.money import SHARE_SCALE
from models.order import OrderStatus
from models.requests import Side
from tests.e2e.desk import DOLLAR, Desk

FEED = load_contract("DevFeed")
REFERENCE = load_contract("ShareReference")
PHASES = ("WAIT", "WORK", "PART", "FILL", "SENT", "DONE")
SYMBOLS = tuple(f"{phase}{side[0]}" for phase, side in product(PHASES, Side))
PRICE = Decimal(190)
TOKENS = 2
LIMIT = 193 * DOLLAR
"""Per token. A deposit's binds: it is within the band, and a token costs less."""
LEAST = 150 * DOLLAR
MONEY = 390 * DOLLAR
"""Two tokens at the limit, and not a share more of whatever a token is split into."""
_FEED_UNIT = 10**8


def side_of(symbol: str) -> Side:
    return Side.BUY if symbol.endswith("B") else Side.SELL


class SplitDesk:
    """All symbols are split alike. ratio: shares per token now."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.numerator = self.denominator = 1
        self._epoch = 0

    def shares(self, tokens: int) -> int:
        """Shares that these tokens are now."""
        return tokens * self.numerator // self.denominator

    async def stock_up(self, tokens: int) -> None:
        """Have alice hold that many tokens more of what she will redeem."""
        desk, made = self.desk, list[Requested]()
        for symbol in (symbol for symbol in SYMBOLS if side_of(symbol) is Side.SELL):
            made += await desk.deposits(1, tokens * 200 * DOLLAR, symbol=symbol)
        await desk.all_end(made, OrderStatus.EXECUTED)

    async def request(self, symbol: str, tokens: int = TOKENS) -> Requested:
        """One request of the symbol's side."""
        if side_of(symbol) is Side.BUY:
            return (await self.desk.deposits(1, MONEY, limit=LIMIT, symbol=symbol))[0]
        return (await self.desk.redeems(1, tokens, limit=LEAST, symbol=symbol))[0]

    async def halt(self, symbols: Sequence[str], on: bool = True) -> None:
        for symbol in symbols:
            await self.desk.control.set_halt(symbol, on)

    async def schedule(self, numerator: int, denominator: int, seconds: int) -> int:
        """Announce the split of every symbol on chain; when it takes effect."""
        self.numerator, self.denominator = (
            self.numerator * numerator,
            self.denominator * denominator,
        )
        at = (await self.desk.vault.head()).timestamp + seconds
        for symbol in SYMBOLS:
            terms = (self._epoch, self.numerator, self.denominator, at)
            reference = self.desk.stack.chain.references[symbol]
            await self.desk.staff(ADMIN).send(REFERENCE, reference, "scheduleSplit", *terms)
        self._epoch += 1
        return at

    async def split_at_broker(self, numerator: int, denominator: int) -> None:
        for symbol in SYMBOLS:
            await self.desk.control.split(symbol, numerator, denominator)

    async def publish_prices(self) -> None:
        """The feeds speak of new shares."""
        price = PRICE * _FEED_UNIT * self.denominator / self.numerator
        for symbol in SYMBOLS:
            await self._feed(symbol, "setAnswer", int(price))
        # Nothing is placed until the split is older than the margin, by the newest block's time.
        await self.desk.rpc.call("evm_increaseTime", 5)
        await self.desk.rpc.call("evm_mine")

    async def pass_time(self, at: int) -> None:
        """The next block is of that time; it mines what waits."""
        await self.desk.rpc.call("evm_setNextBlockTimestamp", at)
        await self.desk.rpc.call("evm_mine")

    async def held(self) -> dict[str, int]:
        """Token units of alice by symbol."""
        tokens = self.desk.stack.chain.shares
        return {symbol: await self.desk.alice.balance(tokens[symbol]) for symbol in SYMBOLS}

    async def _feed(self, symbol: str, function: str, *args: object) -> None:
        admin = self.desk.staff(ADMIN)
        await admin.send(FEED, self.desk.stack.chain.feeds[symbol], function, *args)


def tokens_moved(symbol: str, redeemed: int = TOKENS) -> int:
    """Token units that alice has more in the end, split or not."""
    wanted = redeemed if side_of(symbol) is Side.SELL else TOKENS
    # What was left of the order was cancelled at the split, and the rest returned.
    wanted = 1 if symbol.startswith("PART") else wanted
    return (wanted if side_of(symbol) is Side.BUY else -wanted) * SHARE_SCALE
