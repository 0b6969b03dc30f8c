"""All SQL: who may send, what is to be settled, what the broker holds, and who did what."""

from clients.store.migrate import upgrade
from clients.store.store import Store

__all__ = ["Store", "upgrade"]
