"""Who asks: API keys, known by their SHA-256 alone and compared in constant time."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bronco.logs import logger
from clients.api_keys import fits, key_id_of
from models.access import ApiKey, Caller, Role
from models.errors import SourceUnavailable, Unauthorized

if TYPE_CHECKING:
    from clients.store.api_keys import ApiKeys

HEADER = "X-API-Key"
_MADE_BY = "`bronco api-key create` makes one"
_SETTINGS, _STORED = "settings:", "key:"
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
        return (await self.known(text))[0]

    async def known(self, text: str) -> tuple[Caller, str]:
        """Whose key this is, and the key's identity, which opens nothing. Raises as `caller`."""
        if digest := fits(text, self._hashes):
            return _of_settings(digest), _SETTINGS + digest
        key_id = key_id_of(text)
        row = await self._keys.find(key_id) if key_id else None
        if key_id is None or row is None or not fits(text, (row.digest,)):
            raise Unauthorized(self._unknown())
        now = datetime.now(UTC)
        caller = _valid(row, now)
        await self._note(key_id, now)
        return caller, _STORED + key_id

    async def again(self, identity: str) -> Caller:
        """Whose the key is that was known by this identity, if it still opens. Raises as `caller`.

        For a session that a key began: it ends with the key, and its role is the key's of now.
        """
        digest, key_id = identity.removeprefix(_SETTINGS), identity.removeprefix(_STORED)
        if digest != identity and digest in self._hashes:
            return _of_settings(digest)
        row = await self._keys.find(key_id) if key_id != identity else None
        if row is None:
            raise Unauthorized("the key you signed in with is gone: sign in with another")
        return _valid(row, datetime.now(UTC))

    def _unknown(self) -> str:
        said = f"the key in {HEADER} is not one of those known: {_MADE_BY}"
        return said if self._hashes else f"{said}, and BRONCO_API_KEY_HASHES is empty"

    async def _note(self, key_id: str, now: datetime) -> None:
        try:
            await self._keys.used(key_id, now)
        except SourceUnavailable as error:
            # Who may come in does not depend on our noting it.
            _log.warning("key_use_not_noted", key_id=key_id, problem=str(error))


def _of_settings(digest: str) -> Caller:
    return Caller(f"settings:{digest[:8]}", Role.ADMIN, named=False)


def _valid(row: ApiKey, now: datetime) -> Caller:
    if not row.valid(now):
        how = "was revoked" if row.revoked_at else "has expired"
        raise Unauthorized(f"the key in {HEADER} {how}: ask for another, {_MADE_BY}")
    return row.caller
