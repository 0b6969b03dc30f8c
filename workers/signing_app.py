"""The signer's HTTP: who may ask, what a question is, and an answer for everything."""

from __future__ import annotations

import asyncio
import hmac
import os
from dataclasses import asdict, dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from clients.auditing import Auditor
from clients.keys import GuardedSigner
from clients.ledger import HourLimits, SigningLedger
from clients.policy import SettlePolicy
from clients.wire import (
    HEAD_PATH,
    MOST_BYTES,
    SIGN_PATH,
    STATUS_PATH,
    VERSION,
    HeadRequest,
    Malformed,
    SignerStatus,
    SignRequest,
)
from models.errors import SigningRefused, SourceUnavailable
from workers.signing_socket import peer_uid


@dataclass(frozen=True)
class Door:
    """Who may ask. token "" = none is asked for; uids empty = our own user alone."""

    token: str
    uids: frozenset[int]
    is_socket: bool

    def stops(self, request: web.Request) -> str:
        """Why this one may not; empty when it may. Asked before anything of it is read."""
        if self.is_socket and (stopped := self._stranger(request)):
            return stopped
        shown = request.headers.get("Authorization", "")
        wanted = f"Bearer {self.token}"
        if self.token and not hmac.compare_digest(_bytes(shown), _bytes(wanted)):
            return "no token, or a wrong one"
        return ""

    def _stranger(self, request: web.Request) -> str:
        sock = request.transport.get_extra_info("socket") if request.transport else None
        uid = peer_uid(sock) if sock is not None else None
        if uid is None:
            # Where the kernel does not say who asks, only a token does.
            return "" if self.token else "this system does not say who asks: set a token"
        return "" if uid in (self.uids or {os.geteuid()}) else f"user {uid} may not ask"


def signing_app(
    signer: GuardedSigner,
    policy: SettlePolicy,
    ledger: SigningLedger,
    hour: HourLimits,
    door: Door,
    timeout_seconds: float,
    auditor: Auditor | None = None,
) -> web.Application:
    """The application; every question ends in `timeout_seconds`."""

    async def sign(request: web.Request) -> web.StreamResponse:
        asked = SignRequest.parse(await request.read())
        try:
            transaction = asked.transaction()
        except SigningRefused as refused:
            signer.refuse(refused.problem, nonce=asked.nonce)
            raise
        signed = await signer.sign(transaction)
        return web.json_response({"version": VERSION, **signed.model_dump()})

    async def audit_head(request: web.Request) -> web.StreamResponse:
        head = HeadRequest.parse(await request.read())
        if auditor is None:
            raise SigningRefused("it holds no audit key: set BRONCO_KEY_AUDIT_KEYSTORE_FILE")
        return web.json_response(auditor.sign(head).model_dump())

    async def status(_: web.Request) -> web.StreamResponse:
        found = SignerStatus(
            address=signer.address,
            chain_id=policy.chain_id,
            vault=policy.vault,
            signed=signer.signed,
            refused=signer.refused,
            used={name: str(value) for name, value in ledger.sums()._asdict().items()},
            allowed={name: str(value) for name, value in asdict(hour).items()},
        )
        return web.json_response(found.model_dump())

    guarded = _guard(signer, door, timeout_seconds)
    app = web.Application(middlewares=[guarded], client_max_size=MOST_BYTES)
    app.router.add_post(SIGN_PATH, sign)
    app.router.add_post(HEAD_PATH, audit_head)
    app.router.add_get(STATUS_PATH, status)
    return app


def _guard(signer: GuardedSigner, door: Door, timeout_seconds: float) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in, bound, and turn every way to fail into an answer without a signature."""
        if stopped := door.stops(request):
            signer.refuse(stopped)
            return _error(401, "unauthorized", stopped)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await handler(request)
        except SigningRefused as refused:
            return _error(403, "refused", refused.problem)
        except Malformed as malformed:
            signer.refuse(str(malformed))
            return _error(400, "malformed", str(malformed))
        except web.HTTPException as wrong:
            signer.refuse(wrong.reason)
            return _error(wrong.status, "malformed", wrong.reason)
        except (SourceUnavailable, TimeoutError) as error:
            return _error(503, "unavailable", str(error) or "no answer in time")

    return guard


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")


def _error(status: int, error: str, detail: str) -> web.Response:
    body = {"version": VERSION, "error": error, "detail": detail}
    return web.json_response(body, status=status)
