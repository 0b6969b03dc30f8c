"""Loops beside the workers: begun again after a bug, told of, and ended with the process."""

import asyncio
from pathlib import Path

import pytest
import structlog

from bronco.sections import WebhookSettings
from models.errors import ConfigurationError
from tests.waiting import eventually
from workers.loops import beside
from workers.webhooks import keys_of


async def test_loop__breaks_or_ends__is_told_and_begun_again_beside_the_others() -> None:
    begun: list[str] = []

    async def breaks() -> None:
        begun.append("breaks")
        raise ZeroDivisionError

    async def ends() -> None:
        begun.append("ends")

    async def runs() -> None:
        begun.append("runs")
        await asyncio.Event().wait()

    loops = {"a": breaks, "b": ends, "c": runs}
    with structlog.testing.capture_logs() as told, beside(loops, again_seconds=0.01):
        await eventually(lambda: min(begun.count("breaks"), begun.count("ends")) >= 2)
    assert begun.count("runs") == 1
    assert {("loop_broke", "a"), ("loop_ended", "b")} == {
        (line["event"], line["loop"]) for line in told
    }


async def test_loops__block_ends__are_cancelled() -> None:
    ended = asyncio.Event()

    async def runs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with beside({"only": runs}):
        await asyncio.sleep(0)
    await asyncio.wait_for(ended.wait(), 1)


def test_webhook_key__others_may_read__is_named_when_the_process_starts(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("x" * 43)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="BRONCO_WEBHOOK_KEY_FILE"):
        keys_of(WebhookSettings(key_file=path))
    assert keys_of(WebhookSettings()) is None
