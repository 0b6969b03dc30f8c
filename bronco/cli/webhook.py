"""webhook: who is told of changes of orders, as over the API."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json, Who

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api.post import Post
    from api.webhooks import DeliveryPage, WebhookList
    from clients.store import Store
    from models.webhooks import Webhook

_HELP = """Tell endpoints of changes of orders, signed (https://www.standardwebhooks.com).

The secret of an endpoint is shown once, on standard output or in a file only you can read. All are
derived from the key in BRONCO_WEBHOOK_KEY_FILE, which API and workers share.

bronco webhook create https://shop.example/hooks --out shop.secret

bronco webhook replay wh_6a1f... --since 2026-01-05T14:30:00Z
"""
T = TypeVar("T")
Id = Annotated[str, typer.Argument(help="endpoint_id, as bronco webhook list shows it.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; for the audit log.")]
Out = Annotated[Path | None, typer.Option(help="File for the secret, not standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    hooks = typer.Typer(help=_HELP, rich_markup_mode=None, no_args_is_help=True)
    hooks.command()(create)
    hooks.command("list")(list_webhooks)
    hooks.command()(deliveries)
    for verb in (rotate, disable, enable, replay, delete):
        hooks.command()(verb)
    app.add_typer(hooks, name="webhook", rich_help_panel="Operate")


def create(
    url: Annotated[str, typer.Argument(help="https: URL of a public host.")],
    description: Annotated[str, typer.Option(help="Whose it is.")] = "",
    out: Out = None,
    who: Who = "",
) -> None:
    """Tell an endpoint of everything from now on; its secret is shown this once."""
    from clients.webhooks import new_endpoint_id

    _free(out)
    post, made = _post(), new_endpoint_id()
    keys = post.secrets()

    async def make(store: "Store") -> "Webhook":
        checked = await post.outside.check(url)
        return await store.webhooks.create(made, checked, description, who, _now())

    row = _with_store(make)
    _hand_out(keys.of(row.endpoint_id, row.version), out)
    write(f"{row.endpoint_id} {row.url}")


def rotate(which: Id, reason: Reason = "", out: Out = None, who: Who = "") -> None:
    """Make another secret, shown this once; the one before signs beside it for a day."""
    _free(out)
    keys = _post().secrets()
    row = _with_store(lambda store: store.webhooks.rotate(which, who, reason, _now()))
    _hand_out(keys.of(row.endpoint_id, row.version), out)


def disable(which: Id, reason: Reason = "", who: Who = "") -> None:
    """Send it nothing for now."""
    _with_store(lambda store: store.webhooks.disable(which, who, reason, _now()))
    write(f"{which} is disabled")


def enable(which: Id, reason: Reason = "", who: Who = "") -> None:
    """Go on where it stopped."""
    _with_store(lambda store: store.webhooks.enable(which, who, reason, _now()))
    write(f"{which} is enabled")


def replay(
    which: Id,
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%SZ"], help="UTC.")],
    who: Who = "",
) -> None:
    """Tell it once more what happened since then, under the same ids."""
    moment = since.replace(tzinfo=UTC)
    _with_store(lambda store: store.webhooks.replay(which, moment, who, _now()))
    write(f"{which} is told again of what happened since {moment:%F %H:%M:%S}Z")


def delete(which: Id, reason: Reason = "", who: Who = "") -> None:
    """Forget it, and what it was not told yet."""
    _with_store(lambda store: store.webhooks.delete(which, who, reason, _now()))
    write(f"{which} is deleted")


def list_webhooks(as_json: Json = False) -> None:
    """Show every endpoint."""
    found = _with_store(_listed)
    if as_json:
        write_json(found)
        return
    heads = ("id", "url", "state", "failures", "failing since", "description")
    rows = [
        (
            view.endpoint_id,
            view.url,
            "active" if view.active else f"disabled: {view.disabled_reason}",
            view.failures,
            f"{view.failing_since:%F %H:%M}Z" if view.failing_since else "",
            view.description,
        )
        for view in found.webhooks
    ]
    write_table("Webhooks", heads, rows)


def deliveries(
    which: Id,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what it was told, and what it is still to be told, newest change first."""
    found = _with_store(lambda store: _told(store, which, limit))
    if as_json:
        write_json(found)
        return
    heads = ("change", "request", "state", "sends", "next", "last answer")
    rows = [
        (
            view.seq,
            view.request_id[:12],
            view.state.value,
            view.attempts,
            f"{view.next_at:%F %H:%M:%S}Z" if view.ended_at is None else "",
            view.last_error or view.last_status or "",
        )
        for view in found.deliveries
    ]
    write_table(f"Deliveries of {which}", heads, rows)


async def _listed(store: "Store") -> "WebhookList":
    from api.webhooks import WebhookList, WebhookView

    rows = await store.webhooks.all()
    return WebhookList(webhooks=[WebhookView.model_validate(row) for row in rows])


async def _told(store: "Store", which: str, limit: int) -> "DeliveryPage":
    from api.webhooks import DeliveryPage, DeliveryView

    await store.webhooks.get(which)
    page = await store.deliveries.page(which, 0, limit)
    views = [DeliveryView.model_validate(row) for row in page.items]
    return DeliveryPage(deliveries=views, next_cursor=page.next_cursor)


def _with_store(ask: "Callable[[Store], Awaitable[T]]") -> T:
    from bronco.cli.sources import open_store

    async def asked() -> T:
        with open_store() as store:
            return await ask(store)

    return asyncio.run(asked())


def _post() -> "Post":
    from api.webhooks import post_of
    from bronco.sections import WebhookSettings
    from bronco.settings import load_section

    return post_of(load_section(WebhookSettings))


def _free(out: Path | None) -> None:
    """Refuse a file that is there before anything is made: its secret would have no place."""
    from models.errors import ConfigurationError

    if out is not None and out.exists():
        raise ConfigurationError("--out", f"{out} is there already; it is not replaced")


def _hand_out(secret: str, out: Path | None) -> None:
    from clients.private import write_private

    if out is None:
        write(secret)
    else:
        write_private(out, f"{secret}\n", "--out")


def _now() -> datetime:
    return datetime.now(UTC)
