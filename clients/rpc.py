"""One JSON-RPC endpoint over HTTP: bounded calls, and no vendor error that escapes.

Reads only: a failure here never leaves anything undecided. Sending lives in clients/sender.py.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, cast

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    TCPConnector,
)
from eth_typing import URI
from web3._utils.http_session_manager import HTTPSessionManager
from web3.exceptions import Web3Exception
from web3.providers import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from clients.answers import decoded
from models.errors import SourceUnavailable

Call = tuple[str, Sequence[Any]]
DEFAULT_TIMEOUT_SECONDS = 10.0


class _Sessions(HTTPSessionManager):
    """web3's, without its lock: one for all of a process, taken in a thread for each request.

    Who was cancelled while waiting for it took it all the same and never gave it back: no request
    of the process was sent any more, and only a restart helped. One event loop needs none.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    async def async_cache_and_return_session(
        self,
        endpoint_uri: URI,
        session: ClientSession | None = None,
        request_timeout: ClientTimeout | None = None,
    ) -> ClientSession:
        """The session of this endpoint. Awaits nothing, so that nobody comes in between."""
        loop = asyncio.get_running_loop()
        known: ClientSession | None = self.session_cache.get_cache_entry(endpoint_uri)
        if known is None or known.closed or self._loop is not loop:
            connector = TCPConnector(force_close=True, enable_cleanup_closed=True)
            known = session or ClientSession(raise_for_status=True, connector=connector)
            self.session_cache.cache(endpoint_uri, known)
            self._loop = loop
        return known


class _Provider(AsyncHTTPProvider):
    """web3's, but for its sessions and the decoding of what comes."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        # No retries inside: web3 repeats even eth_sendRawTransaction, and what to do after a
        # failure is decided above.
        super().__init__(
            url,
            request_kwargs={"timeout": ClientTimeout(total=timeout_seconds)},
            exception_retry_configuration=None,
        )
        self._request_session_manager = _Sessions()

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        """The answer. Raises ValueError when it is no JSON."""
        return cast(RPCResponse, decoded(raw_response))


class RpcUnreachable(SourceUnavailable):
    """No connection was made, so the request was certainly not received."""


class RpcGarbled(SourceUnavailable):
    """The endpoint answered with something that is no answer to what was asked."""


class AnswerForged(RpcGarbled):
    """The answer contradicts itself: no endpoint that reads the chain can have come by it."""


class RpcRefused(SourceUnavailable):
    """The endpoint answered with an error object.

    data: what a reverted call returned, as hex, else "".
    """

    def __init__(self, source: str, doing: str, error: dict[str, Any]) -> None:
        code = error.get("code")
        self.code = code if isinstance(code, int) else 0
        self.text = str(error.get("message", ""))
        data = error.get("data")
        self.data = data if isinstance(data, str) else ""
        super().__init__(source, doing, f"code {self.code}: {self.text}")


class Reader(Protocol):
    """What reads of the chain need: one endpoint, or several that must agree."""

    @property
    def name(self) -> str:
        """What errors call it."""

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call."""

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls, in their order."""


class Rpc:
    """One endpoint. Usable from one event loop; close() when done."""

    def __init__(
        self, url: str, *, name: str = "chain", timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self.url = url
        self.name = name
        self._timeout = timeout_seconds
        self._provider = _Provider(url, timeout_seconds)

    async def close(self) -> None:
        """Close the connection."""
        await self._provider.disconnect()

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            RpcRefused: the endpoint answered with an error.
            SourceUnavailable: it gave no usable answer.
        """
        response = await self._guarded(
            method, self._provider.make_request(RPCEndpoint(method), list(params))
        )
        return self._result(method, response)

    async def quantity(self, method: str, *params: Any) -> int:
        """The result of a call that answers with a number. Raises as `call`."""
        return quantity(self.name, method, await self.call(method, *params))

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls in one round trip, in their order.

        Raises:
            RpcRefused: any of them was answered with an error.
            SourceUnavailable: there was no usable answer.
        """
        doing = "+".join(dict.fromkeys(method for method, _ in calls))
        requests = [(RPCEndpoint(method), list(params)) for method, params in calls]
        responses = await self._guarded(doing, self._provider.make_batch_request(requests))
        if not isinstance(responses, list):
            self._result(doing, responses)  # one error for the whole batch
            responses = [responses]
        if len(responses) != len(calls):
            raise RpcGarbled(self.name, doing, f"{len(responses)} answers for {len(calls)}")
        if not _one_each(responses):
            raise AnswerForged(self.name, doing, "one call was answered twice, another never")
        return [self._result(doing, response) for response in responses]

    async def _guarded(self, doing: str, work: Any) -> Any:
        try:
            # The provider's own timeout covers the exchange; this one also its session handling.
            async with asyncio.timeout(self._timeout + 1):
                return await work
        except TimeoutError as error:
            raise SourceUnavailable(self.name, doing, f"no answer in {self._timeout} s") from error
        except ClientConnectorError as error:
            raise RpcUnreachable(self.name, doing, f"no connection to {error.host}") from None
        except ClientResponseError as error:
            # Not its text: that holds the URL, and with it often the provider's API key.
            raise SourceUnavailable(self.name, doing, f"HTTP {error.status}") from None
        except (ClientError, OSError, Web3Exception) as error:
            raise SourceUnavailable(self.name, doing, type(error).__name__) from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            # What the provider's decoder makes of a malformed answer.
            raise RpcGarbled(self.name, doing, type(error).__name__) from error

    def _result(self, doing: str, response: RPCResponse) -> Any:
        if not isinstance(response, dict):
            raise RpcGarbled(self.name, doing, "the answer is no JSON-RPC response")
        error = response.get("error")
        if error is not None:
            known = error if isinstance(error, dict) else {"message": str(error)}
            raise RpcRefused(self.name, doing, dict(known))
        if "result" not in response:
            raise RpcGarbled(self.name, doing, "the answer has neither result nor error")
        return response["result"]


def quantity(source: str, doing: str, value: Any) -> int:
    """A number as endpoints write it, 0x hex. Raises RpcGarbled when it is none."""
    try:
        found = int(value, 16)
    except (TypeError, ValueError) as error:
        raise RpcGarbled(source, doing, "the answer is no number") from error
    if found < 0:
        raise RpcGarbled(source, doing, "the answer is a negative number")
    return found


def _one_each(responses: Sequence[Any]) -> bool:
    """Whether the ids of a batch are its own: they were given out one after the other."""
    ids = [found.get("id") for found in responses if isinstance(found, dict)]
    known = [one for one in ids if isinstance(one, int)]
    return (
        len(known) < len(responses)
        or max(known) - min(known) == len(set(known)) - 1 == len(responses) - 1
    )
