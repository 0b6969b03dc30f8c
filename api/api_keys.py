"""Which keys there are, and ending one. Making one is for `bronco api-key` alone.

A key's text is told once, to whoever makes it, at the machine itself: it never passes through here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.doors import Asking
from api.errors import described
from api.views import Utc, View
from models.access import ApiKey, Role
from models.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from clients.store import Store

_EXAMPLE: dict[str, Any] = {
    "key_id": "3f9a1c07be42",
    "name": "ada",
    "role": "operator",
    "valid": True,
    "created_by": "root",
    "created_at": "2026-01-05T14:30:00Z",
    "expires_at": "2026-04-05T14:30:00Z",
    "revoked_at": None,
    "last_used_at": "2026-01-06T09:12:00Z",
}


class ApiKeyView(View):
    """A key without its text, which nobody but its owner knows.

    valid: neither expired nor revoked. last_used_at: to the minute.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    key_id: str
    name: str
    role: Role
    valid: bool
    created_by: str
    created_at: Utc
    expires_at: Utc
    revoked_at: Utc | None
    last_used_at: Utc | None


class ApiKeyPage(BaseModel):
    """Keys, newest first. next_cursor is empty on the last page."""

    keys: list[ApiKeyView]
    next_cursor: str = Field("", examples=["41"])


class RevokeBody(BaseModel):
    """Why the key ends."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "ada has left"}]}
    )

    reason: str = Field("", max_length=240)


def routes(store: "Store") -> APIRouter:
    """The routes of keys."""
    router = APIRouter(tags=["api keys"])
    errors = described(HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)

    @router.get("/api-keys", responses=errors)
    async def keys(
        cursor: Annotated[str, Query(description="next_cursor of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> ApiKeyPage:
        """Every key there ever was, newest first; those of the settings are not among them."""
        page = await store.api_keys.page(_after(cursor), limit)
        return ApiKeyPage(keys=views_of(page.items), next_cursor=page.next_cursor)

    @router.post("/api-keys/{key_id}/revoke", responses=errors | described(HTTPStatus.NOT_FOUND))
    async def revoke(
        caller: Asking,
        key_id: Annotated[str, Path(description="public part of the key")],
        body: RevokeBody | None = None,
    ) -> ApiKeyView:
        """End a key for good. Whoever sends it is refused from this moment on."""
        if await store.api_keys.find(key_id) is None:
            raise NotFound("key", key_id)
        reason = body.reason if body else ""
        ended = await store.api_keys.revoke(key_id, caller.name, reason, datetime.now(UTC))
        return views_of(ended)[0]

    return router


def views_of(rows: Sequence[ApiKey]) -> list[ApiKeyView]:
    """Rows as they are shown now."""
    now = datetime.now(UTC)
    return [ApiKeyView.model_validate(row.model_dump() | {"valid": row.valid(now)}) for row in rows]


def _after(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and 0 < len(cursor) <= 18):
        remedy = "use next_cursor of the page before, or leave it out"
        raise InvalidInput("cursor", cursor, remedy)
    return int(cursor)
