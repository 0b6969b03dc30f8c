"""What the watchers of broker and chain are told, and what they tell."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class WatchBrokerInput(BaseModel):
    """Seconds between cheap reads of the order list, and between bulk reads of everything."""

    model_config = ConfigDict(frozen=True)

    list_seconds: float = 1.0
    snapshot_seconds: float = 5.0


class BrokerWatchStatus(BaseModel):
    """Answer of the query `status`. problem empty = the broker answers. since: ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True)

    watching: bool = False
    problem: str = "not asked yet"
    since: str = ""
    outages: int = 0


class BrokerWatchCarry(BaseModel):
    """Input of BrokerWatchWorkflow: how to watch, and what an earlier run knew."""

    model_config = ConfigDict(frozen=True)

    watch: WatchBrokerInput = WatchBrokerInput()
    status: BrokerWatchStatus = BrokerWatchStatus()


class Fault(StrEnum):
    """Why a chain endpoint is set aside. The first two: what it says counts for nothing."""

    LIED = "LIED"
    WRONG_CHAIN = "WRONG_CHAIN"
    GARBLED = "GARBLED"
    FORKED = "FORKED"
    LAGGING = "LAGGING"
    PRUNED = "PRUNED"
    REFUSES = "REFUSES"
    DOWN = "DOWN"


class EndpointState(BaseModel):
    """One chain endpoint; fault None = trusted. Times: Unix seconds. head: its newest block."""

    model_config = ConfigDict(frozen=True)

    label: str
    fault: Fault | None = None
    detail: str = ""
    since: float = 0.0
    retry_at: float = 0.0
    head: int = 0


class ChainWatchStatus(BaseModel):
    """How far the walk over the vault's requests is; goes into the watcher's heartbeats.

    next: first number not looked at yet. count: newest number at the last agreed head, whose
    number is `head`. started: open requests for which a workflow was asked for, since this watcher
    began; per_second: how many of those a second while it last caught up. stalled_seconds: since
    the agreed head last moved. problem: why the last look failed, else empty.
    """

    model_config = ConfigDict(frozen=True)

    next: int = 1
    count: int = 0
    head: int = 0
    started: int = 0
    per_second: float = 0.0
    stalled_seconds: float = 0.0
    problem: str = ""
    endpoints: tuple[EndpointState, ...] = ()

    @property
    def backlog(self) -> int:
        """Numbers that were not looked at yet."""
        return max(0, self.count + 1 - self.next)
