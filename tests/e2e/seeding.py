"""Planting an inconsistency, and what the next two runs of reconcile make of it."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Delete
from sqlmodel import Session, SQLModel, col, delete, select
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from activities.observations import ATTESTATION_OLD, STRANGER
from api.house import HouseDesk
from api.switch import TradingSwitch
from bronco.devchain import SETTLER
from clients.broker import BrokerClient
from clients.wallet import Requested
from models.broker import OrderTicket
from models.house import HouseInput, HouseVerb
from models.messages import ReconcileResult
from models.order import Order
from models.records import Finding, Placement, SettlementItem
from models.requests import QUEUE_MAIN, Side, settlement_workflow_id
from tests.e2e.desk import SYMBOL, Desk
from tests.integration.broker.desk import client_of, settings
from tests.waiting import eventually

_ALWAYS = frozenset({ATTESTATION_OLD, STRANGER})
"""Nobody attests here; and an order of somebody else's is told of for two days."""
_ON_ITS_WAY = timedelta(seconds=16)
TWO_PERSONS = ("ann", "ben")


class Seed:
    """A desk whose reconcile runs when the test says so."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.switch = TradingSwitch(desk.client)

    async def run(self) -> ReconcileResult:
        result: ReconcileResult = await self.desk.client.execute_workflow(
            "ReconcileWorkflow",
            id=f"reconcile-{uuid.uuid4().hex}",
            task_queue=QUEUE_MAIN,
            result_type=ReconcileResult,
        )
        return result

    async def twice(self) -> dict[str, Finding]:
        """What the two runs that come next both see, by kind; more than two are too late."""
        await self.run()
        await self.run()
        standing = await self.desk.store.findings.standing()
        return {one.kind: one for one in reversed(standing)}

    async def found(self, kind: str) -> Finding:
        """What the two runs that come next both see of this kind."""
        found = await self.twice()
        assert kind in found, f"no {kind} among {[(k, one.detail) for k, one in found.items()]}"
        return found[kind]

    async def well(self) -> None:
        """Nothing is left to be told, and nothing is held."""
        left: list[str] = []

        async def quiet() -> bool:
            await self.run()
            standing = await self.desk.store.findings.standing()
            left[:] = [f"{one.kind} {one.detail}" for one in standing if one.kind not in _ALWAYS]
            left.extend(await self.holds())
            return not left

        try:
            await eventually(quiet, timeout=30, interval=0.5)
        except AssertionError:
            raise AssertionError(f"not well: {left}") from None

    async def still(self) -> None:
        """No order has changed for so long that none may be on its way: in production two runs are
        further apart than that.
        """

        async def quiet() -> bool:
            return not await self.desk.store.book.changed_since(datetime.now(UTC) - _ON_ITS_WAY)

        await eventually(quiet, interval=0.5)

    async def open(self) -> bool:
        return (await self.switch.state()).holds == ()

    async def holds(self) -> list[str]:
        return sorted(hold.key for hold in (await self.switch.state()).holds)

    async def write(self, work: Callable[[Session], Any]) -> Any:
        """Change the database past the store."""
        return await self.desk.store._database.write("seeding", work)

    async def change(self, table: type[SQLModel], made: Requested, /, **changes: Any) -> None:
        """Change the rows of one request past the store."""

        def work(session: Session) -> None:
            found = session.exec(select(table).where(_request(table) == made.request_id)).all()
            assert found, f"nothing of {made.request_id} in {table.__tablename__}"
            for row in found:
                row.sqlmodel_update(changes)
                session.add(row)

        await self.write(work)

    async def remove(self, kind: type[SQLModel], made: Requested) -> None:
        """Remove the rows of one request past the store."""
        await self.drop(delete(kind).where(_request(kind) == made.request_id))

    async def drop(self, statement: Delete) -> None:
        """Remove rows past the store."""
        await self.write(lambda session: session.execute(statement) and None)

    async def terminate(self, made: Requested) -> None:
        await self.desk.workflow(made).terminate("by the test")

        async def gone() -> bool:
            chain = self.desk.stack.chain
            prefix = f"order-{chain.chain_id}-{chain.vault.lower()}"
            query = f'WorkflowId STARTS_WITH "{prefix}" AND ExecutionStatus = "Running"'
            running = {one.id async for one in self.desk.client.list_workflows(query)}
            return self.desk.workflow_id(made) not in running

        await eventually(gone)

    async def runs(self, made: Requested) -> bool:
        try:
            description = await self.desk.workflow(made).describe()
        except RPCError:
            return False
        return bool(description.status and description.status.name == "RUNNING")

    async def item(self, made: Requested) -> SettlementItem | None:
        chain = self.desk.stack.chain
        return await self.desk.store.items.of_request(chain.chain_id, chain.vault, made.request_id)

    @asynccontextmanager
    async def by_hand(self, home: Path) -> AsyncIterator[BrokerClient]:
        """Somebody else at the same account."""
        async with client_of(settings(self.desk.stack.opend_port), home) as client:

            async def healthy() -> bool:
                return client.healthy

            await eventually(healthy)
            yield client

    async def held_shares(self) -> int:
        return (await self.desk.control.account()).positions[SYMBOL]

    async def as_vault(self, to: str, data: str) -> None:
        """A call in the vault's name, as only a broken vault would make it."""
        vault, rpc = self.desk.stack.chain.vault, self.desk.rpc
        await rpc.call("anvil_impersonateAccount", vault)
        await rpc.call("anvil_setBalance", vault, hex(10**18))
        call = {"from": vault, "to": to, "data": data, "gas": hex(500_000)}
        tx_hash = await rpc.call("eth_sendTransaction", call)
        await rpc.call("anvil_stopImpersonatingAccount", vault)

        async def mined() -> bool:
            receipt = await rpc.call("eth_getTransactionReceipt", tx_hash)
            assert receipt is None or receipt["status"] == "0x1", "the vault's call reverted"
            return receipt is not None

        await eventually(mined)

    async def decide(self, verb: HouseVerb) -> None:
        """What two operators do about every position of the house."""
        for row in await self.desk.store.house.unresolved():
            for who in TWO_PERSONS:
                message = HouseInput(
                    position_id=row.id or 0, verb=verb, who=who, reason="seen", act=True
                )
                outcome = await HouseDesk(self.desk.client).tell(message, 60)
                assert not outcome.refused, outcome
        assert await self.desk.store.house.unresolved() == []

    @property
    def settlement(self) -> WorkflowHandle[Any, Any]:
        chain = self.desk.stack.chain
        address = self.desk.staff(SETTLER).address
        return self.desk.client.get_workflow_handle(settlement_workflow_id(chain.chain_id, address))


def ticket(remark: str, quantity: int = 1, price: str = "195") -> OrderTicket:
    """A buy that fills at once."""
    return OrderTicket(
        remark=remark, symbol=SYMBOL, side=Side.BUY, quantity=quantity, price=Decimal(price)
    )


def _request(kind: type[SQLModel]) -> Any:
    assert kind in (Order, Placement, SettlementItem)
    return col(kind.request_id)
