"""What OpenD's refusals say, and which of those words may be believed.

A retType -1 carries a sentence and nothing else, in the language OpenD was started with (chs or
en). It may be the broker's no, and it may be OpenD that was too busy to hear a yes. So only words
that are known as an answer to an order count as one; whatever is not listed is not an answer, and
the order is looked for in the book. A word missing here costs that look; a word too many could buy
twice.
"""

from enum import Enum


class Refusal(Enum):
    """What a retType -1 means.

    UNSURE: it may have gone through. ANSWER: the broker's no to this very request.
    """

    RATE = "RATE"
    LOCKED = "LOCKED"
    UNSURE = "UNSURE"
    ANSWER = "ANSWER"


# All texts in lower case. The first group that holds one decides, so doubt beats an answer.
_UNSURE = (
    # OpenD speaking of its own link to Futu, or of time: it may have gone through
    *("超时", "网络", "断开", "未知结果"),
    *("timeout", "timed out", "time out", "network", "disconnect", "connection"),
)
_TROUBLE = (
    # OpenD or Futu speaking of themselves: whatever else the sentence says, it is no answer
    *("繁忙", "系统错误", "系统异常", "内部错误", "服务器"),
    *("busy", "system error", "internal error", "server error"),
)
_RATE = (
    # "下单频率太高…每30秒最多15次", as users of the real OpenD report it
    "频率",
    # The simulator: "High frequency: …"
    *("frequency", "too frequent"),
)
_LOCKED = (
    # Nothing about the order, an operator has to unlock trading
    # https://github.com/FutunnOpen/OpenQuant/issues/16
    # https://github.com/FutunnOpen/futuquant/issues/134
    *("解锁", "unlock"),
)
# Where no source is named, the sentence is the simulator's own (simulators/opend).
_FUNDS = (
    # https://github.com/FutunnOpen/futuquant/issues/90
    "购买力不足",
    # Not seen; the same complaint in the app's other words
    *("资金不足", "insufficient funds", "not enough buying power"),
    "insufficient buying power",
)
_POSITION = (
    # https://github.com/FutunnOpen/py-futu-api/issues/173
    "持仓不足",
    # https://github.com/FutunnOpen/py-futu-api/issues/224 ("cannot be long and short at once")
    "无法同时买多和卖空",
    # Only US stocks can be sold short on paper, some never (not seen; the rule is documented)
    # https://openapi.futunn.com/futu-api-doc/en/qa/trade.html
    *("不支持卖空", "不支持沽空", "does not support short selling", "cannot be sold short"),
    "insufficient position",
)
_PRICE = (
    # https://github.com/FutunnOpen/futuquant/issues/54
    "价格不在正确的价位上",
    *("is not a multiple of its tick", "is out of range."),
)
_QUANTITY = (
    # The largest order, and whole lots (not seen; the rules are documented)
    # https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
    *("不是整手", "超过最大下单数量", "超出最大下单数量"),
    *("is not a whole number of shares", "is not between 1 and "),
)
_KIND = (
    # "Paper trading does not support …" is how the documentation puts every such rule
    # https://openapi.futunn.com/futu-api-doc/en/qa/trade.html
    *("模拟交易不支持", "paper trading does not support", "paper trading supports"),
    *("unknown stock", "this simulator trades us stocks only"),
    *("orders are placed with trd_side", "the remark is longer than"),
)
_ACCOUNT = (
    # Not seen: an account without the market, a client the broker may not serve
    *("没有交易权限", "无交易权限", "no trading permission", "no permission to trade"),
    "is not of that environment and market",
)
_RISK = (
    # Not seen: an order that risk control or compliance turned down
    *("风控拒绝", "风控限制", "合规限制", "rejected by risk control", "compliance restriction"),
    # The fault `reject` without a message of its own
    "the order was rejected.",
)
_ANSWERS = (*_FUNDS, *_POSITION, *_PRICE, *_QUANTITY, *_KIND, *_ACCOUNT, *_RISK)

_GROUPS: tuple[tuple[tuple[str, ...], Refusal | None], ...] = (
    (_UNSURE, Refusal.UNSURE),
    (_TROUBLE, None),
    (_RATE, Refusal.RATE),
    (_LOCKED, Refusal.LOCKED),
    (_ANSWERS, Refusal.ANSWER),
)


def refusal_of(text: str) -> Refusal | None:
    """What a retType -1 means; None: its words are not known, so they prove nothing."""
    if not text.strip():
        return Refusal.UNSURE
    lowered = text.lower()
    return next(
        (meaning for parts, meaning in _GROUPS if any(part in lowered for part in parts)), None
    )
