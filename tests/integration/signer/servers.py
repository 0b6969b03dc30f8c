"""Vault and web3signer as far as the signer uses them, after their published APIs; none runs here.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
https://developer.hashicorp.com/vault/api-docs/auth/approle
https://docs.web3signer.consensys.io/reference/api/json-rpc
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from clients.keys import UnsignedTx, account_of, sign_with
from tests.integration.signer.tls import Authority
from tests.signing import ADDRESS, KEY

VAULT_TOKEN, SECRET_ID, ROLE_ID = "s." + "v" * 24, "secret-id-" + "w" * 20, "settler-role"
NOT_FOUND: dict[str, Any] = {"errors": []}


@asynccontextmanager
async def served(app: web.Application, tls: Authority | None = None) -> AsyncIterator[str]:
    """The application on a free port of this machine; its URL."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert, tls.key)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@dataclass
class FakeVault:
    """One secret at secret/bronco/settler. asked: method and path of each request."""

    secret: dict[str, Any] | None = field(default_factory=lambda: {"private_key": KEY})
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/auth/approle/login", self._login)
        app.router.add_get("/v1/secret/data/bronco/settler", self._read)
        return app

    async def _login(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        given = await request.json()
        if (given.get("role_id"), given.get("secret_id")) != (ROLE_ID, SECRET_ID):
            return web.json_response({"errors": ["invalid role or secret ID"]}, status=400)
        return web.json_response({"auth": {"client_token": VAULT_TOKEN, "lease_duration": 600}})

    async def _read(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.headers.get("X-Vault-Token") != VAULT_TOKEN:
            return web.json_response({"errors": ["permission denied"]}, status=403)
        if self.status != 200:
            return web.json_response(
                {"errors": [f"Vault is unwell, the key is {KEY}"]}, status=self.status
            )
        if self.secret is None:
            return web.json_response(NOT_FOUND, status=404)
        metadata = {"version": 3, "destroyed": False, "deletion_time": ""}
        return web.json_response({"data": {"data": self.secret, "metadata": metadata}})


@dataclass
class FakeWeb3Signer:
    """Signs what it is asked, as changed by `spoil`; answers with `instead` where that is set."""

    accounts: list[str] = field(default_factory=lambda: [ADDRESS.lower()])
    key: str = KEY
    spoil: Callable[[UnsignedTx], UnsignedTx] = lambda tx: tx
    instead: Any = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        call = await request.json()
        self.asked.append(call)
        if call["method"] == "eth_accounts":
            return self._result(self.accounts)
        assert call["method"] == "eth_signTransaction"
        if self.instead is not None:
            return web.json_response(self.instead)
        return self._result(sign_with(account_of(self.key), self.spoil(self._asked(call))).raw)

    def _asked(self, call: dict[str, Any]) -> UnsignedTx:
        (given,) = call["params"]
        assert set(given) == {
            *("from", "to", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas"),
            *("value", "data"),
        }
        assert given["value"] == "0x0"
        return UnsignedTx(
            chain_id=31337,
            to=given["to"],
            nonce=int(given["nonce"], 16),
            gas=int(given["gas"], 16),
            max_fee=int(given["maxFeePerGas"], 16),
            max_priority_fee=int(given["maxPriorityFeePerGas"], 16),
            data=given["data"],
        )

    def _result(self, result: Any) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": result})
