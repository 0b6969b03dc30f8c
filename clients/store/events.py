"""The `chain_events` table: what arrived, also while nothing was traded."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from clients.store.engine import Database
from models.columns import naive_utc
from models.records import ChainEvent


class ChainEvents:
    """Requests as the watcher first saw them; the first sighting stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, events: Sequence[ChainEvent]) -> int:
        """Write sightings; returns how many requests were new."""
        if not events:
            return 0

        def work(session: Session) -> int:
            wanted = {_key(event): event for event in events}
            ids = [request_id for _, _, request_id in wanted]
            seen = session.exec(select(ChainEvent).where(col(ChainEvent.request_id).in_(ids)))
            for known in seen:
                wanted.pop(_key(known), None)
            session.add_all(_row(event) for event in wanted.values())
            return len(wanted)

        return await self._database.write("recording chain events", work)

    async def of_request(self, chain_id: int, vault: str, request_id: str) -> ChainEvent | None:
        """The first sighting of a request; None when it was never seen."""
        chosen = select(ChainEvent).where(
            col(ChainEvent.chain_id) == chain_id,
            col(ChainEvent.vault) == vault.lower(),
            col(ChainEvent.request_id) == request_id.lower(),
        )
        return await self._database.read(
            "reading a chain event", lambda session: session.exec(chosen).first()
        )


def _key(event: ChainEvent) -> tuple[int, str, str]:
    return event.chain_id, event.vault.lower(), event.request_id.lower()


def _row(event: ChainEvent) -> ChainEvent:
    values = event.model_dump(exclude={"id"})
    lowered = {name: values[name].lower() for name in ("vault", "request_id", "tx_hash")}
    return ChainEvent(**values | lowered | {"seen_at": naive_utc(event.seen_at)})
