"""claim-ratio: what a person found out about the shares that an order filled in."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write
from bronco.cli.trading import Who

if TYPE_CHECKING:
    from models.records import Placement
    from models.splits import SharesPerToken


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("claim-ratio", rich_help_panel="Operate")(claim_ratio)


def claim_ratio(
    order: Annotated[str, typer.Argument(help="Internal id, request id or workflow id.")],
    attempt: Annotated[int, typer.Argument(min=1, help="Which attempt: see bronco order.")],
    ratio: Annotated[str, typer.Argument(help="Shares per token that it filled in: 4, or 11/10.")],
    reason: Annotated[str, typer.Option(help="How you know: goes into the audit log.")],
    who: Who = "",
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
) -> None:
    """Say which shares an order filled in, when a split makes that uncertain.

    An order of before a split that was seen to fill after it, or whose claim was lost, waits in
    SETTLING: "how many shares a token was ... is not known". Look at the broker's statement first:
    the settlement is computed from what you say, and cannot be taken back.

    bronco claim-ratio 42 1 11/10 --reason "statement of 27 Nov: filled in new shares"
    """
    told = _ratio(ratio)
    if not reason.strip():
        raise typer.BadParameter("say how you know", param_hint="--reason")
    if not yes:
        words = f"Attempt {attempt} of order {order} filled in shares of {told} per token?"
        typer.confirm(words, abort=True)
    row = asyncio.run(_tell(order, attempt, told, who, reason))
    write(f"Written: {row.remark} at {told} shares per token. The order goes on by itself.")


def _ratio(text: str) -> "SharesPerToken":
    from pydantic import ValidationError

    from models.errors import InvalidInput
    from models.splits import SharesPerToken

    numerator, _, denominator = text.partition("/")
    try:
        return SharesPerToken(numerator=int(numerator), denominator=int(denominator or 1))
    except (ValueError, ValidationError) as error:
        raise InvalidInput("ratio", text, "shares per token: 4, or 11/10") from error


async def _tell(
    order: str, attempt: int, ratio: "SharesPerToken", who: str, reason: str
) -> "Placement":
    from api.orders import one_order
    from bronco.cli.sources import open_store

    with open_store() as store:
        row = await one_order(store, order)
        return await store.placements.tell_ratio(
            row.request_id, attempt, ratio, who=who, reason=reason
        )
