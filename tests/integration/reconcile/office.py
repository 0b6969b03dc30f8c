"""A whole desk for reconcile: real vault, store and Temporal; the broker's positions are played."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from activities.backing import Supplies
from activities.finality import Finality
from activities.reconcile import ReconcileActivities
from activities.reconcile_view import ReconcileReader
from activities.reserves import Reserving
from activities.splitting import Splitting
from clients.gateway import WorkflowGateway
from clients.monitor import MonitorReader
from clients.shares import ShareReader
from clients.splits import SplitReader
from models.assets import Asset, AssetBook
from models.broker import BrokerOrder, BrokerStatus, Funds, Position
from models.control import ControlState, FailureLimit, HoldCommand
from models.drafts import ClaimDraft, ClaimKind, Headroom
from models.errors import SourceUnavailable
from models.messages import ReconcileResult
from models.order import TERMINAL_STATUSES
from models.records import ClaimState
from models.requests import VaultRequest, order_workflow_id, remark_of
from models.reserves import Reserves
from tests.builders import read_at
from tests.integration.settlement.rig import Rig
from tests.waiting import eventually
from workflows.holds import hold_of

SYMBOL = "US.AAPL"
PRICE = Decimal(190)
NEVER = FailureLimit()
ROOM = Headroom(payout=10**30, cash=Decimal(10**12), shares=10**6)


class PlayedBroker:
    """Positions as told; None = the broker does not answer."""

    def __init__(self) -> None:
        self.shares: int | None = 0

    async def funds(self) -> Funds:
        if self.shares is None:
            raise SourceUnavailable("broker", "reading the funds")
        return Funds(cash=Decimal("1234.567"), working_buys=Decimal("0.001"))

    async def positions(self) -> tuple[Position, ...]:
        if self.shares is None:
            raise SourceUnavailable("broker", "reading the positions")
        return (Position(symbol=SYMBOL, quantity=self.shares, sellable=self.shares),)


class HeardGateway(WorkflowGateway):
    """The real one, but holds and wakes are only noted: their workflows are not here."""

    def __init__(self, client: Client, settlement_id: str) -> None:
        super().__init__(client, settlement_id)
        self.holds: list[HoldCommand] = []
        self.lifted: list[HoldCommand] = []
        self.wakes = 0
        self.state: ControlState | None = None

    async def control_state(self) -> ControlState | None:
        return self.state

    async def set_hold(self, hold: HoldCommand) -> bool:
        self.holds.append(hold)
        return True

    async def lift_hold(self, hold: HoldCommand) -> bool:
        self.lifted.append(hold)
        return True

    async def wake_settlement(self) -> bool:
        self.wakes += 1
        return True


class Noted:
    """The report, kept."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, str]] = []
        self.standing: dict[str, int] = {}
        self.statement: Reserves | None = None

    def alarm(self, kind: str, key: str, detail: str) -> None:
        self.alarms.append((kind, key))

    def reserved(self, statement: Reserves) -> None:
        self.statement = statement

    def finished(self, standing: Any) -> None:
        self.standing = dict(standing)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.alarms]


class Office:
    """The rig's vault and store, one reconciler, and shorthand for what orders leave behind."""

    def __init__(
        self,
        rig: Rig,
        *others: Asset,
        watched: bool = False,
        failures: FailureLimit = NEVER,
    ) -> None:
        """watched: whether a supply monitor is set."""
        self.rig = rig
        self.store = rig.store
        self.broker = PlayedBroker()
        self.gateway = HeardGateway(rig.client, rig.workflow_id)
        self.report = Noted()
        self.book_is_read = True
        self._version = 0
        chain = rig.desk.chain
        asset = Asset(symbol=SYMBOL, token=chain.shares["AAPL"], feed=chain.feeds["AAPL"])
        assets = AssetBook(assets=(*others, asset))
        self.reader = ReconcileReader(
            rig.vault,
            ShareReader(rig.desk.rpc),
            rig.store,
            self.broker,  # type: ignore[arg-type]
            self.gateway,
            assets,
            finality=Finality(rig.vault),
            window=timedelta(hours=1),
            splitting=Splitting(rig.vault, SplitReader(rig.desk.rpc), margin=30),
            supplies=Supplies(MonitorReader(rig.vault, chain.monitor) if watched else None),
            book_lag=timedelta(0),
        )
        self.activities = ReconcileActivities(
            self.reader,
            rig.store,
            self.gateway,
            assets,
            self.report,
            stuck_after=timedelta(milliseconds=200),
            failures=failures,
            reserving=Reserving(rig.vault, rig.store, assets),
        )

    async def run(self, attempt: int = 1) -> ReconcileResult:
        """One run; the broker's book was read just before, unless a test says otherwise."""
        if self.book_is_read:
            await self.book_read(datetime.now(UTC))
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt)
        return await self._run(environment)

    async def take_holds(self) -> None:
        """What the control workflow would have written of the holds asked for so far."""
        lifted = {hold.key for hold in self.gateway.lifted}
        asked = {hold.key: hold_of(hold, "") for hold in self.gateway.holds}
        self._version += 1
        state = ControlState(
            paused=False,
            version=int(datetime.now(UTC).timestamp()) + self._version,
            holds=tuple(hold for key, hold in asked.items() if key not in lifted),
        )
        assert await self.store.holds.record(state, datetime.now(UTC))

    async def book_read(self, begun_at: datetime) -> None:
        await self.store.book.record_snapshot(read_at(begun_at))

    async def _run(self, environment: ActivityEnvironment) -> ReconcileResult:
        result: ReconcileResult = await environment.run(self.activities.reconcile)
        return result

    # --- what an order workflow would have done

    def workflow_id(self, request: VaultRequest) -> str:
        return order_workflow_id(request.chain_id, request.vault, request.request_id)

    async def admitted(self, request: VaultRequest) -> None:
        await self.store.orders.admit(
            request,
            workflow_id=self.workflow_id(request),
            symbol=SYMBOL,
            tx_hash="",
            now=datetime.now(UTC),
        )

    async def started(self, request: VaultRequest) -> None:
        """A workflow that waits: nobody here works on its queue."""
        await self.rig.client.start_workflow(
            "DepositWorkflow", id=self.workflow_id(request), task_queue="nobody"
        )

    async def runs(self, request: VaultRequest) -> bool:
        running = await self.gateway.running_orders(request.chain_id, request.vault)
        return self.workflow_id(request) in running

    async def ended(self, *workflow_ids: str) -> None:
        """Terminated, and known to be so."""
        for workflow_id in workflow_ids:
            with suppress(RPCError):
                await self.rig.client.get_workflow_handle(workflow_id).terminate()

        async def gone() -> bool:
            running = await self.gateway.running_orders(
                self.rig.vault.chain_id, self.rig.vault.address
            )
            return running.isdisjoint(workflow_ids)

        await eventually(gone)

    async def end_all(self) -> None:
        head = await self.rig.desk.head()
        count = await self.rig.vault.count(head)
        requests = await self.rig.vault.requests(1, count, head)
        running = await self.gateway.running_orders(self.rig.vault.chain_id, self.rig.vault.address)
        await self.ended(*running, *(self.workflow_id(request) for request in requests))

    async def closed(self, request: VaultRequest, **changes: Any) -> None:
        row = await self.store.orders.get(request.chain_id, request.vault, request.request_id)
        await self.store.orders.update(
            request.chain_id,
            request.vault,
            request.request_id,
            row.version + 1,
            changes,
            now=datetime.now(UTC),
        )
        if changes.get("status") in TERMINAL_STATUSES:
            await self.store.placements.release(request.request_id, datetime.now(UTC))

    async def claimed(self, request: VaultRequest, quantity: int = 1) -> None:
        draft = ClaimDraft(
            request_id=request.request_id,
            attempt=1,
            remark=remark_of(request.request_id, 1),
            symbol=SYMBOL,
            side=request.side,
            quantity=quantity,
            price=PRICE,
            send_by=datetime.now(UTC),
        )
        claimed = await self.store.placements.claim(draft, ROOM, datetime.now(UTC))
        assert claimed.kind is ClaimKind.CLAIMED
        await self.store.placements.mark(
            request.request_id, 1, ClaimState.PLACED, now=datetime.now(UTC)
        )

    async def reported(
        self,
        request: VaultRequest,
        filled: int,
        status: BrokerStatus = BrokerStatus.FILLED,
        **changes: Any,
    ) -> BrokerOrder:
        """The broker's book now says this of the request's order."""
        fields: dict[str, Any] = {
            "order_id": f"F{request.request_id[2:12]}",
            "remark": remark_of(request.request_id, 1),
            "symbol": SYMBOL,
            "side": request.side,
            "quantity": 1,
            "price": PRICE,
            "status": status,
            "vendor_status": status.value,
            "filled": filled,
            "average_price": PRICE if filled else Decimal(0),
        }
        order = BrokerOrder(**(fields | changes))
        await self.store.book.apply([order], datetime.now(UTC))
        return order
