"""Who asks: API keys, known by their SHA-256 alone and compared in constant time."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bronco.logs import logger
from clients.api_keys import fits, key_id_of
from models.access import Caller, Role
from models.errors import SourceUnavailable, Unauthorized

if TYPE_CHECKING:
    from clients.store.api_keys import ApiKeys

HEADER = "X-API-Key"
_MADE_BY = "`bronco api-key create` makes one"
_log = logger("api")


class KeyRing:
    """Knows the keys in the settings, which are all ADMIN, and those in the database.

    Those of the settings open the API while the database is down, or has no key yet.
    """

    def __init__(self, hashes: Collection[str], keys: "ApiKeys") -> None:
        self._hashes = tuple(hashes)
        self._keys = keys

    async def caller(self, text: str) -> Caller:
        """Whose key this is. Revoked or expired, it is nobody's from that moment on.

        Raises:
            Unauthorized: it is not one of ours, or not any more.
            SourceUnavailable: the database that may know it could not be asked.
        """
        if digest := fits(text, self._hashes):
            return Caller(f"settings:{digest[:8]}", Role.ADMIN, named=False)
        key_id = key_id_of(text)
        row = await self._keys.find(key_id) if key_id else None
        if key_id is None or row is None or not fits(text, (row.digest,)):
            raise Unauthorized(self._unknown())
        now = datetime.now(UTC)
        if not row.valid(now):
            how = "was revoked" if row.revoked_at else "has expired"
            raise Unauthorized(f"the key in {HEADER} {how}: ask for another, {_MADE_BY}")
        await self._note(key_id, now)
        return row.caller

    def _unknown(self) -> str:
        said = f"the key in {HEADER} is not one of those known: {_MADE_BY}"
        return said if self._hashes else f"{said}, and BRONCO_API_KEY_HASHES is empty"

    async def _note(self, key_id: str, now: datetime) -> None:
        try:
            await self._keys.used(key_id, now)
        except SourceUnavailable as error:
            # Who may come in does not depend on our noting it.
            _log.warning("key_use_not_noted", key_id=key_id, problem=str(error))
