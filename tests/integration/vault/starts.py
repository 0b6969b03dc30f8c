"""The watcher's way to Temporal, which only remembers."""

from models.requests import OrderRequest


class Gateway:
    """Remembers what it was asked to start."""

    def __init__(self) -> None:
        self.started: list[OrderRequest] = []

    async def start_order(self, request: OrderRequest) -> None:
        self.started.append(request)

    async def signal_order(self, workflow_id: str, signal: str) -> bool:
        raise AssertionError(f"nothing was reorganised, yet {signal} was sent to {workflow_id}")
