"""statement: a day's broker confirms beside its settlements."""

import asyncio
from datetime import date
from typing import Annotated

import typer

from bronco.cli.output import write


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Read")(statement)


def statement(
    day: Annotated[str, typer.Argument(help="Trading day in New York, e.g. 2026-01-05.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of CSV.")] = False,
) -> None:
    """Write what the broker confirmed on a day beside what the vault settled for it.

    bronco statement 2026-01-05 > statement.csv
    """
    asyncio.run(_write(_day(day), as_json))


def _day(text: str) -> date:
    from models.errors import InvalidInput

    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("date", text, "write a day like 2026-01-05") from error


async def _write(day: date, as_json: bool) -> None:
    from api.statements import Format, write_statement
    from bronco.cli.sources import open_store
    from bronco.settings import load_section
    from bronco.signing import LimitSettings

    form = Format.JSON if as_json else Format.CSV
    decimals = load_section(LimitSettings).usdt_decimals
    with open_store() as store:
        async for part in write_statement(store, day, decimals, form):
            write(part.rstrip("\r\n"))
