"""Sign-ins: an API key typed in once becomes a cookie that is not the key.

The cookie is 256 random bits, of which the database keeps the SHA-256. Each request asks who the
key is now, so a session ends with its key, and its role is never an old one.
"""

import hashlib
import hmac
import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.auth import KeyRing
from models.access import Caller
from models.errors import Unauthorized

if TYPE_CHECKING:
    from clients.store.sessions import Sessions

PREFIX: Final = "/dashboard"
_PLAIN, _SECURE = "bronco_session", "__Host-bronco_session"


class Entrance:
    """Begins, knows and ends sessions. seconds: until one ends by itself."""

    def __init__(self, ring: KeyRing, sessions: "Sessions", seconds: float) -> None:
        self._ring = ring
        self._sessions = sessions
        self._lifetime = timedelta(seconds=seconds)

    async def begin(self, key: str) -> str:
        """The cookie of a new session for whoever has this key.

        Raises:
            Unauthorized: it is no key of ours.
            SourceUnavailable: the database could not be asked.
        """
        caller, identity = await self._ring.known(key)
        token = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        await self._sessions.begin(_digest(token), identity, caller.name, self._lifetime, now)
        return token

    async def caller(self, token: str) -> Caller:
        """Whose session this is. Raises as `begin`."""
        row = await self._sessions.find(_digest(token))
        if row is None or not row.valid(datetime.now(UTC)):
            raise Unauthorized("your session has ended: sign in again")
        return await self._ring.again(row.identity)

    async def end(self, token: str, who: str) -> None:
        """End a session for good. Raises SourceUnavailable: it may go on until its time is over."""
        await self._sessions.end(_digest(token), who, datetime.now(UTC))

    def keep(self, request: HTTPConnection, response: Response, token: str) -> None:
        """Hand the cookie out."""
        response.set_cookie(
            _name(request),
            token,
            max_age=int(self._lifetime.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
            secure=not _on_this_machine(request),
        )


def token_of(request: HTTPConnection) -> str:
    """The session's cookie; empty: there is none."""
    return request.cookies.get(_name(request), "")


def forget(request: HTTPConnection, response: Response) -> None:
    """Take the cookie away."""
    secure = not _on_this_machine(request)
    response.delete_cookie(
        _name(request), path="/", httponly=True, samesite="strict", secure=secure
    )


def csrf_of(token: str) -> str:
    """What a form of this session carries: only who has the cookie can compute it."""
    return hmac.new(token.encode(), b"bronco csrf", hashlib.sha256).hexdigest() if token else ""


def reaches_us_safely(request: HTTPConnection) -> bool:
    """Whether a browser will keep our cookie: over TLS, or on this machine."""
    return request.url.scheme == "https" or _on_this_machine(request)


def _name(request: HTTPConnection) -> str:
    # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    return _PLAIN if _on_this_machine(request) else _SECURE


def _on_this_machine(request: HTTPConnection) -> bool:
    host = request.url.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
