"""API keys: known by their SHA-256 alone, compared in constant time."""

import hashlib
import hmac
from collections.abc import Collection
from typing import Annotated

from fastapi import Security
from fastapi.security import APIKeyHeader

from models.errors import Unauthorized

HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="a key whose SHA-256 is configured"
)


class KeyGuard:
    """A dependency that lets only holders of a configured key through."""

    def __init__(self, hashes: Collection[str]) -> None:
        self._hashes = tuple(digest.encode() for digest in hashes)

    def __call__(self, key: Annotated[str | None, Security(HEADER)] = None) -> None:
        """Raise Unauthorized unless the key is one of ours."""
        if not self._hashes:
            raise Unauthorized("no API key is configured: set BRONCO_API_KEY_HASHES")
        if not key:
            raise Unauthorized("send your key in the header X-API-Key")
        if not self._known(key):
            raise Unauthorized("the key in X-API-Key is not one of those configured")

    def _known(self, key: str) -> bool:
        digest = hashlib.sha256(key.encode()).hexdigest().encode()
        # All are compared, so that the time taken does not tell which one was close.
        return sum(hmac.compare_digest(digest, known) for known in self._hashes) > 0
