"""web3signer: the key stays there, our policy stands before it, and its answer is checked.

https://docs.web3signer.consensys.io/reference/api/json-rpc
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from eth_utils.address import is_address, to_checksum_address

from clients.keys import UnsignedTx
from clients.signed import SignedTx, checked
from clients.signer import trusting
from clients.wire import parsed
from models.errors import ConfigurationError, SourceUnavailable

_TIMEOUT_SECONDS = 4.0
_SETTING = "BRONCO_KEY_WEB3SIGNER_URL"


class Web3SignerKey:
    """One address of a web3signer in eth1 mode, started with the chain id it signs for."""

    def __init__(self, url: str, address: str, session: ClientSession) -> None:
        self._url = url
        self._address = to_checksum_address(address)
        self._session = session

    @classmethod
    async def open(cls, url: str, address: str, ca_file: Path | None = None) -> Web3SignerKey:
        """Connect, and see that it has the key.

        Raises:
            ConfigurationError: no url, or it has no key for this address.
            SourceUnavailable: it does not answer.
        """
        if not url:
            raise ConfigurationError(_SETTING, "is missing")
        tls = trusting(ca_file) if url.startswith("https:") else True
        timeout = ClientTimeout(total=_TIMEOUT_SECONDS)
        session = ClientSession(connector=TCPConnector(ssl=tls), timeout=timeout)
        key = cls(url, address, session)
        try:
            await key._has_key()
        except BaseException:
            await session.close()
            raise
        return key

    @property
    def address(self) -> str:
        """Checksummed address of the key."""
        return self._address

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        """Signed bytes of exactly `tx`. Raises SourceUnavailable."""
        question = {
            "from": self._address,
            "to": tx.to,
            "nonce": hex(tx.nonce),
            "gas": hex(tx.gas),
            "maxFeePerGas": hex(tx.max_fee),
            "maxPriorityFeePerGas": hex(tx.max_priority_fee),
            "value": "0x0",
            "data": tx.data,
        }
        answer = await self._call("eth_signTransaction", question)
        return checked(answer if isinstance(answer, str) else "", tx, self._address)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def _has_key(self) -> None:
        found = await self._call("eth_accounts")
        known = found if isinstance(found, list) else []
        if self._address not in [to_checksum_address(a) for a in known if is_address(a)]:
            raise ConfigurationError(_SETTING, f"{self._url} has no key for {self._address}")

    async def _call(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            async with self._session.post(self._url, json=body, allow_redirects=False) as response:
                answer = parsed(await response.read())
        except (ClientError, OSError, ValueError) as error:
            raise SourceUnavailable("web3signer", method, str(error)) from error
        if not isinstance(answer, dict) or "result" not in answer:
            raise SourceUnavailable("web3signer", method, "it answered with an error")
        return answer["result"]
