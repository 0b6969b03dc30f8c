"""A signer as in production: a process of its own, asked over its socket."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bronco.processes import ManagedProcess, Program
from clients.keys import UnsignedTx
from clients.keystore import create_keystore
from clients.private import new_secret, write_private
from clients.signer import RemoteSigner
from clients.wire import SIGN_PATH, STATUS_PATH, SignRequest
from tests.signing import ADDRESS, KEY, LIMITS, VAULT_ADDRESS, tx

TOKEN = new_secret()
PASSWORD = new_secret()


def question(unsigned: UnsignedTx | None = None, **changes: Any) -> dict[str, Any]:
    """What a worker would ask, with some of it changed."""
    return {**SignRequest.of(unsigned or tx()).model_dump(), **changes}


class SignerRig:
    """One signer process with a folder of its own; whatever is in the environment is here."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        files = {"key.json": create_keystore(KEY, PASSWORD, work=2), "password": PASSWORD}
        for name, text in {**files, "token": TOKEN}.items():
            if not (home / name).exists():
                write_private(home / name, text, name)
        self.settings = {
            "BRONCO_CHAIN_ID": "31337",
            "BRONCO_CHAIN_VAULT": VAULT_ADDRESS,
            "BRONCO_SIGNER_ADDRESS": ADDRESS,
            "BRONCO_SIGNER_URL": f"unix:{home / 'signer.sock'}",
            "BRONCO_SIGNER_TOKEN_FILE": str(home / "token"),
            "BRONCO_KEY_KEYSTORE_FILE": str(home / "key.json"),
            "BRONCO_KEY_KEYSTORE_PASSWORD_FILE": str(home / "password"),
            **LIMITS,
            **settings,
        }
        argv = (sys.executable, "-m", "bronco", "signer", "--state", str(home / "state"))
        program = Program(
            "signer", argv, home / "signer.log", ready=self._up, env=self.settings, cwd=home
        )
        self.process = ManagedProcess(program)
        self._http: httpx.AsyncClient | None = None

    @property
    def socket(self) -> Path:
        return self.home / "signer.sock"

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log lines."""
        text = self.process.program.log.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def remote(self, **changes: Any) -> RemoteSigner:
        """As a worker has it; the caller closes it."""
        given = {"address": ADDRESS, "token": TOKEN, **changes}
        return RemoteSigner(self.settings["BRONCO_SIGNER_URL"], **given)

    async def status(self) -> dict[str, Any]:
        """Its own word on what it did."""
        answer = await self.ask("GET", STATUS_PATH)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ask(
        self,
        method: str = "POST",
        path: str = SIGN_PATH,
        body: bytes | dict[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One HTTP request as anybody could make it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        shown = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        if self._http is None:
            url = self.settings["BRONCO_SIGNER_URL"]
            uds = str(self.socket) if url.startswith("unix:") else None
            transport = httpx.AsyncHTTPTransport(uds=uds, verify=False)
            base = "http://signer" if uds else url
            self._http = httpx.AsyncClient(transport=transport, base_url=base, timeout=20)
        return await self._http.request(method, path, content=content, headers=shown)

    async def close(self) -> None:
        """End it."""
        if self._http is not None:
            await self._http.aclose()
        await self.process.stop()

    async def _up(self) -> bool:
        try:
            return bool((await self.ask("GET", STATUS_PATH)).status_code)
        except (httpx.TransportError, OSError):
            return False


@asynccontextmanager
async def running(home: Path, **settings: str) -> AsyncIterator[SignerRig]:
    rig = SignerRig(home, **settings)
    await rig.process.start()
    try:
        yield rig
    finally:
        await rig.close()
