"""A desk's day in plain futu-api, as its documentation writes it; nothing of ours is imported.

python a_day.py PORT: prints one JSON object, call by call what came back.
"""

import json
import os
import sys
import threading
from typing import Any

import futu

ACCOUNT, REAL_ACCOUNT = 1002, 281756479999
CODE = "US.AAPL"
PAPER = {"trd_env": futu.TrdEnv.SIMULATE, "acc_id": ACCOUNT}
REAL = {"trd_env": futu.TrdEnv.REAL, "acc_id": REAL_ACCOUNT}
found: dict[str, Any] = {}
quoted, filled = threading.Event(), threading.Event()
pushed: list[str] = []


class Quotes(futu.StockQuoteHandlerBase):  # type: ignore[misc]
    """Hears quote pushes."""

    def on_recv_rsp(self, message: Any) -> tuple[int, Any]:
        code, rows = super().on_recv_rsp(message)
        if code == futu.RET_OK and rows["code"][0] == CODE:
            quoted.set()
        return code, rows


class Orders(futu.TradeOrderHandlerBase):  # type: ignore[misc]
    """Hears order pushes."""

    def on_recv_rsp(self, message: Any) -> tuple[int, Any]:
        code, rows = super().on_recv_rsp(message)
        pushed.append(str(rows["order_status"][0]))
        if pushed[-1] == "FILLED_ALL":
            filled.set()
        return code, rows


def rows(name: str, answer: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The table of a call that must succeed."""
    if answer[0] != futu.RET_OK:
        raise SystemExit(f"{name}: {answer[1]}")
    table: list[dict[str, Any]] = answer[1].to_dict("records")
    return table


def quotes(context: Any) -> None:
    context.set_handler(Quotes())
    (snapshot,) = rows("snapshot", context.get_market_snapshot([CODE]))
    found["snapshot"] = [snapshot["bid_price"], snapshot["ask_price"]]
    code, error = context.subscribe([CODE], [futu.SubType.QUOTE])
    found["subscribe"] = [code, error]
    found["quote push"] = quoted.wait(10)
    code, state = context.get_global_state()
    found["global state"] = [code, state["market_us"], state["trd_logined"]]


def trades(context: Any) -> None:
    context.set_handler(Orders())
    accounts = rows("accounts", context.get_acc_list())
    found["accounts"] = [[row["acc_id"], row["trd_env"]] for row in accounts]
    (funds,) = rows("funds", context.accinfo_query(currency=futu.Currency.USD, **PAPER))
    found["funds"] = funds["us_cash"]
    (order,) = rows("place", place(context, 195.0))
    found["order push"] = filled.wait(10)
    (position,) = rows("positions", context.position_list_query(**PAPER))
    found["positions"] = [position["code"], position["qty"]]
    resting = [rows("place", place(context, 150.0))[0]["order_id"] for _ in range(3)]
    changed = context.modify_order(futu.ModifyOrderOp.NORMAL, resting[0], 20, 151.0, **PAPER)
    found["modify"] = rows("modify", changed)[0]["order_id"] == resting[0]
    cancelled = context.modify_order(futu.ModifyOrderOp.CANCEL, resting[0], 0, 0, **PAPER)
    found["cancel"] = rows("cancel", cancelled)[0]["order_id"] == resting[0]
    found["cancel all"] = context.cancel_all_order(**PAPER)[0]
    listed = rows("order list", context.order_list_query(refresh_cache=True, **PAPER))
    found["order list"] = [row["order_id"] for row in listed] == [order["order_id"], *resting]
    history = rows("history", context.history_order_list_query(**PAPER))
    found["history"] = order["order_id"] in [row["order_id"] for row in history]
    found["locked"] = context.place_order(195.0, 1, CODE, futu.TrdSide.BUY, **REAL)[1]
    found["unlock"] = context.unlock_trade("123456")[0]
    found["unlocked"] = context.place_order(195.0, 1, CODE, futu.TrdSide.BUY, **REAL)[0]


def place(context: Any, price: float) -> tuple[Any, ...]:
    placed: tuple[Any, ...] = context.place_order(
        price, 10, CODE, futu.TrdSide.BUY, remark="a day", **PAPER
    )
    return placed


def main(port: int) -> None:
    where = {"host": "127.0.0.1", "port": port, "is_encrypt": False}
    with_quotes = futu.OpenQuoteContext(**where)
    with_trades = futu.OpenSecTradeContext(filter_trdmarket=futu.TrdMarket.US, **where)
    try:
        quotes(with_quotes)
        trades(with_trades)
    finally:
        with_quotes.close()
        with_trades.close()
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    # Its threads are none of this program's business.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
