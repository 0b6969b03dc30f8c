"""Who is told of orders' changes: endpoints, their secrets, and what they were told."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.doors import Asking
from api.errors import described
from api.post import Post
from clients.webhooks import new_endpoint_id
from models.errors import InvalidInput
from models.order_view import Utc, View
from models.webhooks import URL_CHARACTERS, DeliveryState

if TYPE_CHECKING:
    from bronco.sections import WebhookSettings
    from clients.store import Store

_LAST = 18
_EXAMPLE: dict[str, Any] = {
    "endpoint_id": "wh_6a1f0c2b9d3e4f5a6b7c",
    "url": "https://shop.example/hooks/bronco",
    "description": "the shop",
    "active": True,
    "failures": 0,
    "failing_since": None,
    "created_by": "ada",
    "created_at": "2026-01-05T14:30:00Z",
    "disabled_at": None,
    "disabled_reason": "",
}

# Near the calendar's own ends a moment with an offset cannot be told in UTC.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class WebhookView(View):
    """An endpoint, without its secret. failures: sends that failed since the last that did not."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    endpoint_id: str
    url: str
    description: str
    active: bool
    failures: int
    failing_since: Utc | None
    created_by: str
    created_at: Utc
    disabled_at: Utc | None
    disabled_reason: str


class WebhookSecret(WebhookView):
    """An endpoint and its secret, which is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_EXAMPLE | {"secret": "whsec_" + "A" * 43 + "="}]}
    )

    secret: str


class WebhookList(BaseModel):
    """Every endpoint that was not deleted, oldest first."""

    webhooks: list[WebhookView]


class DeliveryView(View):
    """One change that an endpoint is told of. last_status: of its last answer, 0 = none came."""

    seq: int
    request_id: str
    state: DeliveryState
    attempts: int
    last_status: int
    last_error: str
    next_at: Utc
    created_at: Utc
    ended_at: Utc | None


class DeliveryPage(BaseModel):
    """Deliveries, newest change first. next_cursor is empty on the last page."""

    deliveries: list[DeliveryView]
    next_cursor: str = Field("", examples=["41"])


class WebhookBody(BaseModel):
    """Where to tell. The URL's host must have public addresses alone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": _EXAMPLE["url"], "description": "the shop"}]},
    )

    url: str = Field(min_length=1, max_length=URL_CHARACTERS)
    description: str = Field("", max_length=240)


class ReasonBody(BaseModel):
    """Why, for the audit log."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the shop has moved"}]}
    )

    reason: str = Field("", max_length=240)


Id = Annotated[str, Path(max_length=40, description="endpoint_id")]


def post_of(settings: "WebhookSettings") -> Post:
    """What making endpoints needs, of the settings."""
    return Post(settings.key_file, settings.allow_networks, plain=settings.allow_http)


def routes(store: "Store", post: Post) -> APIRouter:
    """The routes of webhooks."""
    router = APIRouter(tags=["webhooks"])
    errors = described(HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)
    found = errors | described(HTTPStatus.NOT_FOUND)
    _endpoints(router, store, post, errors | described(HTTPStatus.CONFLICT), found)
    _verbs(router, store, found)
    return router


def _endpoints(
    router: APIRouter, store: "Store", post: Post, errors: dict[Any, Any], found: dict[Any, Any]
) -> None:
    @router.get("/webhooks", responses=errors)
    async def webhooks() -> WebhookList:
        """Every endpoint."""
        rows = await store.webhooks.all()
        return WebhookList(webhooks=[WebhookView.model_validate(row) for row in rows])

    @router.post("/webhooks", responses=errors, status_code=HTTPStatus.CREATED)
    async def create(caller: Asking, body: WebhookBody, response: Response) -> WebhookSecret:
        """Tell an endpoint of changes of orders from now on. Its secret is shown this once."""
        keys = post.secrets()
        url = await post.outside.check(body.url)
        made = new_endpoint_id()
        row = await store.webhooks.create(made, url, body.description, caller.name, _now())
        return _shown_once(response, row, keys.of(made, row.version))

    @router.post("/webhooks/{webhook_id}/rotate", responses=found | errors)
    async def rotate(
        caller: Asking, webhook_id: Id, response: Response, body: ReasonBody | None = None
    ) -> WebhookSecret:
        """Make another secret, shown this once. The one before signs beside it for a day."""
        keys = post.secrets()
        row = await store.webhooks.rotate(webhook_id, caller.name, _why(body), _now())
        return _shown_once(response, row, keys.of(webhook_id, row.version))

    @router.delete("/webhooks/{webhook_id}", responses=found, status_code=HTTPStatus.NO_CONTENT)
    async def delete(caller: Asking, webhook_id: Id) -> None:
        """Forget an endpoint, and what it was not told yet."""
        await store.webhooks.delete(webhook_id, caller.name, "", _now())


def _verbs(router: APIRouter, store: "Store", found: dict[Any, Any]) -> None:
    @router.post("/webhooks/{webhook_id}/disable", responses=found)
    async def disable(
        caller: Asking, webhook_id: Id, body: ReasonBody | None = None
    ) -> WebhookView:
        """Send it nothing for now; what happens meanwhile is told when it is enabled again."""
        row = await store.webhooks.disable(webhook_id, caller.name, _why(body), _now())
        return WebhookView.model_validate(row)

    @router.post("/webhooks/{webhook_id}/enable", responses=found)
    async def enable(caller: Asking, webhook_id: Id, body: ReasonBody | None = None) -> WebhookView:
        """Go on where it stopped, also after it was disabled because it failed for days."""
        row = await store.webhooks.enable(webhook_id, caller.name, _why(body), _now())
        return WebhookView.model_validate(row)

    @router.post("/webhooks/{webhook_id}/replay", responses=found)
    async def replay(
        caller: Asking,
        webhook_id: Id,
        since: Annotated[
            AwareDatetime, Query(ge=_EARLIEST, le=_LATEST, description="e.g. 2026-01-05T14:30:00Z")
        ],
    ) -> WebhookView:
        """Tell it once more what happened since then, under the same ids."""
        row = await store.webhooks.replay(webhook_id, since, caller.name, _now())
        return WebhookView.model_validate(row)

    @router.get("/webhooks/{webhook_id}/deliveries", responses=found)
    async def deliveries(
        webhook_id: Id,
        cursor: Annotated[str, Query(description="next_cursor of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> DeliveryPage:
        """What it was told, and what it is still to be told."""
        await store.webhooks.get(webhook_id)
        page = await store.deliveries.page(webhook_id, _after(cursor), limit)
        views = [DeliveryView.model_validate(row) for row in page.items]
        return DeliveryPage(deliveries=views, next_cursor=page.next_cursor)


def _shown_once(response: Response, row: Any, secret: str) -> WebhookSecret:
    response.headers["Cache-Control"] = "no-store"
    view = WebhookView.model_validate(row)
    return WebhookSecret(**view.model_dump(), secret=secret)


def _now() -> datetime:
    return datetime.now(UTC)


def _why(body: ReasonBody | None) -> str:
    return body.reason if body else ""


def _after(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _LAST):
        remedy = "use next_cursor of the page before, or leave it out"
        raise InvalidInput("cursor", cursor[:40], remedy)
    return int(cursor)
