"""Measuring: what cannot be measured is absent, and holds up nothing else."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from api.metrics import tell
from bronco import metrics
from bronco.metrics import REGISTRY, Told
from clients.store.levels import ItemLevel, Levels
from models.errors import SourceUnavailable
from models.order import Reason, Stage
from models.records import ItemKind, ItemState
from tests.contracts.builders import NOW
from tests.waiting import eventually
from workers.measuring import Measure, _clock, keep_measuring
from workers.reports import AuditReport, SourceReport

DOWN = SourceUnavailable("redis", "reading the clock", "gone")


async def measured(*measures: Measure) -> asyncio.Task[None]:
    return asyncio.create_task(keep_measuring(measures, 0.01))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_measure__that_fails__its_gauges_are_gone_and_others_go_on() -> None:
    gauge, works = Told("bronco_test_measured", "For a test.", registry=None), [True]
    gauge.set(1)

    async def fails() -> None:
        if not works[0]:
            raise DOWN

    async def hangs() -> None:
        await asyncio.Event().wait()

    task = await measured(Measure("hanging", hangs), Measure("failing", fails, (gauge,)))
    await eventually(lambda: sample("bronco_measured_timestamp_seconds", what="failing"))
    assert list(gauge.collect())
    works[0] = False
    await eventually(lambda: not list(gauge.collect()))
    assert sample("bronco_measured_timestamp_seconds", what="hanging") is None
    await ended(task)


async def test_clock__an_hour_ahead_then_silent__is_told_then_absent() -> None:
    answers = [True]

    async def clock() -> float:
        if not answers[0]:
            raise DOWN
        return time.time() + 3600

    task = await measured(_clock("test-clock", clock))
    await eventually(lambda: sample("bronco_clock_skew_seconds", source="test-clock"))
    skew = sample("bronco_clock_skew_seconds", source="test-clock")
    assert skew is not None
    assert abs(skew - 3600) < 5
    answers[0] = False
    await eventually(
        lambda: sample("bronco_clock_skew_seconds", source="test-clock") is None,
    )
    await ended(task)


def test_source__a_watch_that_went_on_elsewhere__says_nothing_here_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watched, other = SourceReport(15.0), SourceReport()
    watched("heads", "no block")
    other("endpoint", "set aside")
    clock[0] += 14
    generate_latest(REGISTRY)
    assert sample("bronco_source_up", source="heads") == 0
    clock[0] += 2
    generate_latest(REGISTRY)
    assert sample("bronco_source_up", source="heads") is None
    assert sample("bronco_source_up", source="endpoint") == 0
    watched("heads", "")
    assert sample("bronco_source_up", source="heads") == 1


def test_audit__nobody_has_signed_since_the_start__is_as_old_as_that() -> None:
    began = time.time()
    AuditReport()
    checked = sample("bronco_audit_checked_timestamp_seconds")
    assert checked is not None
    assert checked >= began
    metrics.AUDIT_CHECKED_AT.clear()


def test_levels__told__are_ages_and_counts_with_zero_for_what_is_not_there() -> None:
    now = NOW.replace(tzinfo=None)
    earlier = now - timedelta(seconds=90)
    tell(
        Levels(
            failed={Reason.DEADLINE: 2},
            oldest={Stage.QUEUED: earlier},
            items={(ItemKind.REFUND, ItemState.REJECTED): ItemLevel(1, earlier)},
            unknown=earlier,
            book_read=None,
            house=3,
            unsealed=4,
            unsealed_since=earlier,
        ),
        now,
    )
    assert sample("bronco_orders_failed", reason="DEADLINE") == 2
    assert sample("bronco_orders_failed", reason="BROKER_REJECTED") == 0
    assert sample("bronco_orders_oldest_seconds", stage="QUEUED") == 90
    assert sample("bronco_orders_oldest_seconds", stage="HELD") == 0
    assert sample("bronco_settlement_items", kind="REFUND", state="REJECTED") == 1
    assert sample("bronco_settlement_oldest_seconds", kind="REFUND", state="REJECTED") == 90
    assert sample("bronco_unknown_oldest_seconds") == 90
    assert (sample("bronco_house_positions"), sample("bronco_audit_unsealed_entries")) == (3, 4)
    assert sample("bronco_audit_oldest_unsealed_seconds") == 90
    assert b"bronco_broker_book_read_timestamp_seconds" not in generate_latest(REGISTRY)
    metrics.UNKNOWN_OLDEST.clear()
    assert sample("bronco_unknown_oldest_seconds") is None
