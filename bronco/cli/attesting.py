"""attest: sign what the broker's account holds of a share, for the supply monitor."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.keys import Keystore, PasswordFile, Yes
from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from bronco.attestor import Attestor, Draft, SharesOf
    from bronco.cli.sources import OpenChain


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operate")(attest)


def attest(
    symbol: Annotated[str, typer.Argument(help="Which share.")],
    keystore: Keystore,
    password_file: PasswordFile,
    shares: Annotated[
        int | None, typer.Option(help="Whole shares held. Default: as the broker answers.")
    ] = None,
    time: Annotated[
        int | None,
        typer.Option(help="Unix seconds at which --shares were held. Default: the newest block's."),
    ] = None,
    post: Annotated[bool, typer.Option("--post", help="Send it to the monitor.")] = False,
    carrier_keystore: Annotated[
        Path | None, typer.Option(help="Keystore that pays the gas. Default: --keystore.")
    ] = None,
    carrier_password_file: Annotated[
        Path | None, typer.Option(help="File with that keystore's password.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Attest that the broker's account holds so many shares of a token.

    Signed with a key of its own, which holds ATTESTOR_ROLE of the vault and is no settler. Without
    --post it prints the call, which anybody may carry to BRONCO_CHAIN_MONITOR.

    bronco attest AAPL --keystore attestor.json --password-file password --post

    bronco attest AAPL --keystore attestor.json --password-file password --shares 120 --json
    """
    if time is not None and shares is None:
        raise typer.BadParameter("--time needs --shares: the broker says only what it holds now")
    if bool(carrier_keystore) != bool(carrier_password_file):
        raise typer.BadParameter("--carrier-keystore and --carrier-password-file go together")
    from bronco.cli.keys import opened

    account = opened(keystore, password_file)
    carrier = account
    if carrier_keystore and carrier_password_file:
        carrier = opened(carrier_keystore, carrier_password_file)
    found = asyncio.run(
        _attest(symbol.upper(), account, carrier if post else None, shares, time, yes, as_json)
    )
    if as_json:
        write_json(found)
    elif found["there_already"]:
        write("this very attestation is there already")
    elif post:
        write(f"attested in transaction {found['tx_hash']}")
    else:
        write(f"to {found['to']}")
        write(str(found["data"]))


async def _attest(
    symbol: str,
    account: "LocalAccount",
    carrier: "LocalAccount | None",
    shares: int | None,
    time: int | None,
    yes: bool,
    as_json: bool,
) -> dict[str, object]:
    from bronco.attestor import DECLARING, Attestor
    from bronco.cli.sources import open_chain
    from bronco.settings import load_section
    from bronco.trading import OrderSettings
    from models.errors import ConfigurationError

    async with open_chain() as chain:
        if chain.settings.monitor is None:
            problem = "is missing: where attestations are kept"
            raise ConfigurationError("BRONCO_CHAIN_MONITOR", problem)
        margin = load_section(OrderSettings).split_margin_seconds
        attestor = Attestor(chain.vault, chain.settings.monitor, split_margin=margin)
        asset = chain.asset(symbol)
        draft = await attestor.draft(asset, _position(asset.symbol, shares), time)
        signer = str(account.address)
        await attestor.must_be_allowed(signer, draft)
        if not as_json:
            await _show(attestor, draft, signer, chain)
        there = await attestor.is_there(draft, signer)
        if not there and not yes:
            typer.confirm("Sign this?", abort=True, err=as_json)
        call = attestor.signed(draft, account)
        tx_hash = ""
        if carrier is not None and not there:
            tx_hash = await attestor.post(draft, call, signer, chain.carrier(carrier, DECLARING))
            there = not tx_hash
    return {
        "symbol": asset.symbol,
        "shares": draft.shares,
        "backed": str(draft.attestation.backed),
        "time": draft.attestation.time,
        "attestor": signer,
        "to": attestor.monitor.address,
        "data": call,
        "tx_hash": tx_hash,
        "there_already": there,
    }


def _position(symbol: str, given: int | None) -> "SharesOf":
    async def typed() -> int:
        return given or 0

    async def asked() -> int:
        from bronco import logs
        from bronco.sections import LogSettings
        from bronco.settings import load_section
        from bronco.trading import BrokerSettings

        # Before its logger is made: what the link says goes to standard error, not among ours.
        logs.configure(load_section(LogSettings), [])
        from clients.broker import BrokerClient

        settings = load_section(BrokerSettings)
        broker = BrokerClient(settings, log_home=Path(".bronco"), reads_only=True)
        await broker.start()
        try:
            held = await broker.positions()
        finally:
            await broker.close()
        return sum(one.quantity for one in held if one.symbol == symbol)

    return typed if given is not None else asked


async def _show(attestor: "Attestor", draft: "Draft", signer: str, chain: "OpenChain") -> None:
    said = draft.attestation
    rows: list[tuple[str, object]] = [
        ("monitor", f"{attestor.monitor.address} on chain {chain.settings.id}"),
        ("token", f"{said.token} ({draft.asset.symbol})"),
        ("shares held", draft.shares),
        ("shares per token", draft.ratio),
        ("backed", f"{said.backed} token units"),
        ("minted", f"{draft.minted} token units at block {draft.block.number}"),
        ("time", said.time),
        ("signer", signer),
    ]
    write_table("Attestation to sign", ("field", "value"), rows)
