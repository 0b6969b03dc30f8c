"""The demo: everything up, every scene played, what happened on the table."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bronco.foreground import go_on
from bronco.play import Ended, open_play
from bronco.proof import Verdict, prove_at_rest
from bronco.scenes import SCENES, SceneResult, play_scene
from bronco.stack import HOST, Stack, StackOptions, stack

# A demo is watched: nobody wants to wait 15 s (OpenD's answer) or 3 x 5 s (between tries).
QUICK: Mapping[str, str] = {
    "BRONCO_ORDERS_TRY_PAUSE_SECONDS": "1",
    "BRONCO_BROKER_CALL_TIMEOUT_SECONDS": "3",
}


class Watcher(Protocol):
    """Who follows the demo as it goes."""

    def started(self, what: str, seconds: float) -> None:
        """One part of the stack is up."""

    def playing(self, title: str) -> None:
        """A scene begins."""

    def played(self, result: SceneResult) -> None:
        """A scene ended."""


@dataclass(frozen=True)
class DemoOptions:
    """directory None = a temporary one, removed in the end unless something failed."""

    embedded: bool = False
    directory: Path | None = None


@dataclass
class DemoReport:
    """What happened. seconds: until the stack was up, and until all was proven."""

    stack_seconds: float = 0.0
    seconds: float = 0.0
    scenes: list[SceneResult] = field(default_factory=list)
    invariants: dict[str, Verdict] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    directory: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether every scene was played and ended as it should, and every invariant holds."""
        played = len(self.scenes) == len(SCENES) and all(scene.ok for scene in self.scenes)
        proven = bool(self.invariants) and all(v.ok for v in self.invariants.values())
        return played and proven and not self.error

    @property
    def orders(self) -> list[tuple[SceneResult, Ended]]:
        """Every request of every scene, by its number."""
        found = [(scene, ended) for scene in self.scenes for ended in scene.orders]
        return sorted(found, key=lambda pair: pair[1].asked.made.n)

    def as_json(self) -> dict[str, Any]:
        """For programs; amounts are text, since they outgrow what JSON readers keep exact."""
        return {
            "ok": self.ok,
            "error": self.error,
            "directory": self.directory,
            "seconds": {"stack": round(self.stack_seconds, 2), "total": round(self.seconds, 2)},
            "parts": self.parts,
            "addresses": self.addresses,
            "scenes": [_scene_json(scene) for scene in self.scenes],
            "invariants": {name: verdict.ok for name, verdict in self.invariants.items()},
            "invariant_details": {n: v.detail for n, v in self.invariants.items() if v.detail},
        }

    def save(self, path: Path) -> None:
        """Write `as_json` to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")


@asynccontextmanager
async def demo(options: DemoOptions, watcher: Watcher, report: DemoReport) -> AsyncIterator[Stack]:
    """Start everything, play every scene, prove the invariants, and fill in the report.

    The body runs while all is still up; everything is ended after it.

    Raises:
        BroncoError, OSError: a part could not be started, or asked.
    """
    began = time.monotonic()
    with _home(options.directory) as home:
        report.directory = str(home.path)
        async with stack(_stack_options(options, home.path), watcher.started) as up:
            report.stack_seconds = time.monotonic() - began
            report.addresses, report.parts = _addresses(up), _parts(up)
            await _play(up, report, watcher)
            report.seconds = time.monotonic() - began
            home.keep = home.keep or not report.ok
            yield up


@asynccontextmanager
async def open_stack(options: DemoOptions, watcher: Watcher) -> AsyncIterator[Stack]:
    """The same stack without scenes, with the settings a deployment has by default."""
    with _home(options.directory) as home:
        plain = replace(_stack_options(options, home.path), settings={})
        async with stack(plain, watcher.started) as up:
            yield up


async def _play(up: Stack, report: DemoReport, watcher: Watcher) -> None:
    async with open_play(up) as play:
        for scene in SCENES:
            go_on()
            watcher.playing(scene.title)
            result = await play_scene(scene, play)
            report.scenes.append(result)
            watcher.played(result)
        go_on()
        watcher.playing("asking chain, broker and database whether the invariants hold")
        report.invariants = await prove_at_rest(up, play.pauses)


@dataclass
class _Home:
    """Where logs and data are. keep: whether they stay."""

    path: Path
    keep: bool


@contextmanager
def _home(directory: Path | None) -> Iterator[_Home]:
    """A temporary folder goes in the end, unless what ran in it broke."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield _Home(directory.resolve(), keep=True)
        return
    home = _Home(Path(tempfile.mkdtemp(prefix="bronco-demo-")), keep=False)
    try:
        yield home
    except Exception:
        home.keep = True
        raise
    finally:
        if not home.keep:
            shutil.rmtree(home.path, ignore_errors=True)


def _stack_options(options: DemoOptions, home: Path) -> StackOptions:
    real = False if options.embedded else None
    return StackOptions(directory=home, settings=QUICK, server_database=real, real_redis=real)


def _addresses(up: Stack) -> dict[str, str]:
    return {
        "api": up.api_url,
        "api_docs": f"{up.api_url}/docs",
        "dashboard": f"{up.api_url}/dashboard",
        "temporal_ui": up.temporal.ui_url or "",
        "temporal": up.temporal.address,
        "chain": up.anvil.http_url,
        "opend": f"{HOST}:{up.opend_port}",
    }


def _parts(up: Stack) -> dict[str, str]:
    embedded = any("embedded" in word for word in up.redis.process.program.argv)
    return {
        "database": "SQLite" if up.database is None else "MariaDB",
        "redis": "embedded" if embedded else "Redis",
    }


def _scene_json(scene: SceneResult) -> dict[str, Any]:
    return {
        "name": scene.name,
        "title": scene.title,
        "ok": scene.ok,
        "detail": scene.detail,
        "seconds": round(scene.seconds, 3),
        "orders": [order_json(ended) for ended in scene.orders],
    }


def order_json(ended: Ended) -> dict[str, Any]:
    """One request with all that became of it. Amounts: base units, as text."""
    row, asked = ended.row, ended.asked
    return {
        "request": asked.made.n,
        "request_id": asked.made.request_id,
        "user": asked.user,
        "side": asked.side.value,
        "symbol": asked.symbol,
        "amount": str(asked.amount),
        "status": row.status.value,
        "stage": row.stage.value,
        "reason": row.reason.value,
        "error_msg": row.error_msg,
        "quantity": str(row.filled_quantity or row.quantity),
        "average_price": str(row.average_price),
        "broker_orders": [order.id for order in ended.orders],
        "request_tx": asked.made.tx_hash,
        "end_tx": ended.event.tx_hash,
        "usdt_before": str(asked.before.usdt),
        "usdt_after": str(ended.after.usdt),
        "shares_before": str(asked.before.shares),
        "shares_after": str(ended.after.shares),
    }
