"""The dev chain, the feeds on it, and that what we ship is what the sources give."""

import asyncio
from pathlib import Path

import pytest

from bronco.devchain import (
    ADMIN,
    DevChain,
    DevChainPlan,
    deploy,
    dev_address,
    dev_key,
    send_together,
)
from bronco.processes import require_program
from bronco.services.anvil import Anvil, start_anvil
from clients.keys import UnsignedTx, account_of, sign_with
from clients.oracle import OracleClient, PriceStale, PriceUnusable
from clients.rpc import Rpc
from clients.vault import VaultClient
from clients.wallet import Wallet
from models.errors import ConfigurationError
from tests.integration.vault.desk import DOLLAR, FEED, Desk
from tests.integration.vault.proxy import Json, endpoint

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("how", ["--unchanged", pytest.param("--check", marks=pytest.mark.soak)])
async def test_abi__what_we_ship__is_what_the_sources_give(how: str) -> None:
    """By the sums that the build left; in soak, by compiling once more, which takes a minute."""
    node = require_program("node", "run `make setup`")
    build = await asyncio.create_subprocess_exec(
        str(node),
        str(ROOT / "contracts" / "build.mjs"),
        how,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await build.communicate()
    assert build.returncode == 0, told.decode()


async def test_deploy__twice_on_one_chain__are_two_vaults(vault_rpc: Rpc, desk: Desk) -> None:
    plan = DevChainPlan(stocks={"AAPL": 190 * 10**8, "MSFT": 400 * 10**8}, users=12)

    second = await deploy(vault_rpc, plan)

    assert second.vault != desk.address
    vault = VaultClient(vault_rpc, chain_id=31337, address=second.vault)
    head = await vault.head()
    assert await vault.reference_price(second.shares["MSFT"], head) == 400 * DOLLAR
    assert second.users[11] == dev_address(15)
    last = Wallet(vault_rpc, "0x" + "01" * 32, chain_id=31337, vault=second.vault, usdt=second.usdt)
    assert await last.balance(second.usdt) == 0
    assert DevChain.from_json(second.to_json()) == second


async def test_send_together__one_has_no_room_in_the_block__all_are_mined_in_order(
    desk: Desk,
) -> None:
    """anvil forgets what comes after it: room there is for that, and its nonce is too high."""
    nonce = await desk.sender.latest_nonce(desk.admin.address)
    sizes = [20_000] * 30 + [250_000] + [1] * 10
    raws = [_nothing(desk, nonce + ahead, room) for ahead, room in enumerate(sizes)]

    hashes = await send_together(desk.rpc, raws)

    receipts = await desk.sender.receipts(hashes)
    blocks = [receipt.block_number for receipt in receipts if receipt is not None]
    assert len(blocks) == len(sizes)
    assert blocks == sorted(blocks)
    assert blocks[0] < blocks[-1], "a block had room for all of them"
    # It mines by itself again.
    assert (await desk.admin.transact("asking", desk.admin.address, "0x")).ok


async def test_send_together__nothing_is_mined__all_wait(desk: Desk) -> None:
    """Mining is somebody else's: the test of a reorganisation decides when a block comes."""
    nonce = await desk.sender.latest_nonce(desk.admin.address)
    await desk.rpc.call("evm_setAutomine", False)
    try:
        hashes = await send_together(desk.rpc, [_nothing(desk, nonce, room=1)])
        assert await desk.sender.receipts(hashes) == [None]
        await desk.rpc.call("evm_mine")
        assert None not in await desk.sender.receipts(hashes)
    finally:
        await desk.rpc.call("evm_setAutomine", True)


def _nothing(desk: Desk, nonce: int, room: int) -> str:
    """The admin's, to itself: gas for so many bytes at 40 each, of a block's 30,000,000."""
    tx = UnsignedTx(
        chain_id=31337,
        to=desk.admin.address,
        nonce=nonce,
        gas=30_000 + 40 * room,
        max_fee=100 * 10**9,
        max_priority_fee=1,
        data="0x" + "ff" * min(room, 20_000),
    )
    return sign_with(account_of(dev_key(ADMIN)), tx).raw


async def test_deploy__not_a_dev_chain__deploys_nothing(desk: Desk) -> None:
    def mainnet(call: Json, truth: Json) -> Json:
        return {**truth, "result": "0x1"} if call["method"] == "eth_chainId" else truth

    nonce = await desk.sender.latest_nonce(desk.admin.address)
    async with endpoint(desk.rpc.url, mainnet) as url:
        rpc = Rpc(url)
        with pytest.raises(ConfigurationError):
            await deploy(rpc)
        await rpc.close()

    assert await desk.sender.latest_nonce(desk.admin.address) == nonce
    with pytest.raises(ConfigurationError):
        Wallet(desk.rpc, "0x" + "01" * 32, chain_id=1, vault=desk.address, usdt=desk.usdt)


async def test_deploy__blocks_come_by_the_clock__waits_for_them(tmp_path: Path) -> None:
    anvil: Anvil = await start_anvil(tmp_path, block_time=1)
    rpc = Rpc(anvil.http_url)
    try:
        chain = await deploy(rpc)
        vault = VaultClient(rpc, chain_id=31337, address=chain.vault)
        await vault.check()
        assert (await vault.books(await vault.head())).free == 1_000_000 * DOLLAR
    finally:
        await rpc.close()
        await anvil.process.stop()


async def test_price__live_stale_or_broken_feed__is_told_apart(desk: Desk) -> None:
    oracle = OracleClient(desk.rpc)

    async def read() -> object:
        return (await oracle.price(desk.feed, heartbeat_seconds=86_400, at=await desk.head())).usd

    assert await read() == 190
    await desk.admin.send(FEED, desk.feed, "setDecimals", 18)
    await desk.admin.send(FEED, desk.feed, "setAnswer", 190_250_000_000_000_000_000)
    assert str(await read()) == "190.250000000000000000"
    await desk.make_stale()
    with pytest.raises(PriceStale):
        await read()
    await desk.admin.send(FEED, desk.feed, "setAnswer", -5)
    with pytest.raises(PriceUnusable):
        await read()
    with pytest.raises(PriceUnusable):
        await oracle.price(desk.alice.address, heartbeat_seconds=1, at=await desk.head())
