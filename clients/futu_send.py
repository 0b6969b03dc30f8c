"""Sending what changes something: waits until the outcome is as certain as it will ever be."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from clients.futu_calls import Outcome
from clients.futu_lane import Job, Lane
from clients.futu_vendor import Fence

_log = structlog.get_logger(__name__)
_THREAD_END_SECONDS = 5.0


async def send(
    lane: Lane,
    work: Callable[[Any], Outcome],
    fence: Fence,
    send_seconds: float,
    answer_seconds: float,
) -> Outcome:
    """Do one request behind `fence`: sent within `send_seconds` or never, also when cancelled.

    `fence.sent` tells which. Sent and unanswered for `answer_seconds`: the connection is closed and
    its thread awaited, so that nothing of this request moves any more when this returns.
    """
    job = lane.submit(work, fence)
    try:
        await asyncio.wait({job.future}, timeout=send_seconds)
        if not job.future.done() and not fence.seal():
            # Still queued, or stuck before the send: it cannot pass the fence any more.
            job.abandoned = True
            return Outcome(None, "its time to be sent passed while it waited")
        await asyncio.wait({job.future}, timeout=answer_seconds)
    except asyncio.CancelledError:
        fence.seal()
        job.abandoned = True
        raise
    outcome = _outcome(job)
    if fence.sent and outcome.reply is None:
        await _bury(lane)
        # The answer may have come while the connection was closing.
        outcome = _outcome(job)
    return outcome


def _outcome(job: Job[Outcome]) -> Outcome:
    if not job.future.done():
        return Outcome(None, "no answer in time")
    error = job.future.exception()
    # The work itself never raises: the link broke before it could begin.
    return job.future.result() if error is None else Outcome(None, str(error))


async def _bury(lane: Lane) -> None:
    lane.retire()
    try:
        async with asyncio.timeout(_THREAD_END_SECONDS):
            await lane.ended.wait()
    except TimeoutError:
        _log.warning("broker_thread_stuck", link=lane.name)
