"""A little OpenID Connect issuer on a real port: discovery, keys that rotate, and tokens."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bronco.processes import free_port

AUDIENCE = "bronco"
Key = RSAKey | ECKey | OKPKey


class LittleIssuer:
    """keys: those it shows. asked: how often for its keys. up: whether it answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.keys: list[Key] = [new_key("RS256", "one")]
        self.asked = 0
        self.up = True
        self.calls_itself = self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, key: Key | None = None, alg: str = "RS256", **claims: Any) -> str:
        """A token that is good unless the claims say otherwise; None leaves one out."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "user-1",
            "iat": now,
            "exp": now + 300,
            "groups": ["desk"],
        }
        told = {name: value for name, value in (said | claims).items() if value is not None}
        signer = key or self.keys[0]
        return jwt.encode({"alg": alg, "kid": signer.kid}, told, signer, algorithms=[alg])

    async def discover(self, _request: web.Request) -> web.Response:
        self._answer()
        return web.json_response({"issuer": self.calls_itself, "jwks_uri": f"{self.url}/keys"})

    async def show(self, _request: web.Request) -> web.Response:
        self.asked += 1
        self._answer()
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    def _answer(self) -> None:
        if not self.up:
            raise web.HTTPServiceUnavailable


def new_key(alg: str, kid: str) -> Key:
    parameters: Any = {"kid": kid, "use": "sig"}
    if alg == "ES256":
        return ECKey.generate_key("P-256", parameters)
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(2048, parameters)


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[LittleIssuer]:
    issuer = LittleIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.discover)
    app.router.add_get("/keys", issuer.show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", issuer.port).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()
