"""The flags on fakeredis' TCP server, which the embedded stack uses."""

import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from fakeredis import TcpFakeServer

from clients.flags import Flags
from tests.contracts.flags import *  # noqa: F403


@pytest.fixture
def flags_url() -> Iterator[str]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
async def flags(flags_url: str) -> AsyncIterator[Flags]:
    opened = Flags(flags_url)
    yield opened
    await opened.close()
