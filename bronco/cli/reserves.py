"""reserves: what is held against what is owed; publish it signed; verify what was published."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.keys import Keystore, PasswordFile
from bronco.cli.output import NOT_CONFIRMED, warn, write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from api.reserves import ReservesView
    from bronco.cli.sources import OpenChain
    from bronco.publishing import BrokerWord, Publisher
    from clients.broker import BrokerClient
    from clients.reserve_file import AttestedReserves
    from models.assets import Asset

Step = Callable[[], Awaitable[str]]
Held = Callable[[], Awaitable[Mapping[str, int]]]

_FRESH_SECONDS = 180
_AGAIN_SECONDS = 60.0
_HELP = """What is held against what is owed: shares, USDT and the float, as last measured.

Without a command it prints the newest statement."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help=_HELP, rich_markup_mode=None, invoke_without_command=True)
    group.callback()(show)
    group.command()(publish)
    group.command()(verify)
    app.add_typer(group, name="reserves", rich_help_panel="Read")


def show(context: typer.Context, as_json: Json = False) -> None:
    """The newest statement, and what redeems will need."""
    if context.invoked_subcommand:
        return

    async def read() -> "ReservesView":
        from api.reserves import latest, view_of
        from bronco.cli.sources import open_store

        with open_store() as store:
            return view_of(await latest(store), datetime.now(UTC))

    view = asyncio.run(read())
    if as_json:
        write_json(view)
    else:
        _show(view)
    if not view.complete or view.age_seconds > _FRESH_SECONDS:
        raise typer.Exit(NOT_CONFIRMED)


def publish(
    keystore: Keystore,
    password_file: PasswordFile,
    directory: Annotated[
        Path | None, typer.Option(help="Folder to publish in. Default: BRONCO_RESERVES_DIRECTORY.")
    ] = None,
    every: Annotated[
        float, typer.Option(min=0, help="Seconds between two; 0 = once. Runs until Ctrl-C.")
    ] = 0,
    post: Annotated[
        bool, typer.Option("--post", help="Also attest each share to BRONCO_CHAIN_MONITOR.")
    ] = False,
) -> None:
    """Sign the newest statement with the attestor's key and publish it as a file.

    Signed only after this process has read the same from the chain, at the same block, and from
    the broker. The key holds ATTESTOR_ROLE of the vault and is no settler.

    bronco reserves publish --keystore attestor.json --password-file password --every 3600
    """
    from bronco.cli.keys import opened
    from bronco.sections import ReserveSettings
    from bronco.settings import load_section
    from models.errors import ConfigurationError

    folder = directory or load_section(ReserveSettings).directory
    if folder is None:
        raise ConfigurationError("BRONCO_RESERVES_DIRECTORY", "is missing: where to publish")
    account = opened(keystore, password_file)
    asyncio.run(_publishing(account, folder, every, post=post))


def verify(
    file: Annotated[Path, typer.Argument(help="A published statement.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Check only the signature; ask no node.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a published statement: its signature, who may sign, and the chain at its block.

    Needs nothing but the file and a node that keeps the state of that block.

    bronco reserves verify latest.json
    """
    from bronco.publishing import DESKS_WORD
    from clients.reserve_file import read_attested

    found = read_attested(file)
    checks = asyncio.run(_verified(found, offline=offline))
    if as_json:
        told = {"attestor": found.attestor, "checks": dict(checks), "desks_word": DESKS_WORD}
        write_json(told)
    else:
        rows = [(name, "ok" if not wrong else "WRONG", wrong) for name, wrong in checks]
        write_table(f"Signed by {found.attestor}", ("what", "", "why"), rows)
        write(f"nobody but the desk vouches for: {DESKS_WORD}")
    if any(wrong for _, wrong in checks):
        raise typer.Exit(1)


async def _verified(found: "AttestedReserves", *, offline: bool) -> list[tuple[str, str]]:
    from bronco.cli.sources import open_chain
    from bronco.publishing import verify

    if offline:
        return await verify(found, None)
    async with open_chain() as chain:
        return await verify(found, chain.vault)


async def _publishing(account: "LocalAccount", folder: Path, every: float, *, post: bool) -> None:
    from bronco import logs
    from bronco.cli.sources import open_chain, open_store
    from bronco.publishing import Publisher
    from bronco.sections import LogSettings
    from bronco.settings import load_section
    from bronco.trading import BrokerSettings
    from clients.reserve_file import ReserveFolder

    # Before its logger is made: what the link says goes to standard error, not among ours.
    logs.configure(load_section(LogSettings), [])
    from clients.broker import BrokerClient

    broker = BrokerClient(load_section(BrokerSettings), log_home=Path(".bronco"), reads_only=True)
    await broker.start()
    try:
        async with open_chain() as chain:
            with open_store() as store:
                known, files = chain.settings.assets, ReserveFolder(folder)
                publisher = Publisher(store, chain.vault, files, known, lambda: _asked(broker))
                steps: list[Step] = [lambda: _once(publisher, account)]
                if post:
                    steps += _attesting(chain, account, lambda: _held(broker))
                await _repeated(steps, every)
    finally:
        await broker.close()


async def _repeated(steps: Sequence[Step], every: float) -> None:
    """Each round takes all steps, whatever becomes of one; a round that lacks one comes sooner."""
    from models.errors import BroncoError

    while True:
        failed = False
        for step in steps:
            try:
                write(await step())
            except BroncoError as error:
                # The next round may do; reconcile alarms when the newest is too old.
                warn(str(error))
                failed = True
        if not every and failed:
            raise typer.Exit(1)
        if not every:
            return
        await asyncio.sleep(min(every, _AGAIN_SECONDS) if failed else every)


async def _held(broker: "BrokerClient") -> Mapping[str, int]:
    return {one.symbol: one.quantity for one in await broker.positions()}


async def _asked(broker: "BrokerClient") -> "BrokerWord":
    from bronco.publishing import BrokerWord

    held, today = await _held(broker), Counter[str]()
    for order in await broker.orders(refresh=True):
        today[order.symbol] += order.quantity
    return BrokerWord(held, today)


async def _once(publisher: "Publisher", account: "LocalAccount") -> str:
    made = await publisher.publish(account)
    return f"published: block {made.statement.block.number}, signed by {made.attestor}"


def _attesting(chain: "OpenChain", account: "LocalAccount", held: Held) -> list[Step]:
    """Attest each share to the supply monitor; the key pays the gas itself."""
    from bronco.attestor import DECLARING, Attestor
    from bronco.settings import load_section
    from bronco.trading import OrderSettings
    from models.errors import ConfigurationError

    if chain.settings.monitor is None:
        raise ConfigurationError("BRONCO_CHAIN_MONITOR", "is missing: where attestations are kept")
    margin = load_section(OrderSettings).split_margin_seconds
    attestor = Attestor(chain.vault, chain.settings.monitor, split_margin=margin)
    carrier, signer = chain.carrier(account, DECLARING), str(account.address)

    async def attest(asset: "Asset") -> str:
        async def shares() -> int:
            return (await held()).get(asset.symbol, 0)

        draft = await attestor.draft(asset, shares)
        await attestor.must_be_allowed(signer, draft)
        tx_hash = await attestor.post(draft, attestor.signed(draft, account), signer, carrier)
        return f"attested {draft.shares} {asset.symbol}: {tx_hash or 'there already'}"

    return [partial(attest, asset) for asset in chain.settings.assets]


def _show(view: "ReservesView") -> None:
    write(f"block {view.block.number}, measured {view.age_seconds} s ago")
    shares = [
        (
            one.symbol,
            one.held,
            one.house,
            one.in_flight,
            one.held_units,
            one.issued_units,
            one.cover,
        )
        for one in view.shares
    ]
    heads = ("symbol", "held", "house", "in flight", "held units", "issued units", "cover")
    write_table("Shares", heads, shares)
    usdt = [
        (name.removesuffix("_units"), units)
        for name, units in view.usdt.model_dump(mode="json").items()
        if name.endswith("_units")
    ]
    rows: list[tuple[str, object]] = [*usdt, ("beyond liabilities", view.surplus_units)]
    rows += [("float in the vault", view.float.usdt_units)]
    rows += [("float at the broker, cents", view.float.usd_cents)]
    write_table("USDT units", ("what", "units"), rows)
    needs = [
        ("now" if not need.days else f"in {need.days} d", need.need_units, need.have_units,
         need.short_units)
        for need in view.forecast
    ]  # fmt: skip
    write_table("Redeems will need, USDT units", ("until", "need", "free", "missing"), needs)
    for problem in (*view.problems, view.short):
        if problem:
            warn(problem)
