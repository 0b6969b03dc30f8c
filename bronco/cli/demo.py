"""demo, stack: everything on this machine, with scenes and without."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.output import hand_out, quoted, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bronco.demo import DemoOptions, DemoReport
    from bronco.play import Ended
    from bronco.scenes import SceneResult
    from bronco.stack import Stack

_PANEL = "Try"
_WIDTH = 110
"""Columns of the table of orders where no terminal says how many there are."""

Embedded = Annotated[
    bool, typer.Option("--embedded", help="SQLite and a Redis in Python, even where others are.")
]
Keep = Annotated[
    Path | None, typer.Option("--keep", metavar="DIR", help="Keep logs and data in this folder.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(demo)
    app.command(rich_help_panel=_PANEL)(stack)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End by itself; 0 only if all went as it should.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write what happened.")
    ] = None,
    keep: Keep = None,
    embedded: Embedded = False,
) -> None:
    """Start everything on this machine and play every scene; stays up until Ctrl-C.

    A chain with the vault, a broker (the OpenD simulator), Temporal, database, Redis, workers and
    the API: real parts, ports of their own, nothing left behind.
    """
    from bronco.demo import DemoOptions, DemoReport
    from bronco.foreground import INTERRUPTED, until_told
    from models.errors import BroncoError

    report = DemoReport()
    work = _show(DemoOptions(embedded=embedded, directory=keep), report, once, json_file)
    try:
        asyncio.run(until_told(work))
    except (BroncoError, OSError) as error:
        report.error = str(error) or type(error).__name__
        warn(report.error)
    if json_file is not None:
        report.save(json_file)
    if report.directory and not report.ok and Path(report.directory).exists():
        warn(f"logs and data are in {report.directory}")
    if report.ok:
        raise typer.Exit(0)
    raise typer.Exit(1 if report.invariants or report.error else INTERRUPTED)


def stack(
    env_file: Annotated[
        Path | None,
        typer.Option("--env", metavar="FILE", help="Write the settings there, not to stdout."),
    ] = None,
    keep: Keep = None,
    embedded: Embedded = False,
) -> None:
    """Start everything on this machine, without scenes; stays up until Ctrl-C.

    Prints the settings of all other commands as a .env file:

    bronco stack --env .env      and in another terminal      bronco deposit 1000 --wait
    """
    from bronco.demo import DemoOptions
    from bronco.foreground import until_told

    asyncio.run(until_told(_serve(DemoOptions(embedded=embedded, directory=keep), env_file)))


async def _show(
    options: "DemoOptions", report: "DemoReport", once: bool, json_file: Path | None
) -> None:
    from bronco.demo import demo as play
    from bronco.foreground import stay

    progress = _Progress(_console(sys.stdout))
    with progress:
        async with play(options, progress, report) as up:
            progress.stop()
            _print_report(report, progress.console)
            if json_file is not None:
                report.save(json_file)
            if not once:
                _print_addresses(report, up, progress.console)
                await stay()
            progress.say("stopping everything")


async def _serve(options: "DemoOptions", env_file: Path | None) -> None:
    from bronco.demo import open_stack
    from bronco.foreground import stay

    progress = _Progress(_console(sys.stderr))
    with progress:
        async with open_stack(options, progress) as up:
            progress.stop()
            hand_out(_env_text(up), env_file)
            progress.line(f"Dashboard {up.api_url}/dashboard · key {up.api_key}")
            progress.line(f"API {up.api_url}/docs · Temporal {up.temporal.ui_url} · Ctrl-C ends it")
            await stay()


def _env_text(up: "Stack") -> str:
    """Settings for a shell or a .env file; the API key, which only its caller holds, as a hint."""
    settings = up.settings.environment()
    lines = [f"{name}={quoted(value)}" for name, value in settings.items() if value]
    hint = f"# header of the API's control calls: X-API-Key: {up.api_key}"
    return "\n".join([hint, *lines]) + "\n"


class _Progress:
    """One line per thing done, and what is being done below them."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self._status: Any = console.status("starting")
        self._began = time.monotonic()

    def __enter__(self) -> "_Progress":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No more live line."""
        self._status.stop()

    def say(self, what: str) -> None:
        """What is being done now."""
        self._status.update(what)
        self._status.start()

    def line(self, text: str) -> None:
        """One line above."""
        self.console.print(text, markup=False, highlight=False)

    def started(self, what: str, seconds: float) -> None:
        """One part of the stack is up."""
        self.line(f"  up   {what}  {seconds:.1f} s")

    def playing(self, title: str) -> None:
        """A scene begins."""
        self.say(title)

    def played(self, result: "SceneResult") -> None:
        """A scene ended."""
        from rich.text import Text

        word, style = ("  ok   ", "green") if result.ok else ("  FAILED ", "bold red")
        text = Text(word, style).append(result.title, "default")
        self.console.print(text.append(f"  {result.seconds:.1f} s", "default"), highlight=False)
        self.console.print(Text(f"       {result.detail}", "dim"))


def _console(stream: Any) -> "Console":
    from rich.console import Console

    console = Console(file=stream)
    return console if console.is_terminal else Console(file=stream, width=_WIDTH)


def _print_report(report: "DemoReport", console: "Console") -> None:
    from rich.box import HORIZONTALS
    from rich.table import Table
    from rich.text import Text

    heads = (
        *("#", "scene\norder", "status\nstage", "shares\nprice", "broker\norder"),
        *("request tx\nend tx", "USDT before\nafter", "shares\nbefore\nafter"),
    )
    table = Table(box=HORIZONTALS, show_lines=True, padding=(0, 1, 0, 0), pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for scene, ended in report.orders:
        table.add_row(*(Text(cell) for cell in _cells(scene, ended)))
    console.print(table)
    for name, verdict in report.invariants.items():
        words = "ok  " if verdict.ok else "BROKEN"
        line = f"  {words} {name.replace('_', ' ')}  {verdict.detail}".rstrip()
        console.print(line, markup=False, highlight=False)
    parts = ", ".join(report.parts.values())
    word = "all as it should be" if report.ok else "NOT as it should be"
    console.print(
        f"{word}: stack up after {report.stack_seconds:.1f} s ({parts}), "
        f"all played and proven after {report.seconds:.1f} s",
        highlight=False,
    )


def _cells(scene: "SceneResult", ended: "Ended") -> "Sequence[str]":
    from models.requests import Side

    row, asked = ended.row, ended.asked
    amount = _usdt(asked.amount) if asked.side is Side.BUY else _shares(asked.amount)
    unit = "USDT" if asked.side is Side.BUY else asked.symbol
    price = f"{row.average_price:f}" if row.filled_quantity else "-"
    return (
        str(asked.made.n),
        f"{scene.name}\n{asked.side.value} {amount} {unit}",
        f"{row.status.value}\n{row.stage.value}{_why(row.reason.value)}",
        f"{_shares(row.filled_quantity)}\n{price}",
        "\n".join(order.id for order in ended.orders) or "-",
        f"{_short(asked.made.tx_hash)}\n{_short(ended.event.tx_hash)}",
        f"{_usdt(asked.before.usdt)}\n{_usdt(ended.after.usdt)}",
        f"{_shares(asked.before.shares)}\n{_shares(ended.after.shares)}",
    )


def _print_addresses(report: "DemoReport", up: "Stack", console: "Console") -> None:
    env = _write_env(report, up)
    lines = [
        f"Dashboard        {up.api_url}/dashboard   (sign in with the key {up.api_key})",
        f"API              {up.api_url}/docs   (X-API-Key: {up.api_key})",
        f"Temporal Web UI  {up.temporal.ui_url}",
        f"In another shell set -a; . {env}; set +a; {sys.argv[0]} deposit 500 --wait",
        "Ctrl-C ends everything.",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write_env(report: "DemoReport", up: "Stack") -> Path:
    path = Path(report.directory) / "demo.env"
    hand_out(_env_text(up), path)
    return path


def _usdt(units: int) -> str:
    whole, rest = divmod(units, 10**6)
    return f"{whole:,}.{rest:06d}".rstrip("0") if rest else f"{whole:,}"


def _shares(units: int) -> str:
    whole, rest = divmod(units, 10**18)
    return f"{whole}" if not rest else f"{whole}.{rest:018d}".rstrip("0")


def _why(reason: str) -> str:
    return "" if reason == "NONE" else f"\n{reason}"


def _short(tx_hash: str) -> str:
    return f"{tx_hash[:6]}…{tx_hash[-4:]}"
