"""An OpenID Connect issuer: its signing keys, found by discovery, and whether a token is its own.

https://openid.net/specs/openid-connect-discovery-1_0.html
https://www.rfc-editor.org/rfc/rfc8725 (what can be wrong with a JWT)
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from models.errors import SourceUnavailable, Unauthorized

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Never none, and never HS256: with that our own copy of a public key would be a secret."""
_DISCOVERY = "/.well-known/openid-configuration"
_SOURCE = "the OIDC issuer"
_MOST_BYTES = 256 * 1024
_TOKEN_CHARACTERS = 16_384
_TIMEOUT_SECONDS = 5.0
_AGAIN_SECONDS = 10.0
"""Between two questions to the issuer: a token with an unknown key costs it one, not many."""
_TRUSTED_SECONDS = 86_400.0
"""Keys that could not be read again for so long are not believed any more."""


_MISSHAPEN = (ValueError, TypeError, KeyError, AttributeError)


class Expected(NamedTuple):
    """What a token must say. refresh_seconds: keys are read anew after that long."""

    issuer: str
    audience: str
    leeway_seconds: int = 60
    refresh_seconds: float = 3600.0


class Issuer:
    """Keeps the issuer's keys; asks for them again when they are old or one is unknown."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What the token says, if it is the issuer's, for us, and valid now.

        Raises:
            Unauthorized: it is not.
            SourceUnavailable: the issuer's keys are not known and cannot be asked for.
        """
        if len(token) > _TOKEN_CHARACTERS:
            raise Unauthorized("your bearer token is too long")
        try:
            return self._decoded(token, await self._known(self._expected.refresh_seconds))
        except InvalidKeyIdError:
            # A key we have not seen: perhaps the issuer has begun to use another.
            return self._last(token, await self._known(0.0))

    def _last(self, token: str, keys: KeySet) -> Mapping[str, Any]:
        try:
            return self._decoded(token, keys)
        except InvalidKeyIdError:
            raise Unauthorized("your bearer token is signed by a key of nobody we know") from None

    def _decoded(self, token: str, keys: KeySet) -> Mapping[str, Any]:
        try:
            found = jwt.decode(token, keys, algorithms=ALGORITHMS)
            if not found.header.get("kid") and len(keys.keys) > 1:
                raise Unauthorized("your bearer token does not name its key")
            self._checked(found.claims)
        except InvalidKeyIdError:
            raise
        except (JoseError, *_MISSHAPEN) as error:
            # Of the library's text nothing: it may hold what the token said.
            kind = getattr(error, "error", "") or type(error).__name__
            raise Unauthorized(f"your bearer token is not valid: {kind}") from None
        return found.claims

    def _checked(self, claims: dict[str, Any]) -> None:
        registry = jwt.JWTClaimsRegistry(
            leeway=self._expected.leeway_seconds,
            iss={"essential": True, "value": self._expected.issuer},
            aud={"essential": True, "value": self._expected.audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        registry.validate(claims)
        if not isinstance(claims["sub"], str):
            raise ValueError("sub")

    async def _known(self, refresh_seconds: float) -> KeySet:
        """The keys, not older than this where the issuer can be asked and was not just now."""
        async with self._lock:
            now = time.monotonic()
            old = self._keys is None or now - self._read_at >= refresh_seconds
            if old and now - self._asked_at >= _AGAIN_SECONDS:
                self._asked_at = now
                await self._refresh()
            if self._keys is None or time.monotonic() - self._read_at > _TRUSTED_SECONDS:
                raise SourceUnavailable(_SOURCE, "reading its keys", "it did not answer")
            return self._keys

    async def _refresh(self) -> None:
        """Read the keys; on failure those of before stay, and their age."""
        try:
            self._keys = await self._read()
            self._read_at = time.monotonic()
        except (ClientError, OSError, TimeoutError, JoseError, *_MISSHAPEN) as error:
            if self._keys is None:
                said = str(error) or type(error).__name__
                raise SourceUnavailable(_SOURCE, "reading its keys", said) from error

    async def _read(self) -> KeySet:
        issuer = self._expected.issuer
        timeout = ClientTimeout(total=_TIMEOUT_SECONDS)
        async with ClientSession(timeout=timeout) as session:
            told = await _json(session, issuer.rstrip("/") + _DISCOVERY)
            where = told["jwks_uri"]
            if told["issuer"] != issuer:
                raise ValueError("it calls itself something else")
            if not where.startswith(issuer.partition("://")[0] + "://"):
                raise ValueError("its keys are not where they can be believed")
            listed = await _json(session, where)
        usable = [key for key in listed["keys"] if _signs(key)]
        return KeySet.import_key_set({"keys": usable})


async def _json(session: ClientSession, url: str) -> Any:
    async with session.get(url, allow_redirects=False) as answer:
        answer.raise_for_status()
        body = bytearray()
        async for chunk in answer.content.iter_chunked(16_384):
            body += chunk
            if answer.status != 200 or len(body) > _MOST_BYTES:
                raise ValueError(f"it answered {answer.status}, or too much")
    return json.loads(bytes(body))


def _signs(key: Mapping[str, Any]) -> bool:
    """Whether a key of the list may sign tokens for us; a shared secret among them never may."""
    asymmetric = key.get("kty") in ("RSA", "EC", "OKP")
    return asymmetric and key.get("use", "sig") == "sig" and key.get("alg", "RS256") in ALGORITHMS
