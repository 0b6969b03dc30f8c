"""receipt: what became of an order, for somebody who believes nobody."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from bronco.receipts import Check

_HELP = """Receipts: request, prices, fills, amounts and every decision on an order.

bronco receipt 42 > receipt.json

bronco receipt verify receipt.json --rpc https://…
"""


class _Receipts(TyperGroup):
    """A word that is no command is an order: `bronco receipt 42`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in Click."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    receipt = typer.Typer(help=_HELP, no_args_is_help=True, cls=_Receipts, rich_markup_mode=None)
    receipt.command()(show)
    receipt.command()(verify)
    app.add_typer(receipt, name="receipt", rich_help_panel="Read")


def show(
    order: Annotated[str, typer.Argument(help="Internal id, request id or workflow id.")],
) -> None:
    """Print the receipt of an order that has ended; the word `show` may be left out."""
    sys.stdout.write(asyncio.run(_made(order)))


def verify(
    file: Annotated[Path, typer.Argument(help="The receipt, as it was printed.")],
    rpc: Annotated[str, typer.Option(help="URL of any node of the chain.")],
    vault: Annotated[
        str, typer.Option(help="The vault it must be of. Default: the one it names.")
    ] = "",
    auditor: Annotated[
        list[str] | None,
        typer.Option(help="Address whose heads count beside those with AUDITOR_ROLE."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a receipt against the chain and the audit log's signed head, with nothing but a node.

    Nothing of Bronco is asked. Compare the vault that is printed with the one you know, or give it.
    """
    body, checks = asyncio.run(_verified(_read(file), rpc, vault, auditor or []))
    good = not any(check.problem for check in checks)
    if as_json:
        found = {check.what: check.problem or "ok" for check in checks}
        where = {"chain_id": body["chain_id"], "vault": body["vault"]}
        write_json({"verified": good, **where, "checks": found})
    else:
        rows = [
            (check.what, "ok" if not check.problem else f"NO: {check.problem}") for check in checks
        ]
        write_table(f"Receipt of {body['request']['id']}", ("what", ""), rows)
        words = "verified" if good else "NOT verified"
        write(f"{words}: vault {body['vault']} on chain {body['chain_id']}")
    if not good:
        raise typer.Exit(1)


async def _made(order: str) -> str:
    from api.orders import one_order
    from bronco.cli.sources import open_store
    from models.receipt import text_of

    with open_store() as store:
        return text_of(await store.receipts.of_order(await one_order(store, order)))


def _read(file: Path) -> bytes:
    from models.errors import InvalidInput

    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput("file", str(file), error.strerror or "it cannot be read") from None


async def _verified(
    text: bytes, url: str, vault: str, auditors: list[str]
) -> "tuple[dict[str, Any], list[Check]]":
    from bronco.receipts import ChainWitness, Check, check_receipt, read_receipt
    from clients.rpc import Rpc
    from models.errors import InvalidInput

    receipt = read_receipt(text)
    body = receipt.body
    if vault and vault.lower() != body["vault"].lower():
        raise InvalidInput("receipt", body["vault"], f"it is of another vault than {vault}")
    rpc = Rpc(url)
    try:
        witness = ChainWitness(rpc, body["chain_id"], body["vault"])
        await witness.check()
        whole = [Check("the receipt's own entries, and their way to signed heads")]
        return body, whole + await check_receipt(receipt, witness, auditors)
    finally:
        await rpc.close()
