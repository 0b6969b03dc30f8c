"""What each route needs: the one table of it. A route that is not in it does not exist for callers.

Adding a route means adding a line here; a test compares the two.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from models.access import Role


class Need(StrEnum):
    """What a route asks of its caller."""

    NOTHING = "nothing"
    READING = "reading"
    OPERATING = "operating"
    APPROVING = "approving"
    ADMINISTERING = "administering"


MAY: Mapping[Need, frozenset[Role]] = {
    Need.NOTHING: frozenset(Role),
    Need.READING: frozenset(Role),
    Need.OPERATING: frozenset({Role.OPERATOR, Role.ADMIN}),
    Need.APPROVING: frozenset({Role.APPROVER, Role.ADMIN}),
    Need.ADMINISTERING: frozenset({Role.ADMIN}),
}
"""Which role a need is met by."""

ACCESS: Mapping[str, Need] = {
    "GET /healthz": Need.NOTHING,
    "GET /readyz": Need.NOTHING,
    "GET /metrics": Need.NOTHING,
    "GET /status/pause": Need.NOTHING,
    "GET /openapi.json": Need.NOTHING,
    "GET /docs": Need.NOTHING,
    "GET /docs/oauth2-redirect": Need.NOTHING,
    "GET /redoc": Need.NOTHING,
    "GET /quote": Need.READING,
    "GET /stats": Need.READING,
    "GET /statements/{date}": Need.READING,
    "GET /follow/{request_id}": Need.NOTHING,
    "GET /reserves": Need.READING,
    "GET /events": Need.READING,
    "GET /orders": Need.READING,
    "GET /orders/{key}": Need.READING,
    "GET /orders/{key}/approval": Need.READING,
    "GET /orders/{key}/receipt": Need.READING,
    "POST /orders/{key}/approvals": Need.APPROVING,
    "POST /orders/{key}/retry": Need.OPERATING,
    "POST /orders/{key}/refund": Need.OPERATING,
    "POST /orders/{key}/cancel": Need.OPERATING,
    "POST /control/pause": Need.OPERATING,
    "POST /control/resume": Need.OPERATING,
    "GET /webhooks": Need.ADMINISTERING,
    "POST /webhooks": Need.ADMINISTERING,
    "DELETE /webhooks/{webhook_id}": Need.ADMINISTERING,
    "GET /webhooks/{webhook_id}/deliveries": Need.ADMINISTERING,
    "POST /webhooks/{webhook_id}/disable": Need.ADMINISTERING,
    "POST /webhooks/{webhook_id}/enable": Need.ADMINISTERING,
    "POST /webhooks/{webhook_id}/rotate": Need.ADMINISTERING,
    "POST /webhooks/{webhook_id}/replay": Need.ADMINISTERING,
    "GET /status/drain": Need.NOTHING,
    "POST /control/drain": Need.OPERATING,
    "POST /control/drain/end": Need.OPERATING,
    "GET /api-keys": Need.ADMINISTERING,
    "POST /api-keys/{key_id}/revoke": Need.ADMINISTERING,
    "GET /dashboard": Need.READING,
    "GET /dashboard/sign-in": Need.NOTHING,
    "POST /dashboard/sign-in": Need.NOTHING,
    "POST /dashboard/sign-out": Need.NOTHING,
    "GET /dashboard/static/{name}": Need.NOTHING,
    "GET /dashboard/static/vendor/{name}": Need.NOTHING,
    "GET /dashboard/state": Need.READING,
    "GET /dashboard/orders": Need.READING,
    "GET /dashboard/orders/{key}": Need.READING,
    "GET /dashboard/orders/{key}/receipt": Need.READING,
    "POST /dashboard/orders/{key}/retry": Need.OPERATING,
    "POST /dashboard/orders/{key}/refund": Need.OPERATING,
    "POST /dashboard/orders/{key}/cancel": Need.OPERATING,
    "GET /dashboard/events": Need.READING,
    "GET /dashboard/control": Need.READING,
    "GET /dashboard/approvals": Need.READING,
    "POST /dashboard/approvals/{key}": Need.APPROVING,
    "GET /dashboard/audit": Need.READING,
    "GET /dashboard/audit/verify": Need.READING,
    "GET /dashboard/dev": Need.READING,
    "POST /dashboard/dev/wallet": Need.OPERATING,
    "POST /dashboard/dev/fault": Need.OPERATING,
    "POST /dashboard/dev/calm": Need.OPERATING,
    "POST /dashboard/dev/market": Need.OPERATING,
    "POST /dashboard/control/pause": Need.OPERATING,
    "POST /dashboard/control/resume": Need.OPERATING,
    "POST /dashboard/control/drain": Need.OPERATING,
    "POST /dashboard/control/drain/end": Need.OPERATING,
}
"""Method and path of every route, and what it needs; HEAD is as GET."""


class Door(NamedTuple):
    """What a path leads to. needs: by method."""

    path: str
    needs: Mapping[str, Need]

    def need(self, method: str) -> Need | None:
        """What this method needs; None: the path does not take it."""
        return self.needs.get("GET" if method == "HEAD" else method)


def door_of(path: str) -> Door | None:
    """Where a path leads; None: nowhere. Fixed words win over a parameter."""
    return next((door for pattern, door in _DOORS if pattern.fullmatch(path)), None)


def _doors() -> tuple[tuple[re.Pattern[str], Door], ...]:
    needs: dict[str, dict[str, Need]] = {}
    for route, need in ACCESS.items():
        method, path = route.split(" ", 1)
        needs.setdefault(path, {})[method] = need
    paths = sorted(needs, key=lambda path: (path.count("{"), path))
    return tuple((_pattern(path), Door(path, needs[path])) for path in paths)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", path)
    return re.compile("[^/]+".join(re.escape(part) for part in parts), re.DOTALL)


_DOORS = _doors()
