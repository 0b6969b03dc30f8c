"""approve: an approver's signature for what the vault refuses to a settler alone."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from api.approvals import ApprovalView
    from models.approvals import ApprovalCase, ApprovalGiven


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operate")(approve)


def approve(
    order: Annotated[str, typer.Argument(help="Internal id, request id or workflow id.")],
    signature: Annotated[
        str, typer.Option(help="EIP-712 signature, 65 bytes as 0x hex, made elsewhere.")
    ] = "",
    signer: Annotated[
        str,
        typer.Option(help="Contract wallet (ERC-1271) that signed, with --signature as it wants."),
    ] = "",
    keystore: Annotated[
        Path | None, typer.Option(help="Encrypted keystore file to sign with, on this machine.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the keystore's password.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Show what an order needs approvals for, and hand in one.

    bronco approve 42                                  shows what is to be signed

    bronco approve 42 --json                           with the EIP-712 typed data, for a wallet

    bronco approve 42 --signature 0x...                hands in what a wallet signed

    bronco approve 42 --signer 0x... --signature 0x...     hands in what a contract wallet takes

    bronco approve 42 --keystore key.json --password-file password     signs here
    """
    if signature and keystore:
        raise typer.BadParameter("give either --signature or --keystore")
    if signer and not signature:
        raise typer.BadParameter("--signer needs --signature")
    if keystore and password_file is None:
        raise typer.BadParameter("--keystore needs --password-file")
    if not signature and keystore is None:
        _show(asyncio.run(_read(order)), as_json=as_json)
        return
    if keystore is not None and password_file is not None:
        view = asyncio.run(_read(order))
        if not as_json:
            _show(view, as_json=False)
        if not yes:
            typer.confirm("Sign this?", abort=True)
        signature = _signed(view, keystore, password_file)
    case = asyncio.run(_hand_in(order, _given(signature, who, signer)))
    if as_json:
        write_json(case)
    elif case.missing:
        write(f"Stored. {case.missing} of {case.threshold} approvals are missing.")
    else:
        write("Stored. That is enough: it is sent with its approvals now.")


def _given(signature: str, who: str, signer: str) -> "ApprovalGiven":
    from pydantic import ValidationError

    from models.approvals import ApprovalGiven
    from models.errors import InvalidInput

    try:
        return ApprovalGiven(signature=signature, who=who[:64], signer=signer)
    except ValidationError as error:
        problem = "65 bytes as 0x hex, or a contract's with its address as --signer"
        raise InvalidInput("--signature", signature[:18], problem) from error


def _signed(view: "ApprovalView", keystore: Path, password_file: Path) -> str:
    from clients.approvals import sign_case
    from clients.keystore import keystore_account

    return sign_case(view.case, keystore_account(keystore, password_file))


async def _read(order: str) -> "ApprovalView":
    from api.approvals import ApprovalDesk
    from bronco.cli.sources import open_store, open_temporal

    with open_store() as store:
        return await ApprovalDesk(await open_temporal(), store).case(order)


async def _hand_in(order: str, given: "ApprovalGiven") -> "ApprovalCase":
    from api.approvals import ApprovalDesk
    from bronco.cli.sources import open_store, open_temporal

    with open_store() as store:
        return await ApprovalDesk(await open_temporal(), store).approve(order, given)


def _show(view: "ApprovalView", *, as_json: bool) -> None:
    if as_json:
        write_json(view)
        return
    case = view.case
    rows: list[tuple[str, object]] = [
        ("vault", f"{case.vault} on chain {case.chain_id}"),
        ("request", f"{case.n} ({case.request_id})"),
        ("refused for", case.code),
        ("approvals", f"{len(case.signed)} of {case.threshold}"),
        ("deadline", case.deadline),
        ("digest", case.digest),
    ]
    rows += [(name, value) for name, value in view.typed_data["message"].items()]
    rows += [(one, "has signed" if one in case.signed else "may sign") for one in case.approvers]
    write_table(f"{view.typed_data['primaryType']} to approve", ("field", "value"), rows)
