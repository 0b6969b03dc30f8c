"""The signer as workers see it: another process, over a Unix socket or TLS, holding the key."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiohttp import (
    BaseConnector,
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    UnixConnector,
)
from pydantic import ValidationError

from clients.auditing import really_signed
from clients.keys import UnsignedTx
from clients.signed import SignedTx, checked
from clients.wire import (
    HEAD_PATH,
    MOST_BYTES,
    SIGN_PATH,
    STATUS_PATH,
    HeadRequest,
    Malformed,
    SignerStatus,
    SignRequest,
    parsed,
)
from models.audit import SignedHead
from models.drafts import AuditHead
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable

# A signer that is restarted is back within this; below the 15 s that a signing activity has.
_PATIENCE_SECONDS = 6.0
_PAUSE_SECONDS = 0.2
_REFUSALS = frozenset({"refused", "malformed"})


class RemoteSigner:
    """Asks the signer process. Usable from one event loop; close() when done.

    url: unix:path, https://host:port, or http:// on this machine. What comes back is compared with
    what was asked, so a wrong or hostile answer is never broadcast.
    """

    def __init__(
        self,
        url: str,
        *,
        address: str,
        token: str = "",
        ca_file: Path | None = None,
        timeout_seconds: float = 5.0,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._url = url
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._ca_file = ca_file
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self._session: ClientSession | None = None

    @property
    def address(self) -> str:
        """Checksummed address that it must sign for."""
        return self._address

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of exactly `tx`, by our address. Asking again gives the same.

        Raises:
            SigningRefused: the signer's policy does not allow it.
            SourceUnavailable: it does not answer, or what it answers is not what was asked.
        """
        question = SignRequest.of(tx).model_dump_json().encode()
        answer = await self._ask("POST", SIGN_PATH, question, self._patience)
        return checked(str(answer.get("raw")), tx, self.address)

    async def sign_head(self, head: AuditHead, auditor: str) -> SignedHead:
        """The audit key's signature of a head; that key must be this address.

        Raises:
            SigningRefused: the signer holds no audit key.
            SourceUnavailable: it does not answer, or what it answers is not what was asked.
        """
        question = HeadRequest(version=1, seq=head.seq, hash=head.hash).model_dump_json().encode()
        answer = await self._ask("POST", HEAD_PATH, question, self._patience)
        try:
            signed = SignedHead.model_validate(answer)
        except ValidationError as error:
            raise self._failed("its answer is no signed head") from error
        if signed.head != head or signed.signer.lower() != auditor.lower():
            raise self._failed(f"it signed another head, or as {signed.signer}, not {auditor}")
        if not really_signed(signed):
            raise self._failed("its signature of a head is not of its key")
        return signed

    async def status(self) -> SignerStatus:
        """Who it is and what it did. Raises SourceUnavailable at once when it is not there."""
        answer = await self._ask("GET", STATUS_PATH, None, 0.0)
        try:
            return SignerStatus.model_validate(answer)
        except ValidationError as error:
            raise self._failed("its status is none we know") from error

    async def matches(self, chain_id: int, vault: str) -> None:
        """See that it signs for our address, on this chain, for this vault.

        Raises:
            ConfigurationError: it signs for something else.
            SourceUnavailable: it does not answer.
        """
        found = await self.status()
        theirs = (found.address.lower(), found.chain_id, found.vault.lower())
        if theirs != (self.address.lower(), chain_id, vault.lower()):
            said = f"is for {found.address}, chain {found.chain_id}, vault {found.vault}"
            raise ConfigurationError("BRONCO_SIGNER_URL", f"the signer there {said}, not for ours")

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, path: str, body: bytes | None, patience: float
    ) -> dict[str, Any]:
        """One answer. A signer that is not there is waited for; asking twice is harmless."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._once(method, path, body)
            except TimeoutError:
                raise self._failed(f"no answer in {self._timeout:g} s") from None
            except (ClientConnectionError, FileNotFoundError, ConnectionError) as error:
                if loop.time() >= end:
                    raise self._failed(str(error)) from error
            except (ClientError, OSError) as error:
                raise self._failed(str(error)) from error
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _once(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        session = self._opened()
        async with session.request(
            method, path, data=body, headers=self._headers, allow_redirects=False
        ) as response:
            answer = self._object(await self._body(response))
            if response.status == 200:
                return answer
            return self._refused(str(answer.get("error")), str(answer.get("detail")))

    async def _body(self, response: ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > MOST_BYTES:
                raise self._failed("its answer does not end")
        return bytes(body)

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            answer = parsed(text)
        except Malformed:
            answer = None
        if not isinstance(answer, dict):
            raise self._failed("its answer is no JSON object")
        return answer

    def _refused(self, error: str, detail: str) -> dict[str, Any]:
        if error in _REFUSALS:
            raise SigningRefused(detail)
        raise self._failed(f"{error}: {detail}")

    def _opened(self) -> ClientSession:
        if self._session is None:
            base = "http://signer" if self._url.startswith("unix:") else self._url
            self._session = ClientSession(
                base, connector=self._connector(), timeout=ClientTimeout(total=None)
            )
        return self._session

    def _connector(self) -> BaseConnector:
        if self._url.startswith("unix:"):
            return UnixConnector(socket_path(self._url))
        if self._url.startswith("https:"):
            return TCPConnector(ssl=trusting(self._ca_file))
        return TCPConnector()

    def _failed(self, detail: str) -> SourceUnavailable:
        return SourceUnavailable("signer", f"asking {self._url}", detail)


def socket_path(url: str) -> str:
    """Path of a unix: URL."""
    return url.removeprefix("unix:").removeprefix("//")


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A TLS context that verifies, against this file or the system's authorities.

    Raises:
        ConfigurationError: the file holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ConfigurationError("CA file", f"{ca_file} cannot be used ({error})") from error
