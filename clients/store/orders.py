"""The `orders` table: what users and operators see."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from clients.store.admission import admit
from clients.store.changes import write_order_change
from clients.store.cursors import decode_cursor, encode_cursor
from clients.store.engine import Database
from clients.store.inserts import write_audit
from models.columns import naive_utc
from models.drafts import Admission, AuditDraft, OrderCounts, OrderFilter, Page
from models.errors import Conflict, InvalidInput, NotFound
from models.order import (
    AT_BROKER,
    TERMINAL_STATUSES,
    Order,
    OrderStatus,
    Reason,
    Stage,
    statuses_before,
)
from models.requests import Side, VaultRequest

_WAITING = (Stage.HELD, Stage.WAITING_SESSION, Stage.QUEUED)
_STORES_OWN = frozenset(
    {"internal_id", "chain_id", "vault", "request_id", "version", "created_at", "updated_at"}
)
_CHANGEABLE = frozenset(Order.model_fields) - _STORES_OWN
_LOWERED = frozenset({"tx_hash", "settle_tx_hash", "refund_tx_hash", "user_addr", "recipient"})
_SHOWN = {"waiting_for": 255, "futu_order_status": 32}
_HASH = re.compile(r"^0x[0-9a-f]{64}$")
_PAGE_LIMIT = 500
_LARGEST_ID = 2**63 - 1
_ID_DIGITS = 19
_UNFINISHED = frozenset(OrderStatus) - TERMINAL_STATUSES


class Orders:
    """Rows of requests; the workflow's version decides which writer is the newest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(
        self,
        terms: VaultRequest,
        *,
        workflow_id: str,
        symbol: str,
        tx_hash: str,
        now: datetime,
        quote: str = "",
        waiting_for: str = "",
    ) -> Admission:
        """Have a row for the request, and a version range of its own for this run.

        Writes row, chain event and audit entry when absent. Each call starts a new epoch of 2^20
        versions, so a run always wins over the ones before it. An ORPHANED row is reopened.
        quote: the indicative price in words, for the audit entry. waiting_for: what a new or a
        reopened one waits for first.
        """
        moment = naive_utc(now)
        return await self._database.write(
            "admitting an order",
            lambda session: admit(
                session,
                terms,
                workflow_id=workflow_id,
                symbol=symbol,
                tx_hash=tx_hash,
                now=moment,
                quote=quote,
                waiting_for=waiting_for,
            ),
        )

    async def update(
        self,
        chain_id: int,
        vault: str,
        request_id: str,
        version: int,
        changes: Mapping[str, Any],
        *,
        audit: AuditDraft | None = None,
        now: datetime,
    ) -> bool:
        """Set columns where the stored version is older; False = as new a writer was there already.

        The audit entry is written in either case: what it tells has happened.

        Raises:
            NotFound: no such row.
            Conflict: the status may not follow the stored one.
            InvalidInput: a column that does not exist or belongs to the store.
        """
        values = _values(changes) | {"version": version, "updated_at": naive_utc(now)}
        one = _is_request(chain_id, vault, request_id)
        older = [*one, col(Order.version) < version, *_may_follow(changes)]

        def work(session: Session) -> bool:
            before = session.exec(select(Order).where(*one).with_for_update()).first()
            if before is None:
                raise NotFound("order", request_id)
            done = session.execute(
                update(Order)
                .where(*older)
                .values(values)
                .execution_options(synchronize_session=False)
            )
            applied = bool(done.rowcount)  # type: ignore[attr-defined]
            if applied:
                old = before.model_dump()
                write_order_change(session, old, old | values, now)
            else:
                _require_overtaken(before, version, changes)
            if audit is not None:
                write_audit(session, audit, now)
            return applied

        return await self._database.write("updating an order", work)

    async def reopen(
        self, chain_id: int, vault: str, request_id: str, waiting_for: str, now: datetime
    ) -> bool:
        """Take back an end that the vault does not know; False: the row shows none.

        Its version stays, so that whatever its workflow says next counts.

        Raises:
            NotFound: no such row.
        """
        one = _is_request(chain_id, vault, request_id)

        def work(session: Session) -> bool:
            row = session.exec(select(Order).where(*one).with_for_update()).first()
            if row is None:
                raise NotFound("order", request_id)
            if row.status not in TERMINAL_STATUSES:
                return False
            old = row.model_dump()
            row.status, row.stage, row.waiting_for = OrderStatus.PENDING, Stage.HELD, waiting_for
            row.reason, row.error_msg, row.updated_at = Reason.NONE, "", naive_utc(now)
            write_order_change(session, old, row.model_dump(), now)
            key = f"untrue-end:{row.request_id}:{row.version}"
            write_audit(session, AuditDraft(key, "order.end_taken_back", row.request_id), now)
            return True

        return await self._database.write("taking back an end", work)

    async def get(self, chain_id: int, vault: str, request_id: str) -> Order:
        """The row of one request.

        Raises:
            NotFound: no such row.
        """
        found = await self._list(select(Order).where(*_is_request(chain_id, vault, request_id)))
        if not found:
            raise NotFound("order", request_id)
        return found[0]

    async def by_id(self, key: int | str) -> list[Order]:
        """Rows by internal id, request id, workflow id or transaction hash, newest first."""
        ordered = select(Order).where(_names(key)).order_by(col(Order.internal_id).desc())
        return await self._list(ordered.limit(_PAGE_LIMIT))

    async def page(self, chosen: OrderFilter, cursor: str = "", limit: int = 50) -> Page[Order]:
        """Orders, newest first; `cursor` is the next_cursor of the page before.

        Raises:
            InvalidInput: limit outside 1..500, or a cursor that is not of this filter.
        """
        if not 1 <= limit <= _PAGE_LIMIT:
            raise InvalidInput("limit", limit, f"give a number from 1 to {_PAGE_LIMIT}")
        where = _matching(chosen)
        if cursor:
            where.append(col(Order.internal_id) < decode_cursor(cursor, chosen))
        newest = select(Order).where(*where).order_by(col(Order.internal_id).desc())
        rows = await self._list(newest.limit(limit + 1))
        if len(rows) <= limit:
            return Page(rows)
        return Page(rows[:limit], encode_cursor(rows[limit - 1].internal_id or 0, chosen))

    async def held(self, after_internal_id: int, limit: int) -> list[tuple[int, str]]:
        """(internal id, workflow id) of HELD, WAITING_SESSION and QUEUED orders, oldest first."""
        chosen = (
            select(Order.internal_id, Order.workflow_id)
            .where(col(Order.stage).in_(_WAITING), col(Order.internal_id) > after_internal_id)
            .order_by(col(Order.internal_id))
            .limit(limit)
        )
        return await self._database.read(
            "listing held orders",
            lambda session: [(number or 0, name) for number, name in session.exec(chosen)],
        )

    async def working(
        self, side: Side | None, symbol: str, after_internal_id: int, limit: int
    ) -> list[tuple[int, str]]:
        """(internal id, workflow id) of orders at the broker, oldest first. None, "" = all."""
        chosen = (
            select(Order.internal_id, Order.workflow_id)
            .where(col(Order.stage).in_(AT_BROKER), col(Order.internal_id) > after_internal_id)
            .where(*_matching(OrderFilter(side=side, symbol=symbol)))
            .order_by(col(Order.internal_id))
            .limit(limit)
        )
        return await self._database.read(
            "listing working orders",
            lambda session: [(number or 0, name) for number, name in session.exec(chosen)],
        )

    async def counts(self) -> OrderCounts:
        """How many orders have each status, and each stage."""
        grouped = select(Order.status, Order.stage, func.count()).group_by(
            col(Order.status), col(Order.stage)
        )

        def work(session: Session) -> OrderCounts:
            counts = OrderCounts({}, {})
            for text, shown, count in session.exec(grouped):
                status, stage = OrderStatus(text), Stage(shown)
                counts.by_status[status] = counts.by_status.get(status, 0) + count
                counts.by_stage[stage] = counts.by_stage.get(stage, 0) + count
            return counts

        return await self._database.read("counting orders", work)

    async def unfinished(self, chain_id: int, vault: str) -> list[Order]:
        """Orders that have not ended, or are still owed money, oldest first."""
        chosen = select(Order).where(
            col(Order.chain_id) == chain_id,
            col(Order.vault) == vault.lower(),
            or_(col(Order.status).in_(_UNFINISHED), col(Order.stage) == Stage.OWED),
        )
        return await self._list(chosen.order_by(col(Order.internal_id)))

    async def ended_since(self, chain_id: int, vault: str, moment: datetime) -> list[Order]:
        """Orders that have ended and were written since, oldest first."""
        chosen = select(Order).where(
            col(Order.chain_id) == chain_id,
            col(Order.vault) == vault.lower(),
            col(Order.status).in_(TERMINAL_STATUSES),
            col(Order.updated_at) >= naive_utc(moment),
        )
        return await self._list(chosen.order_by(col(Order.internal_id)))

    async def workflow_ids(
        self, request_ids: Collection[str], side: Side | None = None, symbol: str = ""
    ) -> dict[str, str]:
        """Workflow id by request id, of those that are known and in scope. None, "" = all."""
        lowered = {request_id.lower() for request_id in request_ids}
        chosen = select(Order.request_id, Order.workflow_id).where(
            col(Order.request_id).in_(lowered), *_matching(OrderFilter(side=side, symbol=symbol))
        )
        if not lowered:
            return {}
        return await self._database.read(
            "looking up workflow ids",
            lambda session: dict(session.exec(chosen).all()),
        )

    async def _list(self, chosen: SelectOfScalar[Order]) -> list[Order]:
        return await self._database.read(
            "reading orders", lambda session: list(session.exec(chosen))
        )


def _is_request(chain_id: int, vault: str, request_id: str) -> list[ColumnElement[bool]]:
    return [
        col(Order.chain_id) == chain_id,
        col(Order.vault) == vault.lower(),
        col(Order.request_id) == request_id.lower(),
    ]


def _names(key: int | str) -> ColumnElement[bool]:
    """What a key of any kind can mean."""
    if isinstance(key, int) or key.isdecimal():
        # Python reads no number of thousands of digits, and no database has such a one.
        number = key if isinstance(key, int) else int(key.lstrip("0")[:_ID_DIGITS] or 0)
        return col(Order.internal_id) == min(number, _LARGEST_ID)
    lowered = key.lower()
    if _HASH.match(lowered):
        return (col(Order.request_id) == lowered) | (col(Order.tx_hash) == lowered)
    return col(Order.workflow_id) == lowered


def _matching(chosen: OrderFilter) -> list[ColumnElement[bool]]:
    wanted: list[tuple[Any, Any]] = [
        (Order.status, chosen.status),
        (Order.stage, chosen.stage),
        (Order.order_type, chosen.side),
        (Order.user_addr, chosen.user.lower()),
        (Order.symbol, chosen.symbol),
    ]
    return [col(column) == value for column, value in wanted if value]


def _values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns to set: known ones only, hashes in lower case, shown text cut to its column."""
    unknown = sorted(set(changes) - _CHANGEABLE)
    if unknown:
        raise InvalidInput("changes", unknown[0], "name columns of an order that may change")
    values = dict(changes)
    for name in _LOWERED & values.keys():
        values[name] = values[name].lower()
    for name in _SHOWN.keys() & values.keys():
        values[name] = values[name][: _SHOWN[name]]
    return values


def _may_follow(changes: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    if (status := changes.get("status")) is None:
        return []
    return [col(Order.status).in_(statuses_before(status, changes.get("stage")))]


def _require_overtaken(row: Order, version: int, changes: Mapping[str, Any]) -> None:
    """Find out why nothing was updated; returns when as new a version is stored already."""
    if row.version < version:
        wanted = f"{row.status} cannot become {changes.get('status')}"
        raise Conflict("order", row.request_id, wanted)
