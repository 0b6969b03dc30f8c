"""The `placements` table: who may send, and what is set aside for it."""

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from clients.store.attempts import book_read_since, may_fill
from clients.store.claims import claim_of, find_claim, insert_claim, record_claim, stored_claim
from clients.store.engine import Database, lock_row
from clients.store.inserts import write_audit
from clients.store.reservations import crossed, holding_reservations, lacking, reserved
from models.columns import naive_utc
from models.drafts import AuditDraft, ClaimDraft, ClaimKind, ClaimResult, Headroom
from models.errors import Conflict, NotFound
from models.records import ClaimState, Placement, SettlementItem
from models.requests import Side
from models.splits import SharesPerToken

LOCK = "placements"

_MAY_FOLLOW: dict[ClaimState, frozenset[ClaimState]] = {
    ClaimState.CLAIMED: frozenset(
        {ClaimState.PLACED, ClaimState.REJECTED, ClaimState.ABSENT, ClaimState.VOID}
    ),
    ClaimState.ABSENT: frozenset({ClaimState.PLACED}),
    ClaimState.REJECTED: frozenset({ClaimState.PLACED}),
    ClaimState.PLACED: frozenset(),
    ClaimState.VOID: frozenset(),
}


class Placements:
    """Claims: one row per (request, attempt), inserted before anything is sent, never deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, draft: ClaimDraft, headroom: Headroom, now: datetime) -> ClaimResult:
        """Take the right to send this attempt, if what it reserves fits beside all open claims.

        Serialised over all workers. EXISTS also when an earlier call of ours may have committed
        unseen: whoever gets it finds out before anything is sent.

        Raises:
            Conflict: another attempt of the request may still fill or has filled, the request
                already has a settlement item, or the remark belongs to another attempt.
        """
        moment = naive_utc(now)

        def work(session: Session) -> ClaimResult:
            lock_row(session, LOCK)
            there = find_claim(session, draft.request_id, draft.attempt, draft.remark, moment)
            if there is not None:
                return ClaimResult(ClaimKind.EXISTS, there, f"attempt is {there.state}")
            _require_free(session, draft)
            waits = _must_wait(session, draft, headroom)
            if waits is not None:
                return waits
            row = insert_claim(session, claim_of(draft, moment), draft.basis)
            return ClaimResult(ClaimKind.CLAIMED, row)

        return await self._database.write("claiming a placement", work)

    async def void(
        self, request_id: str, attempt: int, remark: str, symbol: str, side: Side, now: datetime
    ) -> Placement:
        """Burn an attempt so that nobody can claim it; the row that is already there wins.

        So does an order that the book holds: its claim was lost, and is written again as PLACED.
        """
        moment = naive_utc(now)

        def work(session: Session) -> Placement:
            lock_row(session, LOCK)
            there = find_claim(session, request_id, attempt, remark, moment)
            if there is not None:
                return there
            void = Placement(
                request_id=request_id.lower(),
                attempt=attempt,
                remark=remark,
                symbol=symbol,
                side=side,
                state=ClaimState.VOID,
                send_by=moment,
                created_at=moment,
                released_at=moment,
            )
            return insert_claim(session, void)

        return await self._database.write("voiding a placement", work)

    async def mark(
        self,
        request_id: str,
        attempt: int,
        state: ClaimState,
        *,
        broker_order_id: str = "",
        detail: str = "",
        now: datetime,
    ) -> Placement:
        """Write what came of a claim: PLACED, REJECTED, ABSENT, or VOID where nothing was sent.

        All but PLACED give back what was reserved. The same mark again changes nothing; PLACED may
        follow REJECTED and ABSENT, when the order turns up.

        Raises:
            NotFound: no such claim.
            Conflict: the state may not follow, or another broker order is on record.
        """
        moment = naive_utc(now)

        def work(session: Session) -> Placement:
            lock_row(session, LOCK)
            row = stored_claim(session, request_id, attempt)
            if row is None:
                raise NotFound("placement", f"{request_id}:{attempt}")
            _require_same_order(row, broker_order_id)
            row.broker_order_id = row.broker_order_id or broker_order_id
            if row.state is not state:
                _advance(session, row, state, detail, moment)
            return row

        return await self._database.write("marking a placement", work)

    async def tell_ratio(
        self, request_id: str, attempt: int, ratio: SharesPerToken, *, who: str, reason: str
    ) -> Placement:
        """Write which shares an attempt filled in, as a person found out. The last word counts.

        Raises:
            NotFound: no such claim.
            Conflict: the request has its settlement item already.
        """

        def work(session: Session) -> Placement:
            row = stored_claim(session, request_id, attempt)
            if row is None:
                raise NotFound("placement", f"{request_id}:{attempt}")
            item = select(SettlementItem).where(SettlementItem.request_id == request_id.lower())
            if session.exec(item).first() is not None:
                raise Conflict("order", request_id, "its settlement is written already")
            row.shares_numerator, row.shares_denominator = ratio.numerator, ratio.denominator
            row.split_epoch, row.ratio_by = ratio.epoch, who[:64]
            session.add(row)
            now = naive_utc(datetime.now(UTC))
            write_audit(session, _told(row, ratio, who, reason, now), now)
            return row

        return await self._database.write("writing shares per token of a claim", work)

    async def release(self, request_id: str, now: datetime) -> int:
        """Give back what all attempts of a request reserved; returns how many rows that were."""
        released = (
            update(Placement)
            .where(
                col(Placement.request_id) == request_id.lower(),
                col(Placement.released_at).is_(None),
            )
            .values(released_at=naive_utc(now))
        )

        def work(session: Session) -> int:
            return session.execute(released).rowcount  # type: ignore[attr-defined, no-any-return]

        return await self._database.write("releasing reservations", work)

    async def of_request(self, request_id: str) -> list[Placement]:
        """All attempts of a request, oldest first."""
        chosen = select(Placement).where(col(Placement.request_id) == request_id.lower())
        ordered = chosen.order_by(col(Placement.attempt))
        return await self._database.read(
            "reading placements", lambda session: list(session.exec(ordered))
        )

    async def by_remark(self, remark: str) -> Placement | None:
        """The claim of a remark; None when it is nobody's."""
        chosen = select(Placement).where(col(Placement.remark) == remark)
        return await self._database.read(
            "reading a placement", lambda session: session.exec(chosen).first()
        )

    async def open_claims(self) -> list[Placement]:
        """Claims that may be at the broker and hold a reservation, oldest first."""
        chosen = select(Placement).where(*holding_reservations()).order_by(col(Placement.id))
        return await self._database.read(
            "reading open claims", lambda session: list(session.exec(chosen))
        )

    async def in_hand(self, now: datetime) -> list[Placement]:
        """Claims whose holder may still be sending, oldest first."""
        sending = (
            col(Placement.state) == ClaimState.CLAIMED,
            col(Placement.released_at).is_(None),
            col(Placement.send_by) > naive_utc(now),
        )
        chosen = select(Placement).where(*sending).order_by(col(Placement.id))
        return await self._database.read(
            "reading claims in hand", lambda session: list(session.exec(chosen))
        )

    async def latest(self, request_ids: Collection[str]) -> dict[str, Placement]:
        """The newest attempt by request id; requests without one are absent."""
        lowered = {request_id.lower() for request_id in request_ids}
        if not lowered:
            return {}
        newest = (
            select(Placement.request_id, func.max(Placement.attempt))
            .where(col(Placement.request_id).in_(lowered))
            .group_by(col(Placement.request_id))
            .subquery()
        )
        request_id, attempt = newest.c
        chosen = select(Placement).join(
            newest,
            (col(Placement.request_id) == request_id) & (col(Placement.attempt) == attempt),
        )
        return await self._database.read(
            "reading the newest placements",
            lambda session: {row.request_id: row for row in session.exec(chosen)},
        )

    async def reserved(self, symbol: str) -> Headroom:
        """What the open claims set aside now: payout and cash of all, shares of one symbol."""
        return await self._database.read(
            "adding up reservations", lambda session: reserved(session, symbol)
        )


def _require_free(session: Session, draft: ClaimDraft) -> None:
    """Refuse what would be a second order, or an order after the request's end is decided."""
    request_id = draft.request_id.lower()
    doubt = may_fill(session, request_id, besides=draft.remark)
    if doubt:
        raise Conflict("placement", draft.remark, doubt)
    item = select(SettlementItem.kind).where(col(SettlementItem.request_id) == request_id)
    kind = session.exec(item).first()
    if kind is not None:
        raise Conflict("placement", draft.remark, f"the request already has its {kind} item")


def _must_wait(session: Session, draft: ClaimDraft, headroom: Headroom) -> ClaimResult | None:
    """Why the claim cannot be had now, though later it may."""
    if draft.book_since is not None and not book_read_since(session, draft.book_since):
        detail = f"the broker's book was not read since {draft.book_since:%H:%M:%S}"
        return ClaimResult(ClaimKind.STALE_BOOK, None, detail)
    taken = reserved(session, draft.symbol, headroom.as_of)
    short = lacking(draft, headroom, taken)
    if short:
        return ClaimResult(ClaimKind.NO_HEADROOM, None, short)
    facing = None if draft.may_cross else crossed(session, draft)
    if facing is not None:
        return ClaimResult(ClaimKind.CROSSES, facing, f"would meet {facing.remark}")
    return None


def _require_same_order(row: Placement, broker_order_id: str) -> None:
    if row.broker_order_id and broker_order_id not in ("", row.broker_order_id):
        detail = f"broker order {row.broker_order_id} is on record, not {broker_order_id}"
        raise Conflict("placement", row.remark, detail)


def _advance(
    session: Session, row: Placement, state: ClaimState, detail: str, now: datetime
) -> None:
    if state not in _MAY_FOLLOW[row.state]:
        raise Conflict("placement", row.remark, f"{row.state} cannot become {state}")
    if state is not ClaimState.PLACED:
        row.released_at = now
    elif row.state is not ClaimState.CLAIMED:
        # It turned up after all, so it needs again what was given back.
        row.released_at = None
    row.state, row.detail = state, detail
    record_claim(session, row, now)


def _told(
    row: Placement, ratio: SharesPerToken, who: str, reason: str, now: datetime
) -> AuditDraft:
    return AuditDraft(
        event_key=f"ratio:{row.remark}:{now.isoformat()}",
        action="claim.ratio",
        request_id=row.request_id,
        actor=who,
        data={"attempt": row.attempt, "shares_per_token": str(ratio), "reason": reason},
    )
