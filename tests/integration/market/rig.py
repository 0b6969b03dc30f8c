"""The real placing activity on real feeds and a real quote, and what can be done to both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clock import utc_now
from activities.confirming import Confirming
from activities.fees import FeeLimits
from activities.finality import Finality
from activities.guards import GuardLimits, Guards
from activities.placing import PlacingActivities
from clients.agreeing import AgreeingVault
from clients.oracle import OracleClient
from clients.splits import SplitReader
from models.assets import Asset, AssetBook
from models.confirmations import ConfirmationPolicy
from models.control import ControlState
from models.messages import PlaceOrderInput, PlaceOrderResult
from models.requests import VaultRequest
from simulators.opend import wire
from tests.builders import order_request, read_at
from tests.integration.broker.office import Office
from tests.integration.vault.desk import DOLLAR, FEED, Desk

Change = Callable[[Any], None]
_GWEI = 10**9


@dataclass
class Rig:
    """One deposit that is ready to be placed."""

    office: Office
    desk: Desk
    request: VaultRequest
    placing: PlacingActivities
    monkeypatch: pytest.MonkeyPatch
    before: int
    price: Decimal = Decimal(190)

    async def place(self) -> PlaceOrderResult:
        """One try, as a worker makes it."""
        await self.office.flags.renew_lease(ControlState(paused=False, version=1), 60.0)
        await self.office.store.book.record_snapshot(read_at(datetime.now(UTC)))
        self.office.desk.client._quotes.clear()
        request = order_request(request_id=self.request.request_id, n=self.request.n)
        changed = {"vault": self.desk.address, "chain_id": self.request.chain_id}
        message = PlaceOrderInput(request=request.model_copy(update=changed), attempt=1, version=1)
        environment = ActivityEnvironment()
        return await environment.run(self.placing.place_order, message)

    async def sent(self) -> int:
        """Orders that reached the broker since this deposit was made."""
        return len(await self.office.desk.control.placements()) - self.before

    # --- what can be wrong

    async def feed(self, answer: int, age: int = 0) -> None:
        """The share's feed says this, so many seconds ago (negative: from the future)."""
        await self._round(self.desk.feed, answer, age)

    async def usdt(self, answer: int, age: int = 0) -> None:
        """The same of USDT's feed."""
        await self._round(self.desk.chain.feeds["USDT"], answer, age)

    async def usdt_decimals(self, decimals: int) -> None:
        feed = self.desk.chain.feeds["USDT"]
        await self.desk.admin.send(FEED, feed, "setDecimals", decimals)

    async def code(self, address: str, code: str) -> None:
        """Another contract in the place of one."""
        await self.desk.rpc.call("anvil_setCode", address, code)
        await self.desk.rpc.call("evm_mine")

    async def _round(self, feed: str, answer: int, age: int) -> None:
        at = (await self.desk.head()).timestamp
        # The future is the agreed head's: two blocks pass until it is read.
        await self.desk.admin.send(FEED, feed, "setRound", answer, max(0, at - age))

    def snapshot(self, change: Change) -> None:
        """Every snapshot that the simulator sends from now on is changed before it goes out."""
        honest = wire.snapshot_message

        def changed(*args: Any) -> Any:
            message = honest(*args)
            change(message)
            return message

        self.monkeypatch.setattr(wire, "snapshot_message", changed)


async def build_rig(office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A fresh deposit of alice's, and everything that decides about it."""
    rpc, chain = desk.rpc, desk.chain
    vault = AgreeingVault(desk.vault, allow_single=True)
    assets = AssetBook(
        assets=tuple(
            Asset(symbol=symbol, token=token, feed=chain.references[symbol])
            for symbol, token in chain.shares.items()
        )
    )
    limits = GuardLimits(
        deadline_margin=120,
        band_bps=300,
        usdt_band_bps=50,
        min_gas_wei=10**16,
        settler=chain.settler,
        batch_gas=640_000,
        fees=FeeLimits(max_fee=500 * _GWEI),
        usdt_feed=chain.feeds["USDT"],
        split_margin=30,
    )
    confirming = Confirming(vault, ConfirmationPolicy.of_blocks(0), Finality(vault))
    guards = Guards(
        vault,
        OracleClient(vault.rpc),
        office.desk.client,
        office.store,
        assets,
        limits,
        desk.sender,
        confirming,
        SplitReader(vault.rpc),
    )
    placing = PlacingActivities(
        guards,
        office.desk.client,
        office.store,
        office.flags,
        place_window=(1000, 30.0, 0.0),
        send_window=timedelta(seconds=15),
        line_per_owner=100,
    )
    # A new block, and with it the clock of now: the snapshot's return leaves an old one.
    await rpc.call("evm_mine")
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    workflow_id = f"market-{request.request_id}"
    await office.store.orders.admit(
        request, workflow_id=workflow_id, symbol="AAPL", tx_hash="", now=utc_now()
    )
    before = len(await office.desk.control.placements())
    return Rig(office, desk, request, placing, monkeypatch, before)
