"""drain: before an upgrade, stop intake and see to it that nothing is under way."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import NOT_CONFIRMED, warn, write, write_in_flight, write_json
from bronco.cli.trading import Who

if TYPE_CHECKING:
    from api.draining import DrainStatus
    from api.switch import SwitchAnswer, TradingSwitch
    from clients.flags import Flags
    from clients.store import Store

_PANEL = "Operate"
_LOOK_SECONDS = 1.0
_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=_PANEL)(drain)


def drain(
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; people read it.")] = "",
    who: Who = "",
    end: Annotated[
        bool, typer.Option("--end", help="End the drain: orders that waited go on.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Give up watching after so many seconds; 0 = never.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Place nothing new, and watch until nothing is at the broker or being settled.

    Requests are still taken and wait, HELD. A drain outlives restarts, and Ctrl-C: it ends by
    --end alone. Exit code 0 when nothing is under way, 3 when something is or could not be asked.

    bronco drain --reason "upgrade to 1.2" && systemctl restart bronco-worker && bronco drain --end
    """
    try:
        asyncio.run(_drain(reason, who, end, timeout, as_json))
    except KeyboardInterrupt:
        warn("not watching any more; the drain stays on: bronco drain watches, --end ends it")
        raise typer.Exit(_INTERRUPTED) from None


async def _drain(reason: str, who: str, end: bool, patience: float, as_json: bool) -> None:
    from api.draining import drain_command
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_store, open_temporal

    async with open_flags() as flags:
        switch = TradingSwitch(await open_temporal(), flags)
        command = drain_command(reason, who)
        answer = await (switch.end_drain(command) if end else switch.drain(command))
        _show(answer, end, as_json)
        if not end:
            with open_store() as store:
                await _until_empty(switch, flags, store, patience, as_json)


def _show(answer: "SwitchAnswer", end: bool, as_json: bool) -> None:
    if answer.result is None:
        warn(f"not confirmed: {answer.note}")
        raise typer.Exit(NOT_CONFIRMED)
    if as_json:
        return
    write("the drain is over" if end else "draining: nothing new is placed")
    write_in_flight(answer.result.in_flight)
    if answer.result.woken:
        write(f"{answer.result.woken} held orders are being woken")
    if answer.result.note:
        write(f"note: {answer.result.note}")
    sys.stdout.flush()


async def _until_empty(
    switch: "TradingSwitch", flags: "Flags", store: "Store", patience: float, as_json: bool
) -> None:
    """Say what is under way whenever that changes, until nothing is.

    Raises:
        Exit: time is up, or somebody ended the drain.
    """
    ends_at = time.monotonic() + patience if patience else float("inf")
    told = None
    while True:
        seen = await _read(switch, flags, store)
        if seen is not None and seen != told:
            told = seen
            _write_line(seen, as_json=as_json)
        if seen is not None and seen.empty:
            return
        if seen is not None and not seen.draining:
            warn("somebody ended the drain")
            raise typer.Exit(NOT_CONFIRMED)
        if time.monotonic() >= ends_at:
            warn("time is up, and the drain stays on")
            raise typer.Exit(NOT_CONFIRMED)
        await asyncio.sleep(_LOOK_SECONDS)


async def _read(switch: "TradingSwitch", flags: "Flags", store: "Store") -> "DrainStatus | None":
    """How far it is; None when that could not be asked, which is not zero."""
    from api.draining import read_drain
    from models.errors import SourceUnavailable

    try:
        return await read_drain(switch, flags, store)
    except SourceUnavailable as error:
        warn(str(error))
        return None


def _write_line(seen: "DrainStatus", *, as_json: bool) -> None:
    """One look, as one line."""
    if as_json:
        write_json(seen)
        sys.stdout.flush()
        return
    words = f"{seen.placing} being placed, {seen.working} at the broker, {seen.settling} settling"
    others = f"; {seen.for_others} wait for signatures or money" if seen.for_others else ""
    done = ": nothing is under way" if seen.empty else ""
    write(f"{words}; {seen.waiting} wait for the end of the drain{others}{done}")
    sys.stdout.flush()  # Whoever reads a pipe wants to see it now.
