"""Domain to protobuf. The only place where an exact number becomes a float."""

from collections.abc import Iterable
from decimal import Decimal

from simulators.opend.accounts import Account, Position
from simulators.opend.depth import Level
from simulators.opend.market import Quote, Stock
from simulators.opend.orders import Env, Fill, Market, Order
from simulators.opend.schema import Message, module
from simulators.opend.session import exchange_time

US_STOCKS = 11  # Qot_Common.QotMarket_US_Security
US_SECURITIES = 2  # Trd_Common.TrdSecMarket_US
EQUITY, NASDAQ = 3, 5  # Qot_Common.SecurityType, ExchType
LONG, SHORT = 0, 1  # Trd_Common.PositionSide
REGULAR_HOURS = 1  # Common.Session
LISTED_ON = "1980-12-12"


def exact(number: float) -> Decimal:
    """A float from the wire as the shortest decimal that means it; NaN and infinities survive."""
    return Decimal(str(number))


def order_message(order: Order, currency: int) -> Message:
    """Trd_Common.Order."""
    return module("Trd_Common").Order(
        trdSide=order.side,
        orderType=order.order_type,
        orderStatus=order.status,
        orderID=order.id,
        orderIDEx=str(order.id),
        code=order.code,
        name=order.code,
        qty=float(order.quantity),
        price=float(order.price),
        createTime=exchange_time(order.received_at),
        updateTime=exchange_time(order.updated_at),
        createTimestamp=order.received_at,
        updateTimestamp=order.updated_at,
        fillQty=float(order.filled or order.shown_filled),
        fillAvgPrice=float(order.average or order.shown_average),
        lastErrMsg=order.error,
        secMarket=US_SECURITIES,
        remark=order.remark,
        timeInForce=0,
        fillOutsideRTH=False,
        session=REGULAR_HOURS,
        currency=currency,
        trdMarket=Market.US,
    )


def fill_message(fill: Fill) -> Message:
    """Trd_Common.OrderFill."""
    return module("Trd_Common").OrderFill(
        trdSide=fill.side,
        fillID=fill.id,
        fillIDEx=str(fill.id),
        orderID=fill.order_id,
        orderIDEx=str(fill.order_id),
        code=fill.code,
        name=fill.code,
        qty=float(abs(fill.quantity)),
        price=float(fill.price),
        createTime=exchange_time(fill.at),
        createTimestamp=fill.at,
        updateTimestamp=fill.at,
        secMarket=US_SECURITIES,
        status=0 if fill.quantity > 0 else 1,
        trdMarket=Market.US,
    )


def account_message(account: Account) -> Message:
    """Trd_Common.TrdAcc."""
    message = module("Trd_Common").TrdAcc(
        trdEnv=account.env,
        accID=account.id,
        trdMarketAuthList=list(account.markets),
        accType=2,  # margin
        accStatus=0,  # active
        accRole=1,  # normal
    )
    if account.env is Env.REAL:
        message.cardNum, message.uniCardNum, message.securityFirm = "1001100100000001", "1", 1
    else:
        message.simAccType = account.sim_type
    return message


def position_message(
    number: int, code: str, position: Position, price: Decimal, sellable: int, currency: int
) -> Message:
    """Trd_Common.Position."""
    value, cost = position.quantity * price, position.cost
    ratio = (value - cost) / abs(cost) * 100 if cost else Decimal(0)
    return module("Trd_Common").Position(
        positionID=number,
        positionSide=LONG if position.quantity > 0 else SHORT,
        code=code,
        name=code,
        qty=float(position.quantity),
        canSellQty=float(sellable),
        price=float(price),
        costPrice=float(position.average),
        dilutedCostPrice=float(position.average),
        averageCostPrice=float(position.average),
        val=float(value),
        plVal=float(value - cost),
        plRatio=float(ratio),
        unrealizedPL=float(value - cost),
        secMarket=US_SECURITIES,
        currency=currency,
        trdMarket=Market.US,
    )


def fill_funds(
    funds: Message, account: Account, value: Decimal, hold: Decimal, power: Decimal
) -> None:
    """Writes Trd_Common.Funds; `value` is the positions' market value, `hold` cash on order."""
    free = account.cash - hold
    funds.power, funds.netCashPower = float(power), float(max(Decimal(0), free))
    funds.totalAssets, funds.cash = float(account.cash + value), float(account.cash)
    funds.marketVal, funds.frozenCash = float(value), float(hold)
    funds.debtCash = float(max(Decimal(0), -account.cash))
    funds.avlWithdrawalCash = funds.maxWithdrawal = float(max(Decimal(0), free))
    funds.currency, funds.availableFunds = account.currency, float(free)
    cost = sum((p.cost for p in account.positions.values()), Decimal(0))
    funds.unrealizedPL = float(value - cost)
    funds.securitiesAssets = funds.totalAssets
    funds.cashInfoList.add(
        currency=account.currency,
        cash=float(account.cash),
        availableBalance=float(free),
        netCashPower=funds.netCashPower,
    )


def security(code: str) -> Message:
    """Qot_Common.Security of a US stock."""
    return module("Qot_Common").Security(market=US_STOCKS, code=code)


def snapshot_message(stock: Stock, quote: Quote, tick: Decimal, now: float) -> Message:
    """Qot_GetSecuritySnapshot.SnapshotBasicData."""
    return module("Qot_GetSecuritySnapshot").SnapshotBasicData(
        security=security(stock.code),
        name=stock.code,
        type=EQUITY,
        isSuspend=stock.halted,
        listTime=LISTED_ON,
        lotSize=1,
        priceSpread=float(tick),
        updateTime=exchange_time(now),
        updateTimestamp=now,
        highPrice=float(stock.high),
        openPrice=float(stock.open),
        lowPrice=float(stock.low),
        lastClosePrice=float(stock.previous_close),
        curPrice=float(stock.last),
        volume=stock.volume,
        turnover=float(stock.turnover),
        turnoverRate=0.0,
        askPrice=float(quote.ask),
        bidPrice=float(quote.bid),
        askVol=quote.ask_size,
        bidVol=quote.bid_size,
        secStatus=9 if stock.halted else 1,  # Qot_Common.SecurityStatus: suspended, normal
    )


def basic_quote(stock: Stock, tick: Decimal, now: float) -> Message:
    """Qot_Common.BasicQot."""
    return module("Qot_Common").BasicQot(
        security=security(stock.code),
        name=stock.code,
        isSuspended=stock.halted,
        listTime=LISTED_ON,
        priceSpread=float(tick),
        updateTime=exchange_time(now),
        updateTimestamp=now,
        highPrice=float(stock.high),
        openPrice=float(stock.open),
        lowPrice=float(stock.low),
        curPrice=float(stock.last),
        lastClosePrice=float(stock.previous_close),
        volume=stock.volume,
        turnover=float(stock.turnover),
        turnoverRate=0.0,
        amplitude=float((stock.high - stock.low) / stock.previous_close * 100),
    )


def fill_order_book(
    target: Message, code: str, asks: Iterable[Level], bids: Iterable[Level]
) -> None:
    """Writes the sides of Qot_GetOrderBook or Qot_UpdateOrderBook, best level first."""
    target.security.CopyFrom(security(code))
    target.name = code
    for rows, levels in ((target.orderBookAskList, asks), (target.orderBookBidList, bids)):
        for level in levels:
            rows.add(price=float(level.price), volume=level.size, orederCount=1)
