"""Seals the audit log: each entry gets its place in the chain of hashes, a second after it came."""

import asyncio

import structlog

from clients.store.store import Store
from models.errors import BroncoError

_EVERY_SECONDS = 1.0
_BATCH = 500
_log = structlog.get_logger(__name__)


async def keep_sealing(store: Store) -> None:
    """Until cancelled. Several may run: the store lets one seal at a time."""
    down = False
    while True:
        try:
            while await store.audit.seal(_BATCH) == _BATCH:
                pass
            down = False
        except BroncoError as error:
            if not down:
                _log.warning("sealing_waits", problem=str(error))
            down = True
        await asyncio.sleep(_EVERY_SECONDS)
