"""Keeps one watcher of the broker running, for ever, on whichever worker lives."""

import asyncio
from typing import Any

from temporalio import workflow

from activities.broker_watch import BrokerWatchActivities
from models.requests import QUEUE_WATCH
from models.watch import BrokerWatchCarry, BrokerWatchStatus
from workflows.policies import WATCH


@workflow.defn(name="BrokerWatchWorkflow")
class BrokerWatchWorkflow:
    """Two watchers at once are harmless: the book is merged, and signals are only hints."""

    @workflow.init
    def __init__(self, carried: BrokerWatchCarry) -> None:
        self._carried = carried
        self._status = carried.status.model_copy(update={"watching": True})
        self._show()

    @workflow.query(name="status", description="whether the broker answers, and since when")
    def status(self) -> BrokerWatchStatus:
        """What the watcher last said."""
        return self._status

    @workflow.signal(name="link", description="from the watcher: problem (empty = up), since")
    def link(self, *args: Any) -> None:
        """The broker came or went."""
        problem, since = (*(str(arg) for arg in args[:2]), "", "")[:2]
        went = bool(problem) and not self._status.problem
        self._status = self._status.model_copy(
            update={
                "problem": problem,
                "since": since,
                "outages": self._status.outages + int(went),
            }
        )
        self._show()

    @workflow.run
    async def run(self, carried: BrokerWatchCarry) -> None:
        """Watch; begin anew when the history has grown long with comings and goings."""
        watching = workflow.start_activity_method(
            BrokerWatchActivities.watch_broker,
            carried.watch,
            task_queue=QUEUE_WATCH,
            summary="pushes, lists and bulk reads",
            **WATCH,
        )
        await workflow.wait_condition(
            lambda: watching.done() or workflow.info().is_continue_as_new_suggested()
        )
        if not watching.done():
            watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(carried.model_copy(update={"status": self._status}))

    def _show(self) -> None:
        problem = self._status.problem
        workflow.set_current_details(
            f"the broker does not answer: {problem}" if problem else "watches the broker's orders"
        )
