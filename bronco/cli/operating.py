"""retry, refund, cancel: an operator's verbs on one order."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from models.operating import OperatorAct, OperatorAnswer

Key = Annotated[str, typer.Argument(help="Internal id, request id or workflow id.")]
Why = Annotated[str, typer.Option("--reason", "-r", help="Why; for the audit log.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for verb in (retry, refund, cancel):
        app.command(rich_help_panel="Operate")(verb)


def retry(key: Key, reason: Why, who: Who = "", as_json: Json = False) -> None:
    """Have an order look again now, whatever it waits for."""
    _tell("retry", key, reason, who, as_json)


def refund(key: Key, reason: Why, who: Who = "", as_json: Json = False) -> None:
    """Give an order's money back now, before anything of it is at the broker.

    Refused, with the reason, once something is filled or may be at the broker.
    """
    _tell("refund", key, reason, who, as_json)


def cancel(key: Key, reason: Why, who: Who = "", as_json: Json = False) -> None:
    """End what is not filled of an order; what is filled is settled, the rest goes back."""
    _tell("cancel", key, reason, who, as_json)


def _tell(verb: str, key: str, reason: str, who: str, as_json: bool) -> None:
    from models.operating import OperatorAct, Verb

    act = OperatorAct(verb=Verb(verb), who=who, reason=_said(reason))
    answer = asyncio.run(_answer(key, act))
    if as_json:
        write_json(answer)
    else:
        write(f"{key} was {answer.stage.value}: {answer.words}")


def _said(reason: str) -> str:
    from models.errors import InvalidInput
    from models.operating import WHY_CHARACTERS

    said = reason.strip()
    if not said or len(said) > WHY_CHARACTERS:
        raise InvalidInput("reason", reason, f"say why, in 1 to {WHY_CHARACTERS} characters")
    return said


async def _answer(key: str, act: "OperatorAct") -> "OperatorAnswer":
    from api.operating import OrderDesk
    from bronco.cli.sources import open_store, open_temporal

    with open_store() as store:
        return await OrderDesk(await open_temporal(), store).tell(key, act)
