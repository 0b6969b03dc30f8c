"""api-key: who may use the API, in which role, and until when."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from clients.store.api_keys import KeyDraft
    from models.access import ApiKey

_HELP = """Make, list, rotate and revoke keys of the HTTP API.

The text of a key is shown once, on standard output or in a file only you can read; what is kept is
its SHA-256. Callers send it in the header X-API-Key.

bronco api-key create ada --role operator --out ada.key

bronco api-key rotate ada --overlap-hours 24 --out ada.key    both work until then

bronco api-key revoke ada --reason "has left"
"""


class RoleName(StrEnum):
    """The roles."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="Whose it is: a person or a program, as audited.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")]
Out = Annotated[Path | None, typer.Option(help="File for the key, instead of standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(help=_HELP, rich_markup_mode=None, no_args_is_help=True)
    keys.command()(create)
    keys.command("list")(list_keys)
    keys.command()(rotate)
    keys.command()(revoke)
    app.add_typer(keys, name="api-key", rich_help_panel="Operate")


def create(
    name: Name,
    role: Annotated[RoleName, typer.Option(help="What it may do: see /docs of the API.")],
    expires_days: Days = 90,
    out: Out = None,
    who: Who = "",
) -> None:
    """Make a key. A name that has a valid one already is refused: rotate that one."""
    made = asyncio.run(_create(_named(name), role, expires_days, out, who))
    if out is not None:
        write(f"{made.role.value} {made.name}: {made.key_id}, until {made.expires_at:%F %H:%M}Z")


def rotate(
    name: Name,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=24 * 90, help="How long the old one still works.")
    ] = 24,
    expires_days: Days = 90,
    out: Out = None,
    who: Who = "",
) -> None:
    """Make a second key of the same name and role, and let the first expire."""
    overlap = timedelta(hours=overlap_hours)
    made, old = asyncio.run(_rotate(_named(name), overlap, expires_days, out, who))
    if out is not None:
        write(f"{made.key_id} until {made.expires_at:%F %H:%M}Z")
        write(f"{old.key_id} works until {old.expires_at:%F %H:%M}Z")


def revoke(
    which: Annotated[str, typer.Argument(help="A name: all its keys; or one key's id.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; for the audit log.")] = "",
    who: Who = "",
) -> None:
    """End keys for good: the next request with one is refused."""
    for row in asyncio.run(_revoke(which, who, reason)):
        write(f"{row.key_id} of {row.name} is revoked")


def list_keys(as_json: Json = False) -> None:
    """Show every key there ever was, newest first."""
    from api.api_keys import views_of

    found = views_of(asyncio.run(_list()))
    if as_json:
        write_json({"keys": [view.model_dump(mode="json") for view in found]})
        return
    heads = ("id", "name", "role", "state", "expires", "last used", "made by")
    rows = [
        (
            view.key_id,
            view.name,
            view.role.value,
            "valid" if view.valid else "revoked" if view.revoked_at else "expired",
            f"{view.expires_at:%F %H:%M}Z",
            f"{view.last_used_at:%F %H:%M}Z" if view.last_used_at else "never",
            view.created_by,
        )
        for view in found
    ]
    write_table("API keys", heads, rows)


def _named(name: str) -> str:
    from models.access import KEY_NAME
    from models.errors import InvalidInput

    if not re.match(KEY_NAME, name):
        remedy = "2 to 40 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
        raise InvalidInput("name", name, remedy)
    return name


async def _create(name: str, role: RoleName, days: int, out: Path | None, who: str) -> "ApiKey":
    from bronco.cli.sources import open_store
    from models.access import Role

    with _handing_out(days, who, out) as draft, open_store() as store:
        return await store.api_keys.create(name, Role(role.value), draft, datetime.now(UTC))


async def _rotate(
    name: str, overlap: timedelta, days: int, out: Path | None, who: str
) -> "tuple[ApiKey, ApiKey]":
    from bronco.cli.sources import open_store

    with _handing_out(days, who, out) as draft, open_store() as store:
        return await store.api_keys.rotate(name, draft, overlap, datetime.now(UTC))


@contextmanager
def _handing_out(days: int, who: str, out: Path | None) -> "Iterator[KeyDraft]":
    """Make a key and hand it out, once it is kept; into a file before, one may be refused."""
    from clients.api_keys import new_key
    from clients.private import write_private
    from clients.store.api_keys import KeyDraft

    made = new_key()
    if out is not None:
        write_private(out, made.text + "\n", "key file")
    try:
        yield KeyDraft(made.key_id, made.digest, timedelta(days=days), who)
    except BaseException:
        if out is not None:
            out.unlink()
        raise
    if out is None:
        write(made.text)


async def _revoke(which: str, who: str, reason: str) -> "list[ApiKey]":
    from bronco.cli.sources import open_store

    with open_store() as store:
        return list(await store.api_keys.revoke(which, who, reason, datetime.now(UTC)))


async def _list() -> "list[ApiKey]":
    from bronco.cli.sources import open_store

    found: list[ApiKey] = []
    with open_store() as store:
        while True:
            page = await store.api_keys.page(int(found[-1].id or 0) if found else 0)
            found += page.items
            if not page.next_cursor:
                return found
