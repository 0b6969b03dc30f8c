"""What the watcher of the broker is told, and what it tells."""

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
