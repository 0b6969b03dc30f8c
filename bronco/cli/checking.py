"""check, settings, migrate: before the first start, and after a change."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from api.health import Readiness
    from bronco.settings import Settings
    from clients.agreeing import AgreeingVault

_PANEL = "Set up"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(check)
    app.command(rich_help_panel=_PANEL)(settings)
    app.command(rich_help_panel=_PANEL)(migrate)


def check(as_json: Json = False) -> None:
    """Check the settings, and whether everything they name answers. Changes nothing."""
    from bronco.settings import Settings

    readiness = asyncio.run(_examine(Settings.load()))
    if as_json:
        write_json(readiness)
    else:
        rows = [
            (name, "ok" if result.ok else "FAILED", f"{result.milliseconds} ms", result.detail)
            for name, result in readiness.checks.items()
        ]
        write_table("", ("what", "", "took", "detail"), rows)
    if not readiness.ready:
        raise typer.Exit(1)


def settings() -> None:
    """Print every setting with its meaning and default, as a .env file."""
    from bronco.settings import example

    write(example().rstrip())


def migrate(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when done.")] = False,
) -> None:
    """Bring the database of BRONCO_DATABASE_URL to today's tables; safe to run again."""
    from bronco.sections import DatabaseSettings
    from bronco.settings import load_section
    from clients.store import upgrade

    upgrade(load_section(DatabaseSettings).url.get_secret_value())
    if not quiet:
        write("the database is up to date")


async def _examine(chosen: "Settings") -> "Readiness":
    # All imports first: they take seconds, which would count against what is checked.
    from api.health import checks_of, examine
    from api.switch import TradingSwitch
    from bronco.cli.sources import open_flags, open_store, open_temporal
    from bronco.logs import Redaction
    from clients.rpc import Rpc
    from workers.clients import agreeing_vault, settler

    async def broker() -> None:
        where = chosen.broker
        _, writer = await asyncio.open_connection(where.host, where.port)
        writer.close()
        await writer.wait_closed()

    async def signer() -> None:
        """It answers, and is for our chain, our vault and our address."""
        asked = settler(chosen.signer)
        try:
            await asked.matches(chosen.chain.id, chosen.chain.vault)
        finally:
            await asked.close()

    async def chain() -> None:
        """The endpoints agree on the chain, hold the vault, and splits come at enough notice."""
        rpcs = [Rpc(url, timeout_seconds=2.0) for url in chosen.chain.endpoints]
        vault = agreeing_vault(chosen.chain, rpcs)
        try:
            await vault.check()
            if not chosen.chain.is_dev:
                await _check_notices(vault, chosen)
        finally:
            await asyncio.gather(*(rpc.close() for rpc in rpcs))

    async with open_flags() as flags:
        with open_store() as store:
            client = await open_temporal()
            checks = checks_of(client, store, flags)
            checks["control workflow"] = TradingSwitch(client).state
            checks |= {"broker (TCP)": broker, "signer": signer}
            checks["chain"] = chain
            return await examine(checks, Redaction(chosen.secrets()))


async def _check_notices(vault: "AgreeingVault", chosen: "Settings") -> None:
    from clients.splits import SplitReader

    head, reader = await vault.head(), SplitReader(vault.rpc)
    for asset in chosen.chain.assets:
        listed = await vault.asset(asset.token, head)
        if listed is not None:
            await reader.check_notice(listed.feed, head, chosen.orders.split_margin_seconds)
