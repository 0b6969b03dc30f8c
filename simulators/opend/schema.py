"""The generated protobuf modules of futu-api, loaded without running `import futu`.

That import takes SIGINT over, opens a log under $HOME and starts threads; the generated modules
need none of it. They import each other by flat names (`import Trd_Common_pb2`), so their folder is
on sys.path while they load and no longer.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from simulators.opend.errors import OpenDError, Rejected

Message = Any  # generated at run time: no static type exists
DECODE_ERROR: Any = importlib.import_module("google.protobuf.message").DecodeError

# https://openapi.futunn.com/futu-api-doc/en/ftapi/protocol.html
PROTOCOLS: dict[int, str] = {
    1001: "InitConnect",
    1002: "GetGlobalState",
    1004: "KeepAlive",
    2001: "Trd_GetAccList",
    2005: "Trd_UnlockTrade",
    2008: "Trd_SubAccPush",
    2101: "Trd_GetFunds",
    2102: "Trd_GetPositionList",
    2111: "Trd_GetMaxTrdQtys",
    2201: "Trd_GetOrderList",
    2202: "Trd_PlaceOrder",
    2205: "Trd_ModifyOrder",
    2208: "Trd_UpdateOrder",
    2211: "Trd_GetOrderFillList",
    2221: "Trd_GetHistoryOrderList",
    2222: "Trd_GetHistoryOrderFillList",
    2225: "Trd_GetOrderFee",
    3001: "Qot_Sub",
    3002: "Qot_RegQotPush",
    3003: "Qot_GetSubInfo",
    3004: "Qot_GetBasicQot",
    3005: "Qot_UpdateBasicQot",
    3012: "Qot_GetOrderBook",
    3013: "Qot_UpdateOrderBook",
    3202: "Qot_GetStaticInfo",
    3203: "Qot_GetSecuritySnapshot",
    3223: "Qot_GetMarketState",
}


def short(name: str) -> str:
    """`Trd_PlaceOrder` and `PlaceOrder` are one protocol to counters, limits and faults."""
    return name.split("_", 1)[-1]


NAMES: dict[int, str] = {number: short(name) for number, name in PROTOCOLS.items()}
NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()}


def protocol_folder() -> Path:
    """Where the installed futu-api keeps its generated modules.

    Raises:
        OpenDError: futu-api is not installed, or not laid out as its releases 9 and 10 are.
    """
    spec = importlib.util.find_spec("futu")  # locates, does not execute
    for root in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(root) / "common" / "pb"
        if (folder / "Trd_PlaceOrder_pb2.py").is_file():
            return folder
    raise OpenDError(
        "futu-api's protocol definitions (futu/common/pb) were not found: install futu-api."
    )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@cache
def module(name: str) -> Message:
    """The generated module of one .proto file, e.g. `Trd_Common`."""
    with _importable(protocol_folder()):
        return importlib.import_module(f"{name}_pb2")


def request(protocol: int, body: bytes) -> Message:
    """Parses a request body.

    Raises:
        Rejected: the protocol is not simulated, or the body is not its request.
    """
    if protocol not in PROTOCOLS or not hasattr(module(PROTOCOLS[protocol]), "Request"):
        raise Rejected(f"Protocol {protocol} is not simulated.")
    try:
        return module(PROTOCOLS[protocol]).Request.FromString(body)
    except DECODE_ERROR as error:
        raise Rejected(f"The body is no {NAMES[protocol]} request: {error}") from None


def response(protocol: int) -> Message:
    """An empty, successful response of that protocol."""
    return module(PROTOCOLS[protocol]).Response(retType=0)


def refusal(protocol: int, sentence: str) -> Message:
    """A failed response; an unknown protocol gets one too, all start with the same fields."""
    name = PROTOCOLS.get(protocol, "KeepAlive")
    return module(name).Response(retType=-1, retMsg=sentence, errCode=0)


def load_all() -> None:
    """Imports every module once, so that a missing one fails the start and not a request."""
    for name in ("Common", "Trd_Common", "Qot_Common", *PROTOCOLS.values()):
        module(name)
