"""house: fills that no request may claim, and what persons do about them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import NOT_CONFIRMED, write, write_json, write_table
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from models.house import HouseOutcome, HouseVerb
    from models.records import HousePosition

_HELP = """Fills that no request may claim: list them, and flatten, adopt or write them off.

Each verb only says what it would do; --yes does it. A position that cost more than
BRONCO_HOUSE_TWO_PERSONS_ABOVE_USD takes two persons: the second gives the same command."""

Position = Annotated[int, typer.Argument(min=1, help="Number of the position: bronco house list.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the audit log.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; else only say what would be done.")]
Wait = Annotated[float, typer.Option(min=1, help="Seconds to wait for the end of it.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    house = typer.Typer(help=_HELP, rich_markup_mode=None, no_args_is_help=True)
    house.command("list")(list_positions)
    house.command()(flatten)
    house.command()(adopt)
    house.command("write-off")(write_off)
    app.add_typer(house, name="house", rich_help_panel="Operate")


def list_positions(as_json: Json = False) -> None:
    """The positions that nobody has dealt with yet, oldest first."""

    async def read() -> "list[HousePosition]":
        from bronco.cli.sources import open_store

        with open_store() as store:
            return await store.house.unresolved()

    rows = asyncio.run(read())
    if as_json:
        write_json({"positions": [row.model_dump(mode="json") for row in rows]})
        return
    heads = ("id", "symbol", "shares", "cost USD", "cause", "broker order", "request")
    names = ("id", "symbol", "quantity", "cost", "cause", "broker_order_id", "request_id")
    write_table("House positions", heads, [[getattr(row, name) for name in names] for row in rows])


def flatten(
    position: Position,
    reason: Reason,
    who: Who = "",
    yes: Yes = False,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> None:
    """Trade it away at the broker: what was bought is sold, what is missing is bought.

    The order is sent once, whoever asks how often. It waits for the session, for every hold but
    the house's own, for its place in line, and for shares or cash that no user's order needs.

    bronco house flatten 7 --reason "late fill after the refund" --yes
    """
    from models.house import HouseVerb

    _tell(HouseVerb.FLATTEN, position, reason, who, yes=yes, wait=wait, as_json=as_json)


def adopt(
    position: Position,
    reason: Reason,
    who: Who = "",
    yes: Yes = False,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> None:
    """Give it to its own request, which by now may claim it: the vault and the store must say so.

    bronco house adopt 7 --reason "the reorganisation was undone" --yes
    """
    from models.house import HouseVerb

    _tell(HouseVerb.ADOPT, position, reason, who, yes=yes, wait=wait, as_json=as_json)


def write_off(
    position: Position,
    reason: Reason,
    who: Who = "",
    yes: Yes = False,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> None:
    """Close it without an order, as a loss or a gain: only when the shares are there no more.

    bronco house write-off 7 --reason "sold by hand in the app, order 123" --yes
    """
    from models.house import HouseVerb

    _tell(HouseVerb.WRITE_OFF, position, reason, who, yes=yes, wait=wait, as_json=as_json)


def _tell(
    verb: "HouseVerb",
    position: int,
    reason: str,
    who: str,
    *,
    yes: bool,
    wait: float,
    as_json: bool,
) -> None:
    from models.house import HouseInput

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    message = HouseInput(
        position_id=position,
        verb=verb,
        who=who[:64],
        reason=reason.strip()[:200],
        act=yes,
    )

    async def ask() -> "HouseOutcome":
        from api.house import HouseDesk
        from bronco.cli.sources import open_temporal

        return await HouseDesk(await open_temporal()).tell(message, wait)

    _show(asyncio.run(ask()), acted=yes, as_json=as_json)


def _show(outcome: "HouseOutcome", *, acted: bool, as_json: bool) -> None:
    if as_json:
        write_json(outcome)
    elif outcome.refused:
        write(f"refused: {outcome.refused}")
    elif outcome.done:
        write(f"done: {outcome.words}")
    elif outcome.waits:
        write(f"{outcome.words}\nwaits: {outcome.waits}".strip())
    else:
        write(f"would: {outcome.words}\nnothing was done: --yes does it")
    if outcome.refused:
        raise typer.Exit(1)
    if acted and not outcome.done:
        raise typer.Exit(NOT_CONFIRMED)
