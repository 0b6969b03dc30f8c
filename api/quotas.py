"""Which quota a request counts in. Pausing has its own: no reading ever keeps it waiting."""

import ipaddress
from enum import StrEnum
from typing import TYPE_CHECKING

from starlette.types import Scope

from api.dashboard.session import PREFIX
from models.access import Caller
from models.errors import RateLimited

if TYPE_CHECKING:
    from bronco.sections import ApiSettings
    from clients.quota import Quotas

_CONTROL = ("/control/", f"{PREFIX}/control/")
_FILES = f"{PREFIX}/static/"
_COSTLY = frozenset({"/quote"})
"""What asks chain and broker anew: counted with the acts."""
_UNCOUNTED = frozenset({"/healthz", "/metrics"})
"""What probes ask, all from one address; none of it reaches the database."""
_SUBNET_BITS = 64


class Bucket(StrEnum):
    """What is counted apart."""

    CONTROL = "control"
    WRITING = "writing"
    READING = "reading"


class Gauge:
    """Lets a caller in as often as the settings say; without a key it counts by address."""

    def __init__(self, quotas: "Quotas", settings: "ApiSettings") -> None:
        self._quotas = quotas
        self._strangers = settings.strangers_per_minute
        self._per_minute = {
            Bucket.CONTROL: settings.control_per_minute,
            Bucket.WRITING: settings.writes_per_minute,
            Bucket.READING: settings.reads_per_minute,
        }

    async def pass_caller(self, scope: Scope, caller: Caller) -> None:
        """Count a request of somebody known.

        Raises:
            RateLimited: too many in the last minute.
        """
        bucket = _bucket(scope)
        await self._take(bucket, caller.name, self._per_minute[bucket])

    async def pass_stranger(self, scope: Scope) -> None:
        """Count a request without a key, or with one that was refused.

        Raises:
            RateLimited: too many from this address in the last minute.
        """
        if scope["path"] not in _UNCOUNTED and not scope["path"].startswith(_FILES):
            await self._take(_bucket(scope), f"address {_address(scope)}", self._strangers)

    async def _take(self, bucket: Bucket, who: str, per_minute: int) -> None:
        seconds = await self._quotas.take(bucket.value, who, per_minute)
        if seconds:
            raise RateLimited(f"{bucket.value} by {who}, {per_minute} a minute", seconds)


def _bucket(scope: Scope) -> Bucket:
    if scope["path"].startswith(_CONTROL):
        return Bucket.CONTROL
    if scope["path"] in _COSTLY:
        return Bucket.WRITING
    return Bucket.READING if scope["method"] in ("GET", "HEAD") else Bucket.WRITING


def _address(scope: Scope) -> str:
    """The caller's address; of IPv6 its network, which is one customer's."""
    host = str((scope.get("client") or ("unknown", 0))[0])
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if found.version == 4:
        return host
    return str(ipaddress.ip_network((host, _SUBNET_BITS), strict=False))
