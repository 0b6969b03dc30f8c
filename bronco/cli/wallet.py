"""deposit, redeem: a user's wallet on a dev chain."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.output import NOT_CONFIRMED, write, write_json
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from bronco.counter import Typed

_PANEL = "Try"

Symbol = Annotated[str, typer.Option(help="Which share.")]
Limit = Annotated[
    str, typer.Option(metavar="PRICE", help="USDT per share, fee included. Default: market.")
]
User = Annotated[int, typer.Option(min=0, help="Which of the dev chain's users.")]
Lifetime = Annotated[int, typer.Option(min=1, help="Seconds until the request's deadline.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the vault has ended it.")]
Timeout = Annotated[float, typer.Option(min=0, help="Longest wait, seconds.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(deposit)
    app.command(rich_help_panel=_PANEL)(redeem)


def deposit(
    amount: Annotated[str, typer.Argument(help="USDT, e.g. 1000 or 999.50.")],
    symbol: Symbol = "AAPL",
    limit: Limit = "",
    user: User = 0,
    lifetime: Lifetime = 3600,
    wait: Wait = False,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Hand USDT to the vault for shares, as a user of a dev chain.

    bronco deposit 1000 --wait

    bronco deposit 1000 --limit 191.50
    """
    from bronco.counter import Typed
    from models.requests import Side

    typed = Typed(Side.BUY, amount, symbol.upper(), limit, lifetime)
    asyncio.run(_hand_in(typed, user, timeout if wait else None, as_json))


def redeem(
    shares: Annotated[str, typer.Argument(help="Shares, at least one.")],
    symbol: Symbol = "AAPL",
    limit: Limit = "",
    user: User = 0,
    lifetime: Lifetime = 3600,
    wait: Wait = False,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Hand shares to the vault for USDT, as a user of a dev chain.

    bronco redeem 2 --wait
    """
    from bronco.counter import Typed
    from models.requests import Side

    typed = Typed(Side.SELL, shares, symbol.upper(), limit, lifetime)
    asyncio.run(_hand_in(typed, user, timeout if wait else None, as_json))


async def _hand_in(typed: "Typed", user: int, patience: float | None, as_json: bool) -> None:
    from bronco.counter import open_counter
    from bronco.settings import load_section
    from bronco.trading import ChainSettings

    async with open_counter(load_section(ChainSettings), user) as counter:
        made = await counter.hand_in(typed)
        if not as_json:
            write(f"request {made.n}, id {made.request_id}")
            write(f"in transaction {made.tx_hash}")
        ended = None if patience is None else await counter.ending(made.n, patience)
        words = counter.in_words(typed, ended) if ended is not None else ""
    if as_json:
        found: dict[str, Any] = {**made._asdict(), "ended": ended.name if ended else None}
        write_json(found | ({"event": ended.model_dump(mode="json")} if ended else {}))
    elif words:
        write(words)
    if patience is not None and ended is None:
        if not as_json:
            write(f"still open after {patience:g} s; see: bronco order {made.request_id}")
        raise typer.Exit(NOT_CONFIRMED)
