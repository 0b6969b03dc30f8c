"""The command line of `bronco opend`; every default is that of `OpenDOptions`."""

import argparse
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simulators.opend.errors import OpenDError
from simulators.opend.options import (
    DEFAULT_ACCOUNTS,
    DEFAULT_PRICES,
    LIST_SCOPES,
    SESSIONS,
    AccountOptions,
    OpenDOptions,
)
from simulators.opend.orders import Env, Market
from simulators.opend.scenario import load, locate, names
from simulators.opend.session import exchange_time, moment

PROGRAM = """\
  from futu import *

  trade = OpenSecTradeContext(filter_trdmarket=TrdMarket.US, host="127.0.0.1", port=11111)
  paper = {"trd_env": TrdEnv.SIMULATE, "acc_id": 1002}
  trade.place_order(191, 10, "US.AAPL", TrdSide.BUY, remark="first", **paper)
  code, orders = trade.order_list_query(**paper)
  print(orders[["code", "qty", "order_status", "remark"]])
  trade.close()
"""
ABOUT = """\
Futu OpenD without OpenD: speaks OpenD's protocol to the unmodified futu-api client. It has paper
accounts with money, a seeded market, paper-trading rules, OpenD's request limits and named faults.
Nothing leaves this machine. It runs until Ctrl-C.
"""
MORE = f"""\
A program that trades against it, once it runs:

{PROGRAM}
Control it while it runs, from another terminal:

  bronco opend ctl --help            all commands and all faults
  bronco opend ctl orders            what the broker knows
  bronco opend ctl fault answer_lost the next order is executed, its answer never comes

Once it listens it prints one line for programs: ready port=11111 control=11112. Its log is one JSON
object a line on standard error. Exit codes: 0 stopped, 2 wrong usage or a port or file in use.
"""


def _pair(text: str) -> tuple[str, Decimal]:
    code, _, number = text.partition("=")
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE=NUMBER") from None
    if not code or not value.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE=NUMBER")
    return code.upper().removeprefix("US."), value


def _money(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _holding(text: str) -> tuple[str, int]:
    code, value = _pair(text)
    if value != value.to_integral_value():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of whole shares")
    return code, int(value)


def _account(text: str) -> AccountOptions:
    try:
        number, _, rest = text.partition("=")
        env, _, markets = rest.partition(":")
        names = tuple(Market[name] for name in markets.split(","))
        return AccountOptions(int(number), Env[env], names)
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ID=SIMULATE|REAL:HK|US[,...], e.g. 1002=SIMULATE:US"
        ) from None


_OF_ONE_RUN = frozenset(
    {
        *("host", "port", "control_port", "rsa_key", "keepalive_seconds", "unlock_password"),
        *("state", "quiet", "scenario", "record", "speed"),
    }
)


class _Group:
    """Options under one heading; each help text ends with the default of `OpenDOptions`."""

    def __init__(self, parser: argparse.ArgumentParser, title: str) -> None:
        self._group = parser.add_argument_group(title)

    def add(self, flag: str, text: str, **more: Any) -> None:
        field = more.get("dest", flag.removeprefix("--").replace("-", "_"))
        default = getattr(OpenDOptions(), field, None)
        if type(default) in (str, int, float, Decimal):
            text = f"{text} ({default})"
        self._group.add_argument(flag, help=text, **more)


def _add_connection(group: _Group) -> None:
    add = group.add
    add("--host", "address to listen on")
    add("--port", "API port; 0 takes any free one", type=int, metavar="N")
    add("--control-port", "control port (API port + 1)", type=int, metavar="N")
    add("--rsa-key", "PKCS#1 key: encrypts the protocol", type=Path, metavar="FILE")
    seconds: dict[str, Any] = {"type": int, "metavar": "SECONDS"}
    add("--keepalive", "how often clients say they live", dest="keepalive_seconds", **seconds)
    add("--state", "keeps orders and money, also over kill -9", type=Path, metavar="FILE")
    add("--quiet", "log warnings only", action="store_true")


def _add_accounts(group: _Group) -> None:
    add = group.add
    known = ", ".join(_told(account) for account in DEFAULT_ACCOUNTS)
    many: dict[str, Any] = {"action": "append"}
    text = f"repeatable, instead of {known}"
    add("--account", text, type=_account, metavar="ID=ENV:MARKETS", **many)
    add("--cash", "of each account", type=_money, metavar="USD")
    text = "shares that the first simulated US account holds, repeatable"
    add("--position", text, type=_holding, metavar="CODE=N", **many)
    add("--leverage", "buying power / equity; 1 = no margin", type=int, metavar="N")
    add("--shorting", "of what is not held (yes)", action=argparse.BooleanOptionalAction)
    add("--unlock-password", "of the simulated real account", metavar="TEXT")


def _add_market(group: _Group) -> None:
    add = group.add
    listed = " ".join(f"{code}={price}" for code, price in DEFAULT_PRICES.items())
    text = f"lists a symbol, or sets its start price; repeatable ({listed})"
    add("--price", text, action="append", type=_pair, metavar="CODE=USD")
    add("--seed", "of prices, sizes and partial fills", type=int, metavar="N")
    add("--tick", "price step from $1 up", type=_money, metavar="USD")
    add("--spread-ticks", "ask minus bid", type=int, metavar="N")
    add("--depth-levels", "price levels in the order book, each side", type=int, metavar="N")
    text = "shares at each level, half more or less; taken ones are back at the next price step"
    add("--depth-shares", text, type=int, metavar="N")
    add("--depth-gap-ticks", "between two levels", type=int, metavar="N")
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    text = "between price steps; 0 = prices stand still"
    add("--price-interval", text, dest="price_interval_seconds", **seconds)
    add("--price-move-ticks", "largest move in a step", type=int, metavar="N")
    text = "when it trades; calendar: as the New York Stock Exchange, with holidays and half days"
    add("--session", text, choices=SESSIONS)
    text = "starts its own clock there, e.g. 2026-11-27T12:59 (New York, unless a zone is given)"
    add("--clock", text, type=_moment, metavar="TIME")


def _moment(text: str) -> float:
    try:
        return moment(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-27T12:59") from None


def _scenario(text: str) -> Path:
    try:
        return locate(text)
    except OpenDError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_scenarios(group: _Group) -> None:
    add = group.add
    text = f"runs its commands at their moments; a file, or one of {', '.join(names())}"
    add("--scenario", text, type=_scenario, metavar="FILE")
    text = "writes a scenario of this run, to be seen again; begins with empty books"
    add("--record", text, type=Path, metavar="FILE")
    text = "how fast prices, orders, the scenario and a clock that was set go"
    add("--speed", text, type=float, metavar="N")


def _add_orders(group: _Group) -> None:
    add = group.add
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    add("--ack", "to SUBMITTED", dest="ack_seconds", **seconds)
    add("--fill", "to each fill", dest="fill_seconds", **seconds)
    add("--partial-rate", "share of fills that are partial", type=float, metavar="0..1")
    add("--list-scope", "order list: the day's orders, or open ones", choices=LIST_SCOPES)
    add("--limits", "OpenD's request limits (yes)", action=argparse.BooleanOptionalAction)
    add("--limits-scale", "0.1 makes their 30 s windows 3 s", type=float, metavar="N")


_GROUPS: dict[str, Callable[[_Group], None]] = {
    "connection": _add_connection,
    "accounts": _add_accounts,
    "market": _add_market,
    "orders": _add_orders,
    "scenarios": _add_scenarios,
}


def parser(name: str = "bronco opend") -> argparse.ArgumentParser:
    """The command line, options in groups."""
    new = argparse.ArgumentParser(
        name,
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An option that is not given leaves the default to OpenDOptions.
        argument_default=argparse.SUPPRESS,
        usage="bronco opend [OPTION ...] | bronco opend ctl COMMAND ...",
    )
    for title, add in _GROUPS.items():
        add(_Group(new, title))
    return new


def parse(argv: Sequence[str]) -> OpenDOptions:
    """Options from a command line; exits with a usage line on a wrong one."""
    command = parser()
    given = vars(command.parse_args(argv))
    if "scenario" in given:
        given = _with_scenario(given["scenario"], command, argv)
    if "account" in given:
        given["accounts"] = tuple(given.pop("account"))
    if "price" in given:
        given["prices"] = {**DEFAULT_PRICES, **dict(given.pop("price"))}
    given["positions"] = dict(given.pop("position", ()))
    try:
        return OpenDOptions(**given)
    except ValueError as error:
        command.error(str(error))


def _with_scenario(
    path: Path, command: argparse.ArgumentParser, argv: Sequence[str]
) -> dict[str, Any]:
    """The options of its header, and over them those typed."""
    try:
        options = load(path).options
    except OpenDError as error:
        command.error(str(error))
    parser(f"{path}: header").parse_args(options)  # its own mistakes are told as its own
    return vars(command.parse_args([*options, *argv]))


def words(options: OpenDOptions) -> list[str]:
    """The command line that makes these options, all but what is of one run and one machine."""
    found: list[str] = []
    for field in OpenDOptions.__dataclass_fields__:
        if field not in _OF_ONE_RUN:
            found += _word(field, getattr(options, field))
    return found


def _word(field: str, value: Any) -> list[str]:
    flag = "--" + field.removesuffix("_seconds").replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if isinstance(value, dict):
        return [w for code, n in value.items() for w in (flag.removesuffix("s"), f"{code}={n}")]
    if value is None:
        return []
    if field == "clock":
        return [flag, exchange_time(value).replace(" ", "T")]
    if field == "accounts":
        return [word for account in value for word in ("--account", _told(account))]
    return [flag, str(value)]


def _told(account: AccountOptions) -> str:
    markets = ",".join(market.name for market in account.markets)
    return f"{account.id}={account.env.name}:{markets}"
