"""Sending webhooks: signed as https://www.standardwebhooks.com says, to public hosts alone."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from standardwebhooks import Webhook as Signer
from yarl import URL

from clients.outside import Outside, PublicResolver
from clients.private import read_token
from models.changes import Change
from models.order_view import OrderView
from models.webhooks import Sent, Webhook

TYPE = "order.changed"
_SECRET_BYTES = 32
_SAID_BYTES = 200
_SETTING = "BRONCO_WEBHOOK_KEY_FILE"


class Secrets:
    """Derives each endpoint's secret from the one key, its id and its version; keeps none."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @classmethod
    def of_file(cls, path: Path) -> "Secrets":
        """Of a private file of one line. Raises ConfigurationError: others may read it, ..."""
        return cls(read_token(path, _SETTING))

    def of(self, endpoint_id: str, version: int) -> str:
        """The secret as its owner is told it: whsec_ and base64 of 32 bytes."""
        info = f"bronco webhook {endpoint_id} {version}".encode()
        derived = HKDF(SHA256(), _SECRET_BYTES, salt=None, info=info).derive(self._key)
        return f"whsec_{base64.b64encode(derived).decode()}"


class WebhookSender:
    """Posts deliveries: no redirects, proxies or cookies; of an answer only a line is read."""

    def __init__(self, keys: Secrets, outside: Outside, timeout_seconds: float) -> None:
        self._keys = keys
        self._outside = outside
        self._timeout = ClientTimeout(total=timeout_seconds)
        self._session: ClientSession | None = None

    async def send(self, endpoint: Webhook, change: Change) -> Sent:
        """Post one change; what came of it. Never raises for what the endpoint does."""
        body = body_of(change)
        now = datetime.now(UTC)
        versions = endpoint.versions(now.replace(tzinfo=None))
        keys = [self._keys.of(endpoint.endpoint_id, each) for each in versions]
        headers = headers_of(event_id(change), body, keys, now)
        try:
            return await self._post(endpoint.url, body, headers)
        except TimeoutError:
            return Sent(0, f"no answer within {self._timeout.total:g} s")
        except (ClientError, OSError, ValueError) as error:
            return Sent(0, _words(error))

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, url: str, body: str, headers: Mapping[str, str]) -> Sent:
        target = URL(url)
        host = target.raw_host or ""
        # A host in digits is never resolved.
        if host.replace(".", "").isdigit() or ":" in host:
            self._digits(host)
        session = self._opened()
        async with session.post(
            target, data=body.encode(), headers=headers, allow_redirects=False
        ) as answer:
            said = await answer.content.read(_SAID_BYTES)
        if 200 <= answer.status < 300:
            return Sent(answer.status)
        words = " ".join(said.decode("utf-8", "replace").split())
        return Sent(answer.status, f"it answered {answer.status} {words}".strip())

    def _digits(self, host: str) -> None:
        if not self._outside.allows(host):
            raise OSError(f"{host} is not a public address")

    def _opened(self) -> ClientSession:
        if self._session is None:
            resolver = PublicResolver(self._outside)
            connector = TCPConnector(resolver=resolver, use_dns_cache=False, limit=100)
            self._session = ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=DummyCookieJar()
            )
        return self._session


def new_endpoint_id() -> str:
    """An id that was never one before."""
    return f"wh_{secrets.token_hex(10)}"


def event_id(change: Change) -> str:
    """The id of a change for ever: the same one however often it is sent, to whomever."""
    return f"evt_{hashlib.sha256(change.content.encode()).hexdigest()[:32]}"


def body_of(change: Change) -> str:
    """What is sent: the same text each time."""
    order = OrderView.model_validate(change.data)
    body = {
        "type": TYPE,
        "timestamp": change.at.replace(tzinfo=UTC).isoformat(timespec="microseconds"),
        "data": order.model_dump(mode="json"),
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True)


def headers_of(message_id: str, body: str, keys: Sequence[str], now: datetime) -> Mapping[str, str]:
    """Id, time and signatures: one for each secret that counts now."""
    signatures = [Signer(key).sign(message_id, now, body) for key in keys]
    return {
        "content-type": "application/json",
        "user-agent": "bronco-webhook/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _words(error: Any) -> str:
    return f"not reached: {error}" if str(error) else f"not reached: {type(error).__name__}"
