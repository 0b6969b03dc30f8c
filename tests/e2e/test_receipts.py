"""Receipts of real orders: they verify with a node alone, and not with one digit changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bronco.cli import run
from bronco.receipts import ChainWitness, check_receipt, read_receipt
from clients.rpc import Rpc
from clients.wallet import Requested
from models.chain import TxReceipt
from models.errors import InvalidInput
from models.order import OrderStatus
from models.requests import VaultRequest
from tests.e2e.desk import Desk
from tests.spoiling import Spoilt, each_digit, each_field
from tests.waiting import eventually


class Remembering(ChainWitness):
    """Asks the chain each thing once."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: dict[tuple[str, object], Any] = {}

    async def _once(self, kind: str, key: Any, ask: Any) -> Any:
        if (kind, key) not in self._known:
            self._known[kind, key] = await ask
        else:
            ask.close()
        return self._known[kind, key]

    async def auditor(self, signer: str) -> bool:
        return bool(await self._once("auditor", signer, super().auditor(signer)))

    async def request(self, n: int) -> VaultRequest | None:
        found: VaultRequest | None = await self._once("request", n, super().request(n))
        return found

    async def transaction(self, tx_hash: str) -> TxReceipt | None:
        asked = super().transaction(tx_hash)
        found: TxReceipt | None = await self._once("transaction", tx_hash, asked)
        return found

    async def decimals(self) -> int:
        return int(await self._once("decimals", 0, super().decimals()))


@asynccontextmanager
async def witness_of(desk: Desk) -> AsyncIterator[Remembering]:
    rpc = Rpc(desk.stack.anvil.http_url)
    chain = desk.stack.chain
    yield Remembering(rpc, chain.chain_id, chain.vault)
    await rpc.close()


async def receipt_of(desk: Desk, made: Requested) -> str:
    """As the API gives it, once its end is signed for."""
    url = f"{desk.stack.api_url}/orders/{made.request_id}/receipt"
    async with httpx.AsyncClient(headers={"X-API-Key": desk.stack.api_key}) as http:

        async def given() -> str:
            answer = await http.get(url)
            assert answer.status_code in (200, 409), answer.text
            return answer.text if answer.status_code == 200 else ""

        return await eventually(given, timeout=60, interval=0.5)


async def problems(text: bytes, witness: Remembering) -> list[str]:
    """Why a receipt does not verify; empty when it does."""
    try:
        receipt = read_receipt(text)
    except InvalidInput as wrong:
        return [str(wrong)]
    return [
        f"{one.what}: {one.problem}" for one in await check_receipt(receipt, witness) if one.problem
    ]


async def none_passes(spoilt: Iterable[Spoilt], witness: Remembering) -> int:
    count = 0
    for one in spoilt:
        count += 1
        assert await problems(one.text, witness), f"{one.what} was not noticed"
    return count


async def test_receipt__bought_sold_refunded__each_verifies_with_a_node_alone(
    embedded_desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = embedded_desk
    await desk.holding(1)
    bought = await desk.deposit()
    sold = await desk.redeem()
    small = await desk.deposit(20_000_000)
    await desk.all_end([bought, sold], OrderStatus.EXECUTED)
    await desk.end(small, OrderStatus.FAILED)
    async with witness_of(desk) as witness:
        texts = [await receipt_of(desk, made) for made in (bought, sold, small)]
        for text in texts:
            assert await problems(text.encode(), witness) == []
    kinds = [json.loads(text)["outcome"]["kind"] for text in texts]
    assert kinds == ["SETTLE", "SETTLE", "REFUND"]

    file = tmp_path / "receipt.json"
    file.write_text(texts[0])
    command = ["receipt", "verify", str(file), "--rpc", desk.stack.anvil.http_url, "--json"]
    assert await asyncio.to_thread(run, command) == 0
    file.write_text(texts[0].replace('"taken":"', '"taken":"1'))
    assert await asyncio.to_thread(run, command) == 1
    await desk.prove()


async def test_receipt__one_thing_changed__never_verifies(embedded_desk: Desk) -> None:
    desk = embedded_desk
    made = await desk.deposit()
    await desk.end(made, OrderStatus.EXECUTED)
    text = await receipt_of(desk, made)
    async with witness_of(desk) as witness:
        assert await problems(text.encode(), witness) == []
        assert await none_passes(each_field(text), witness) > 200
        assert await none_passes(each_digit(text), witness) > 1_000
