"""reference: what a share reference says, and what its second key may do."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bronco.cli.keys import Keystore, PasswordFile, Yes
from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from models.reference import Reference

_HELP = """What prices are measured by: the feed, or for a while a price posted by a second key.

bronco reference show AAPL

bronco reference note AAPL --keystore gas.json --password-file password      often; anybody may

bronco reference post AAPL 190.25 --keystore second.json --password-file password
"""
Symbol = Annotated[str, typer.Argument(help="Which share.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    reference = typer.Typer(help=_HELP, rich_markup_mode=None, no_args_is_help=True)
    reference.command()(show)
    reference.command()(post)
    reference.command()(note)
    app.add_typer(reference, name="reference", rich_help_panel="Operate")


def show(symbol: Symbol, as_json: Json = False) -> None:
    """The feed's word and its age, what was posted, the shares per token, and a split to come.

    Prices are dollars: of the feed and as posted per share, else per token.
    """
    found = asyncio.run(_read(symbol.upper()))
    if as_json:
        write_json(_plain(found))
    else:
        _show(symbol.upper(), found)


def post(
    symbol: Symbol,
    price: Annotated[
        str,
        typer.Argument(help="Dollars per share, e.g. 190.25; no finer than the feed's decimals."),
    ],
    keystore: Keystore,
    password_file: PasswordFile,
    yes: Yes = False,
) -> None:
    """Post a price that stands in for the feed while that is stale and says nothing since.

    The key holds REFERENCE_ROLE of the vault, is no settler, and pays the gas. The price must be
    within the reference's bound of the feed's last word; each post is held against that word anew.
    """
    from bronco.cli.keys import opened

    asyncio.run(_post(symbol.upper(), price, opened(keystore, password_file), yes))


def note(symbol: Symbol, keystore: Keystore, password_file: PasswordFile) -> None:
    """Let the reference remember the feed's word, for when the feed gives no price at all.

    Anybody may, while the feed is live; the key pays the gas.
    """
    from bronco.cli.keys import opened

    asyncio.run(_note(symbol.upper(), opened(keystore, password_file)))


async def _read(symbol: str) -> "Reference":
    from bronco.cli.sources import open_chain
    from bronco.referencing import ReferenceDesk

    async with open_chain() as chain:
        return await (await ReferenceDesk.of(chain.vault, chain.asset(symbol))).read()


async def _post(symbol: str, text: str, account: "LocalAccount", yes: bool) -> None:
    from bronco.cli.sources import open_chain
    from bronco.counter import parse_units
    from bronco.referencing import DECLARING, ReferenceDesk
    from models.reference import shown

    async with open_chain() as chain:
        desk = await ReferenceDesk.of(chain.vault, chain.asset(symbol))
        found = await desk.read()
        price = parse_units("PRICE", text, found.decimals)
        await desk.must_be_allowed(str(account.address))
        found.check(price)
        _show(symbol, found)
        word = f"{shown(price, found.decimals)} a share of {symbol}"
        if not yes:
            typer.confirm(f"Post {word}, for {found.max_age} s at most?", abort=True)
        tx_hash = await desk.post(price, chain.carrier(account, DECLARING))
    write(f"posted {word} in transaction {tx_hash}")
    if found.live:
        write("the feed is live: this stands in only once it is stale, and has said nothing since")


async def _note(symbol: str, account: "LocalAccount") -> None:
    from bronco.cli.sources import open_chain
    from bronco.referencing import DECLARING, ReferenceDesk

    async with open_chain() as chain:
        desk = await ReferenceDesk.of(chain.vault, chain.asset(symbol))
        tx_hash = await desk.note(chain.carrier(account, DECLARING))
    write(f"noted in transaction {tx_hash}")


def _plain(found: "Reference") -> dict[str, Any]:
    """As JSON: prices as exact dollars in text."""
    from dataclasses import asdict

    from models.reference import shown

    plain: dict[str, Any] = asdict(found)
    for name in ("feed_price", "posted", "last_good", "answer"):
        plain[name] = shown(plain[name], found.decimals)
    for name in ("feed_ratio", "ratio"):
        plain[name] = str(getattr(found, name))
    if found.upcoming is not None:
        plain["upcoming"] = found.upcoming._asdict()
    return plain | {"live": found.live, "stands_in": found.stands_in}


def _show(symbol: str, found: "Reference") -> None:
    from models.reference import shown

    def priced(price: int, time: int, words: str) -> str:
        if not price:
            return "none"
        age = f", {found.now - time} s old" if time else ""
        return f"{shown(price, found.decimals)} {words}{age}"

    state = "live" if found.live else f"stale: its heartbeat is {found.heartbeat} s"
    posted = "stands in now" if found.stands_in else "does not count now"
    low, high = (shown(one, found.decimals) for one in found.per_share_bounds)
    coming = found.upcoming
    rows = [
        ("feed", f"{priced(found.feed_price, found.feed_time, 'a share')} ({state})"),
        ("posted", priced(found.posted, found.posted_at, "a share")),
        ("last noted", priced(found.last_good, found.last_good_at, "a token")),
        ("reference now", priced(found.answer, found.answered_at, "a token")),
        ("shares per token", str(found.ratio)),
        (
            "split to come",
            f"{coming.numerator}/{coming.denominator} at {coming.at}" if coming else "none",
        ),
        (
            "may be posted",
            f"{low} to {high} a share, for {found.max_age} s" if found.anchor else "none",
        ),
    ]
    if found.posted:
        rows[1] = ("posted", f"{rows[1][1]} ({posted})")
    write_table(f"Reference of {symbol}", ("what", "now"), rows)
