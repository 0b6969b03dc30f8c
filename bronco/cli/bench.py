"""bench: what orders cost here, against a floor measured in the same run."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

_PANEL = "Measure"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bench = typer.Typer(no_args_is_help=True, help="Measure Bronco on a stack of its own.")
    bench.command()(orders)
    bench.command()(backlog)
    app.add_typer(bench, name="bench", rich_help_panel=_PANEL)


def orders(
    count: Annotated[int, typer.Option(min=1, help="Orders in the burst.")] = 100,
    singles: Annotated[int, typer.Option(min=1, help="Orders timed one at a time.")] = 30,
    json: Annotated[bool, typer.Option("--json", help="Only the result, as JSON.")] = False,
) -> None:
    """Real orders end to end, beside empty workflows with as many activities and signals.

    Starts its own chain, Temporal, database, Redis, broker simulator and workers, and ends them.
    Nothing else should run on the machine meanwhile: compare within one run, not between runs.
    """
    from bronco.bench.orders import run

    with tempfile.TemporaryDirectory(prefix="bronco-bench-") as directory:
        result = asyncio.run(run(Path(directory), burst=count, singles=singles, report=_report))
    _show(result, json)


def backlog(
    count: Annotated[int, typer.Option(min=1, help="Requests made while nobody ran.")] = 5_000,
    json: Annotated[bool, typer.Option("--json", help="Only the result, as JSON.")] = False,
) -> None:
    """Requests made while all workers were down: how soon each has a workflow, and memory.

    Exits with 1 where 5,000 take two minutes or the watcher grows by more than 50 MiB.
    """
    from bronco.bench.backlog import run

    with tempfile.TemporaryDirectory(prefix="bronco-bench-") as directory:
        result = asyncio.run(run(Path(directory), count=count, report=_report))
    _show(result, json)
    broken = result.broken_promises()
    for words in broken:
        _report(words)
    if broken:
        raise typer.Exit(1)


def _report(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def _show(result: BaseModel, json: bool) -> None:
    if json:
        typer.echo(result.model_dump_json(indent=1))
        return
    for name, value in result.model_dump().items():
        typer.echo(f"{name:26} {value}")
