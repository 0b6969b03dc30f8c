"""A private dev chain."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bronco.processes import ManagedProcess, Program, Ready, free_port, open_home, require_program

HOST = "127.0.0.1"
REMEDY = "run `make setup`, or put Foundry's anvil on PATH"
STATE_INTERVAL_SECONDS = 1


@dataclass(frozen=True)
class Anvil:
    """A dev chain whose accounts come from the mnemonic every Foundry user knows."""

    process: ManagedProcess
    port: int
    chain_id: int
    host: str = HOST
    # https://getfoundry.sh/anvil/reference
    mnemonic: str = "test test test test test test test test test test test junk"

    @property
    def http_url(self) -> str:
        """The JSON-RPC address."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The same over WebSocket, for subscriptions."""
        return f"ws://{self.host}:{self.port}"


async def start_anvil(
    directory: Path,
    block_time: int | None = None,
    persist: bool = False,
    chain_id: int = 31337,
    port: int | None = None,
    extra: Sequence[str] = (),
) -> Anvil:
    """Start anvil; it mines each transaction at once unless `block_time` (seconds) is given.

    With `persist` the chain is on disk every second and at the end: what kill -9 takes away, at
    most a second of blocks, is a reorganisation to whoever saw them.

    Raises:
        ConfigurationError: it is not installed.
        ProcessFailed: it did not come up.
    """
    program = require_program("anvil", REMEDY)
    home = open_home(directory)
    port = port or free_port()
    argv = [str(program), "--host", HOST, "--port", str(port), "--chain-id", str(chain_id)]
    argv += ["--mnemonic", Anvil.mnemonic, "--quiet", *extra]
    if block_time is not None:
        argv += ["--block-time", str(block_time)]
    if persist:
        argv += ["--state", str(home / "state.json"), "--preserve-historical-states"]
        argv += ["--state-interval", str(STATE_INTERVAL_SECONDS)]
    process = ManagedProcess(
        Program(
            "anvil",
            tuple(argv),
            home / "anvil.log",
            ready=_ready(port, chain_id),
            stop_signal=signal.SIGINT,  # it saves its state on this one
        )
    )
    anvil = Anvil(process, port, chain_id)
    await process.start()
    return anvil


def _ready(port: int, chain_id: int) -> Ready:
    async def ready() -> bool:
        try:
            return await asyncio.to_thread(_chain_id, port) == chain_id
        except (OSError, ValueError):
            return False

    return ready


def _chain_id(port: int) -> int:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    request = urllib.request.Request(
        f"http://{HOST}:{port}",
        data=json.dumps(call).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=2) as answer:
        return int(json.load(answer)["result"], 16)
