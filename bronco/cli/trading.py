"""pause, resume, status: the operator's hand on trading."""

import asyncio
import getpass
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.backing import read_backing, write_backing
from bronco.cli.noting import note
from bronco.cli.output import (
    NOT_CONFIRMED,
    warn,
    write,
    write_chain,
    write_holds,
    write_in_flight,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    from api.switch import SwitchAnswer
    from clients.flags import Flags
    from models.control import HoldCommand


class SideName(StrEnum):
    """The two sides."""

    BUY = "BUY"
    SELL = "SELL"


Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; people will read it.")]
Symbol = Annotated[str, typer.Option(help="Only this symbol, e.g. AAPL. Default: all.")]
SideOption = Annotated[
    SideName | None, typer.Option("--side", case_sensitive=False, help="Only this side.")
]


def _user(who: str) -> str:
    """Who was named, or runs this; by number where there is no name, as in some containers."""
    try:
        return who or getpass.getuser()
    except (KeyError, OSError):  # a pause is not refused for that
        return f"uid {os.getuid()}"


Who = Annotated[str, typer.Option(help="Who says so. Default: your user name.", callback=_user)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PANEL = "Operate"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(pause)
    app.command(rich_help_panel=_PANEL)(resume)
    app.command(rich_help_panel=_PANEL)(status)


def pause(
    reason: Reason = "",
    symbol: Symbol = "",
    side: SideOption = None,
    who: Who = "",
    cancel_working: Annotated[
        bool,
        typer.Option("--cancel-working", help="Also cancel at the broker what works there."),
    ] = False,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Break glass: halt in Redis, also while Temporal is down."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Hold trading: when this returns, no order is placed; those in flight are named.

    Requests are still taken and wait. Other holds (breakers, other scopes) are not touched.

    bronco pause --reason "exchange maintenance"

    bronco pause --symbol AAPL --side BUY --reason "stock split"

    With --cancel-working what is filled is settled, and an order without a fill waits again.
    """
    command = _command(reason, symbol, side, who)
    command = command.model_copy(update={"cancel_working": cancel_working})
    if direct:
        _only_everything(symbol, side)
        asyncio.run(_halt(command))
    else:
        _show(asyncio.run(_switch("pause", command)), "pause", as_json=as_json)


def resume(
    reason: Reason = "",
    symbol: Symbol = "",
    side: SideOption = None,
    who: Who = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Also lift the break-glass halt in Redis.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Lift the manual hold of the same scope, and wake the orders that waited for it.

    A breaker's hold lifts when its condition is measured clear, not by this.
    """
    command = _command(reason, symbol, side, who)
    if direct:
        _only_everything(symbol, side)
        asyncio.run(_unhalt(command))
    _show(asyncio.run(_switch("resume", command)), "resume", as_json=as_json)


def status(as_json: Json = False) -> None:
    """Whether trading is open, what holds it, what is in flight, and how many orders wait.

    Exit code 3 when a source could not be asked: what is shown then is not all.
    """
    found = asyncio.run(_read_status())
    if as_json:
        write_json(found)
    else:
        _show_status(found)
    if found["problems"]:
        raise typer.Exit(NOT_CONFIRMED)


def _command(reason: str, symbol: str, side: SideName | None, who: str) -> "HoldCommand":
    from models.control import HoldCommand
    from models.errors import InvalidInput
    from models.requests import Side

    symbol = symbol.upper()
    if len(symbol) > 24:
        raise InvalidInput("symbol", symbol, "a symbol has at most 24 characters")
    return HoldCommand(
        reason=reason,
        who=who,
        side=Side(side.value) if side else None,
        symbol=symbol,
    )


def _only_everything(symbol: str, side: SideName | None) -> None:
    if symbol or side:
        raise typer.BadParameter("--direct halts everything: leave --symbol and --side out")


async def _switch(name: str, command: "HoldCommand") -> "SwitchAnswer":
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_temporal

    async with open_flags() as flags:
        switch = TradingSwitch(await open_temporal(), flags)
        change = switch.pause if name == "pause" else switch.resume
        answer = await change(command)
        if name == "resume":
            await _warn_if_halted(flags)
    return answer


async def _warn_if_halted(flags: "Flags") -> None:
    from models.errors import SourceUnavailable

    try:
        halted = await flags.halted()
    except SourceUnavailable as error:
        warn(f"nothing is placed: {error}")
        return
    if halted is not None:
        warn(f"the break-glass halt is still set ({halted}): bronco resume --direct lifts it")


async def _halt(command: "HoldCommand") -> None:
    """Halt in Redis, then signal; either alone stops trading, and is said."""
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_temporal
    from models.errors import SourceUnavailable

    problems = []
    async with open_flags() as flags:
        try:
            await flags.halt(f"{command.reason} ({command.who})".strip())
            write("halted: no placement begins until `bronco resume --direct`")
            write_in_flight(await flags.in_flight())
        except SourceUnavailable as error:
            problems.append(str(error))
    try:
        await TradingSwitch(await open_temporal()).tell("pause", command)
        write("signalled: the control workflow holds trading too")
    except SourceUnavailable as error:
        problems.append(str(error))
    for problem in problems:
        warn(problem)
    if len(problems) < 2:
        await note("halt.set", command.who, command.reason)
    if problems:
        raise typer.Exit(NOT_CONFIRMED if len(problems) == 1 else 1)


async def _unhalt(command: "HoldCommand") -> None:
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_temporal
    from models.errors import SourceUnavailable

    async with open_flags() as flags:
        await flags.unhalt()
    write("the break-glass halt is lifted")
    await note("halt.lifted", command.who, command.reason)
    try:
        # There may be no hold left to lift: whoever found the halt would sleep on.
        await TradingSwitch(await open_temporal()).wake()
    except SourceUnavailable as error:
        warn(f"orders that the halt stopped look again within ten minutes: {error}")


def _show(answer: "SwitchAnswer", name: str, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
    elif answer.result is None:
        write(f"not confirmed: {answer.note}")
    else:
        _show_result(answer, name)
    if not answer.confirmed:
        raise typer.Exit(NOT_CONFIRMED)


def _show_result(answer: "SwitchAnswer", name: str) -> None:
    result = answer.result
    if result is None:
        return
    if result.state.paused:
        write("trading is paused" if name == "pause" else "trading is still paused")
    else:
        write("trading is open" + (", but for what is held" if result.state.holds else ""))
    write_holds(result.state.holds)
    write_in_flight(result.in_flight)
    if result.cancelling:
        write(f"{result.cancelling} working orders are being cancelled at the broker")
    if result.woken:
        write(f"{result.woken} held orders are being woken")
    if result.note:
        write(f"note: {result.note}")


async def _read_status() -> dict[str, Any]:
    from api.chain import chain_watch_status
    from api.control import read_status
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_store, open_temporal
    from models.errors import ConfigurationError, SourceUnavailable

    found: dict[str, Any] = {"trading": None, "chain": None, "orders": None, "problems": []}
    try:
        found["backing"] = await read_backing()
    except (SourceUnavailable, ConfigurationError) as error:
        found["problems"].append(str(error))
    try:
        watched = await chain_watch_status(await open_temporal())
        found["chain"] = watched and watched.model_dump(mode="json")
    except SourceUnavailable as error:
        found["problems"].append(str(error))
    async with open_flags() as flags:
        try:
            trading = await read_status(TradingSwitch(await open_temporal(), flags), flags)
            found["trading"] = trading.model_dump(mode="json")
            if trading.note:
                found["problems"].append(trading.note)
        except SourceUnavailable as error:
            found["problems"].append(str(error))
    with open_store() as store:
        try:
            counts = await store.orders.counts()
            found["orders"] = {
                "by_status": {status.value: n for status, n in counts.by_status.items()},
                "by_stage": {stage.value: n for stage, n in counts.by_stage.items()},
            }
        except SourceUnavailable as error:
            found["problems"].append(str(error))
    return found


def _show_status(found: dict[str, Any]) -> None:
    from api.control import PauseStatus

    if found["trading"] is not None:
        trading = PauseStatus.model_validate(found["trading"])
        if trading.halted is not None:
            write(f"trading is halted (break-glass): {trading.halted}")
        words = "open" if trading.open else "paused" if trading.paused else "closed"
        write(f"trading is {words} (version {trading.version})")
        write_holds(trading.holds)
        write_in_flight(trading.in_flight)
    write_chain(found["chain"])
    write_backing(found.get("backing", []))
    if found["orders"] is not None:
        for name in ("by_status", "by_stage"):
            rows = sorted(found["orders"][name].items())
            write_table("Orders " + name.replace("_", " "), (name[3:], "orders"), rows)
    for problem in found["problems"]:
        warn(problem)
