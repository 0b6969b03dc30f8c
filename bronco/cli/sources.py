"""What a command talks to, opened from the settings it needs and closed after it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.client import Client

    from clients.flags import Flags
    from clients.store import Store


async def open_temporal() -> "Client":
    """A client that connects on first use."""
    from api.switch import operator_client
    from bronco.sections import TemporalSettings
    from bronco.settings import load_section

    settings = load_section(TemporalSettings)
    return await operator_client(settings.address, settings.namespace)


@asynccontextmanager
async def open_flags() -> "AsyncIterator[Flags]":
    """Redis."""
    from bronco.sections import RedisSettings
    from bronco.settings import load_section
    from clients.flags import Flags

    flags = Flags(load_section(RedisSettings).url.get_secret_value())
    try:
        yield flags
    finally:
        await flags.close()


@contextmanager
def open_store() -> "Iterator[Store]":
    """The database."""
    from bronco.sections import DatabaseSettings
    from bronco.settings import load_section
    from clients.store import Store

    store = Store(load_section(DatabaseSettings).url.get_secret_value(), pool_size=4)
    try:
        yield store
    finally:
        store.close()
