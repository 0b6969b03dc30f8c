"""Keys for tests: one per role, with a name of its own."""

import itertools
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI

from api.app import create_app
from bronco.settings import Settings
from clients.api_keys import new_key
from clients.store import Store
from clients.store.api_keys import KeyDraft
from models.access import Role
from tests.integration.control.rig import ControlRig

_numbers = itertools.count(1)


async def new_api_key(store: Store, role: Role, name: str = "", days: float = 1) -> dict[str, str]:
    """The header of a key that was made just now."""
    made = new_key()
    draft = KeyDraft(made.key_id, made.digest, timedelta(days=days), "grace")
    name = name or f"{role.value}-{next(_numbers)}"
    await store.api_keys.create(name, role, draft, datetime.now(UTC))
    return {"X-API-Key": made.text}


def app_of(rig: ControlRig, **api: object) -> FastAPI:
    """The API over the rig, with some of its settings changed."""
    return create_app(changed(rig.settings, **api), rig.client, rig.store, rig.flags)


def changed(settings: Settings, **api: object) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update=api)})


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30)
