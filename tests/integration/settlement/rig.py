"""A settler as in production: real chain, store and Temporal; only the orders are played."""

import shutil
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.alarms import SettlementAlarm
from activities.fees import FeeLimits
from activities.finality import Finality
from activities.settled import ItemBooks
from activities.settlement import SettlementActivities
from activities.sweep import SweepActivities
from bronco.devchain import SETTLER, dev_address, dev_key
from clients.agreeing import AgreeingVault
from clients.gateway import WorkflowGateway
from clients.keys import SettlePolicy, UnsignedTx, account_of, plain_signer, sign_with
from clients.sender import vault_events
from clients.store.migrate import upgrade
from clients.store.store import Store
from clients.vault import terms_of
from models.batches import (
    PrepareBatchInput,
    PreparedBatch,
    SendBatchInput,
    SettlementInput,
    SignBatchInput,
    SignedBatch,
)
from models.money import Settlement, buy_settlement, sell_settlement, shares_to_units
from models.records import ItemKind, ItemState, SettlementItem
from models.requests import Side, VaultRequest, batch_prefix
from tests.integration.vault.desk import DOLLAR, FILL_HASH, PRICE, SHARE, Desk
from tests.waiting import eventually
from workers.build import batch_codec
from workers.runner import sandbox
from workflows.settlement import SettlementWorkflow

SIGNER = dev_address(SETTLER)
NONE = Settlement(taken=0, out=0, fee=0)


@workflow.defn(name="PlayedOrder", sandboxed=False)
class PlayedOrder:
    """Stands where an order workflow waits for `settled`."""

    def __init__(self) -> None:
        self._settled = False

    @workflow.signal(name="settled")
    def settled(self, *args: Any) -> None:
        self._settled = True

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._settled)


class Rig:
    """One vault, one store, one signing address, one worker."""

    def __init__(self, desk: Desk, client: Client, url: str, *, key: int = SETTLER) -> None:
        self.desk = desk
        self.address = dev_address(key)
        self.client = client
        self.url = url
        self.queue = f"settlement-{uuid.uuid4().hex}"
        self.workflow_id = f"settlement-{uuid.uuid4().hex}-{self.address.lower()}"
        self.store = Store(url, pool_size=4)
        self.vault = AgreeingVault(desk.vault, desk.vault, allow_single=True)
        self.gateway = WorkflowGateway(client, self.workflow_id)
        policy = SettlePolicy(chain_id=desk.chain.chain_id, vault=desk.address)
        self.signer = plain_signer(dev_key(key), policy)
        self.limits = FeeLimits()
        self.retry_pause = timedelta(milliseconds=100)
        self.sender = desk.sender
        self.alarms: list[tuple[SettlementAlarm, str, str]] = []
        self.cached_workflows = 1000
        self.handle: WorkflowHandle[Any, None] | None = None

    # --- the settler

    @property
    def settlement(self) -> SettlementActivities:
        return SettlementActivities(
            self.vault,
            self.sender,
            self.store,
            self.signer,
            self.gateway,
            codec=batch_codec(),
            limits=self.limits,
            alarm=lambda kind, key, detail: self.alarms.append((kind, key, detail)),
        )

    def alarmed(self) -> set[SettlementAlarm]:
        return {kind for kind, _, _ in self.alarms}

    @property
    def sweep(self) -> SweepActivities:
        books = ItemBooks(self.vault, self.sender, self.store.items, self.gateway, terms_of)
        prefix = batch_prefix(self.workflow_id)
        return SweepActivities(
            self.vault,
            self.store,
            books,
            finality=Finality(self.vault),
            batch_prefix=prefix,
            retry_pause=self.retry_pause,
        )

    @asynccontextmanager
    async def worker(self, sender: Any = None) -> AsyncIterator[None]:
        self.sender = sender or self.sender
        settlement = self.settlement
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=[SettlementWorkflow, PlayedOrder],
            activities=[
                settlement.prepare_batch,
                settlement.sign_batch,
                settlement.send_batch,
                self.sweep.sweep,
            ],
            workflow_runner=sandbox(),
            max_cached_workflows=self.cached_workflows,
            graceful_shutdown_timeout=timedelta(0),
        ):
            yield

    @asynccontextmanager
    async def another_worker(self) -> AsyncIterator[None]:
        """For what was changed after the first began; it gets a queue that is its own."""
        self.queue = f"settlement-{uuid.uuid4().hex}"
        async with self.worker():
            yield
            await self.stop()

    async def details(self) -> str:
        """What the settlement says about itself in the Web UI."""
        assert self.handle is not None
        described = await self.handle.query("__temporal_workflow_metadata")
        return str(described.current_details)

    async def start(self, **options: Any) -> None:
        """Start the settlement workflow; a run that was terminated is followed by a new one."""
        quick = {"sweep_seconds": 0.5, "wait_seconds": 0.4}
        self.handle = await self.client.start_workflow(
            SettlementWorkflow.run,
            SettlementInput(**(quick | options)),
            id=self.workflow_id,
            task_queue=self.queue,
            task_timeout=timedelta(seconds=2),
        )

    async def stop(self) -> None:
        if self.handle is not None:
            handle, self.handle = self.handle, None
            await handle.terminate()

    # --- one step at a time, as a run that dies would have made it

    async def prepare(self, batch: str, in_use: Sequence[int] = ()) -> PreparedBatch:
        message = PrepareBatchInput(batch=self.batch(batch), in_use=tuple(in_use))
        done: PreparedBatch = await ActivityEnvironment().run(
            self.settlement.prepare_batch, message
        )
        return done

    async def sign(self, prepared: PreparedBatch) -> SignedBatch:
        message = SignBatchInput(prepared=prepared)
        done: SignedBatch = await ActivityEnvironment().run(self.settlement.sign_batch, message)
        return done

    async def send(self, prepared: PreparedBatch, signed: SignedBatch) -> Any:
        message = SendBatchInput(
            batch=prepared.batch, nonce=prepared.nonce, signed=(signed,), wait_seconds=5
        )
        return await self.sent(message)

    async def sent(self, message: SendBatchInput) -> Any:
        return await ActivityEnvironment().run(self.settlement.send_batch, message)

    def batch(self, name: str) -> str:
        return f"{batch_prefix(self.workflow_id)}{name}"

    # --- items

    async def filled(
        self, request: VaultRequest, shares: int = 1, price: Decimal = PRICE
    ) -> SettlementItem:
        """Enqueue what an order's activity would for this fill."""
        compute = buy_settlement if request.side is Side.BUY else sell_settlement
        terms = compute(shares, price, request.fee_bps, 6)
        return await self._enqueue(request, ItemKind.SETTLE, terms, shares)

    async def refunded(self, request: VaultRequest, reason: int = 3) -> SettlementItem:
        return await self._enqueue(request, ItemKind.REFUND, NONE, 0, reason)

    async def _enqueue(
        self,
        request: VaultRequest,
        kind: ItemKind,
        terms: Settlement,
        shares: int,
        reason: int = 0,
    ) -> SettlementItem:
        now = datetime.now(UTC)
        return await self.store.items.enqueue(
            SettlementItem(
                chain_id=request.chain_id,
                vault=request.vault,
                request_number=request.n,
                request_id=request.request_id,
                workflow_id=f"{self.workflow_id}-order-{request.n}",
                kind=kind,
                taken=terms.taken,
                out=terms.out,
                fee=terms.fee,
                fill_hash=FILL_HASH,
                filled=shares_to_units(shares),
                reason_code=reason,
                created_at=now,
                updated_at=now,
            )
        )

    async def deposits(self, count: int, amount: int = 200 * DOLLAR) -> list[VaultRequest]:
        return [await self.desk.deposit(self.desk.alice, amount) for _ in range(count)]

    async def item(self, request: VaultRequest) -> SettlementItem:
        found = await self.store.items.of_request(
            request.chain_id, request.vault, request.request_id
        )
        assert found is not None
        return found

    async def until(self, state: ItemState, *requests: VaultRequest) -> list[SettlementItem]:
        """The items, once all of them are in this state."""
        items: list[SettlementItem] = []

        async def reached() -> bool:
            items[:] = [await self.item(request) for request in requests]
            return all(item.state is state for item in items)

        await eventually(reached, timeout=60)
        return items

    # --- the chain

    async def automine(self, on: bool) -> None:
        await self.desk.rpc.call("evm_setAutomine", on)

    async def mine(self, blocks: int = 1) -> None:
        await self.desk.rpc.call("anvil_mine", hex(blocks))

    async def nonce(self) -> int:
        return await self.desk.sender.latest_nonce(self.address)

    async def waiting(self) -> list[dict[str, Any]]:
        """The settler's transactions in the mempool, lowest nonce first."""
        content = (await self.desk.rpc.call("txpool_content"))["pending"]
        of_settler = {who.lower(): txs for who, txs in content.items()}.get(
            self.address.lower(), {}
        )
        return [of_settler[nonce] for nonce in sorted(of_settler, key=int)]

    async def events(self, name: str) -> list[int]:
        """Request numbers of all events of this name, in order."""
        wanted = {"address": self.desk.address, "fromBlock": "0x0", "toBlock": "latest"}
        logs = await self.desk.rpc.call("eth_getLogs", wanted)
        return [event.n for event in vault_events(logs, self.desk.address) if event.name == name]

    async def take_nonce(self, nonce: int, max_fee: int = 400 * 10**9) -> None:
        """Somebody else with our key sends a transaction of their own."""
        tx = UnsignedTx(
            chain_id=self.desk.chain.chain_id,
            to=SIGNER,
            nonce=nonce,
            gas=21_000,
            max_fee=max_fee,
            max_priority_fee=max_fee,
            data="0x",
        )
        await self.desk.sender.broadcast(sign_with(account_of(dev_key(SETTLER)), tx).raw)


async def filled(rig: Rig, count: int = 3) -> list[VaultRequest]:
    """Deposits whose share was bought, and nothing settled yet."""
    requests = await rig.deposits(count)
    for request in requests:
        await rig.filled(request)
    return requests


async def settled_once(rig: Rig, requests: list[VaultRequest]) -> None:
    """Every request ended by its item, each with one event, and as many shares as fills."""
    items = await rig.until(ItemState.MINED, *requests)
    assert sorted(await rig.events("Settled")) == sorted(request.n for request in requests)
    assert await rig.desk.supply() == len(requests) * SHARE
    for item in items:
        receipt = await rig.desk.sender.receipt(item.tx_hash)
        assert receipt is not None
        assert item.request_id in {event.request_id for event in receipt.events}


def new_store_url(directory: Path, migrated: Path) -> str:
    """A database of its own: a copy, for migrating each anew takes longer than most tests."""
    shutil.copy(migrated, directory / "store.db")
    return f"sqlite:///{directory / 'store.db'}"


def migrated_store(directory: Path) -> Path:
    upgrade(f"sqlite:///{directory / 'migrated.db'}")
    return directory / "migrated.db"
