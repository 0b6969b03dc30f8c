"""A user at the vault's counter: requests that are real, and refusals before anything is sent."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from bronco.counter import Counter, Typed, open_counter
from bronco.trading import ChainSettings
from clients.abi import load_contract
from clients.wallet import CallReverted
from models.assets import Asset
from models.errors import ConfigurationError, InvalidInput
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT
from models.requests import Side, VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, Desk, refund

FEED = load_contract("DevFeed")
TOO_LITTLE, TOO_MUCH = "9.999999", "1000000.000001"


def settings(desk: Desk, chain_id: int = 31337) -> ChainSettings:
    url = SecretStr(desk.rpc.url)
    return ChainSettings(
        id=chain_id,
        usdt_feed=desk.feed,
        rpc_urls=(url, url),
        vault=desk.address,
        usdt=desk.usdt,
        assets=(Asset(symbol="AAPL", token=desk.share, feed=desk.feed),),
    )


@pytest.fixture
async def counter(desk: Desk) -> AsyncIterator[Counter]:
    async with open_counter(settings(desk), user=0) as opened:
        yield opened


async def test_deposit__typed__is_a_request_on_chain_and_its_refund_is_told(
    desk: Desk, counter: Counter
) -> None:
    typed = Typed(Side.BUY, "1000.5", "AAPL", limit="191.25")
    made = await counter.hand_in(typed)
    request = await desk.request(made.n)
    assert (request.side, request.amount) == (Side.BUY, 1_000 * DOLLAR + 500_000)
    assert (request.limit_price, request.owner) == (191_250_000, desk.alice.address)
    assert await counter.ending(made.n, 0) is None

    await desk.settle([], [refund(request)])
    event = await counter.ending(made.n, 0)
    assert event is not None
    assert counter.in_words(typed, event) == "refunded: 1000.5 USDT back (TOO_SMALL)"


async def test_redeem__typed__is_a_market_request_on_chain(desk: Desk, counter: Counter) -> None:
    await desk.holder(desk.alice, 3)
    made = await counter.hand_in(Typed(Side.SELL, "1.5", "AAPL"))
    request = await desk.request(made.n)
    assert (request.side, request.amount) == (Side.SELL, 3 * SHARE // 2)
    assert request.limit_price == MARKET_SELL_LIMIT
    assert request.status is VaultStatus.OPEN


async def test_counter__after_a_split__takes_shares_and_tells_of_both(
    desk: Desk, counter: Counter
) -> None:
    """Four shares a token: 48 USDT a share are 192 a token, and eight shares are two of them."""
    await desk.holder(desk.alice, 3)
    await desk.warp_to(await desk.split(4, 1))
    await desk.admin.send(FEED, desk.feed, "setAnswer", 4_750_000_000)
    bought = await counter.hand_in(Typed(Side.BUY, "1000", "AAPL", limit="48"))
    assert (await desk.request(bought.n)).limit_price == 192 * DOLLAR
    typed = Typed(Side.SELL, "8", "AAPL", limit="47.123456")
    sold = await desk.request((await counter.hand_in(typed)).n)
    assert (sold.amount, sold.limit_price) == (2 * SHARE, 188_493_824)
    await desk.settle([], [refund(sold)])
    event = await counter.ending(sold.n, 0)
    assert event is not None
    assert counter.in_words(typed, event) == "refunded: 2 AAPL (8 shares) back (TOO_SMALL)"


async def test_deposit__no_limit__is_at_market(desk: Desk, counter: Counter) -> None:
    made = await counter.hand_in(Typed(Side.BUY, "10", "AAPL"))
    assert (await desk.request(made.n)).limit_price == MARKET_BUY_LIMIT


@pytest.mark.parametrize(
    ("typed", "field", "remedy"),
    [
        (Typed(Side.BUY, "100", "TSLA"), "symbol", "use one of AAPL"),
        (Typed(Side.BUY, TOO_LITTLE, "AAPL"), "amount", "at least 10 USDT"),
        (Typed(Side.BUY, TOO_MUCH, "AAPL"), "amount", "this user has 1000000 USDT"),
        (Typed(Side.BUY, "100", "AAPL", limit="x"), "limit", "give a number"),
        (Typed(Side.SELL, "0.999", "AAPL"), "shares", "at least one whole share"),
        (Typed(Side.SELL, "1", "AAPL"), "shares", "this user has 0 AAPL"),
    ],
)
async def test_counter__cannot_be_served__is_refused_and_nothing_is_sent(
    desk: Desk, counter: Counter, typed: Typed, field: str, remedy: str
) -> None:
    nonce = await desk.sender.latest_nonce(desk.alice.address)
    with pytest.raises(InvalidInput, match=remedy) as refused:
        await counter.hand_in(typed)
    assert refused.value.field == field
    assert await desk.sender.latest_nonce(desk.alice.address) == nonce


async def test_deposit__absurd_limit__is_refused_by_the_vault_with_its_bounds(
    desk: Desk, counter: Counter
) -> None:
    with pytest.raises(CallReverted, match="LimitOutOfReach") as refused:
        await counter.hand_in(Typed(Side.BUY, "100", "AAPL", limit="5"))
    assert refused.value.error == "LimitOutOfReach"
    assert (await desk.books()).count == 0


async def test_counter__no_dev_chain__is_refused_before_any_call(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="is no dev chain"):
        async with open_counter(settings(desk, chain_id=1), user=0):
            pass
