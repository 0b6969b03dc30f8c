"""Reading the vault: at a block, through endpoints that lag, lie, break or are not there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bronco.processes import free_port
from clients.agreeing import AgreeingVault
from clients.rpc import Rpc, RpcRefused, RpcUnreachable
from clients.vault import VAULT, VaultClient
from models.errors import ConfigurationError, EndpointsDisagree, SourceUnavailable
from models.requests import BlockRef
from tests.integration.vault.desk import DOLLAR, Desk
from tests.integration.vault.proxy import Json, Tamper, answering, endpoint, is_view

NOWHERE = BlockRef(number=3, hash="0x" + "12" * 32, timestamp=0)


@asynccontextmanager
async def client(desk: Desk, url: str) -> AsyncIterator[VaultClient]:
    rpc = Rpc(url, name="second", timeout_seconds=5)
    yield VaultClient(rpc, chain_id=31337, address=desk.address)
    await rpc.close()


@asynccontextmanager
async def pair(desk: Desk, tamper: Tamper) -> AsyncIterator[AgreeingVault]:
    """The true endpoint and one that tampers."""
    async with endpoint(desk.rpc.url, tamper) as url, client(desk, url) as second:
        yield AgreeingVault(desk.vault, second)


def selector(function: str) -> str:
    return VAULT.calldata(function, *([1] if function == "request" else []))[2:10]


def answer_with(function: str, result: str) -> Tamper:
    def tamper(call: Json, truth: Json) -> Json:
        return {**truth, "result": result} if is_view(call, selector(function)) else truth

    return tamper


def honest(_: Json, truth: Json) -> Json:
    return truth


async def test_read__block_of_another_fork__is_an_error_not_an_answer(desk: Desk) -> None:
    with pytest.raises(RpcRefused):
        await desk.vault.count(NOWHERE)


async def test_check__wrong_chain_or_no_code__names_the_setting(desk: Desk) -> None:
    elsewhere = VaultClient(desk.rpc, chain_id=1, address=desk.address)
    nobody = VaultClient(desk.rpc, chain_id=31337, address="0x" + "99" * 20)

    with pytest.raises(ConfigurationError, match="31337, not 1"):
        await elsewhere.check()
    with pytest.raises(ConfigurationError, match="no contract"):
        await nobody.check()
    await desk.vault.check()


async def test_read__address_without_code__is_no_empty_vault(desk: Desk) -> None:
    nobody = VaultClient(desk.rpc, chain_id=31337, address="0x" + "99" * 20)

    with pytest.raises(SourceUnavailable):
        await nobody.count(await desk.head())


async def test_request__terms_do_not_hash_to_the_id__is_refused(desk: Desk) -> None:
    await desk.deposit(desk.alice, 1000 * DOLLAR)
    amount, more = f"{1000 * DOLLAR:064x}", f"{9000 * DOLLAR:064x}"

    def tamper(call: Json, truth: Json) -> Json:
        return {**truth, "result": str(truth["result"]).replace(amount, more)}

    async with endpoint(desk.rpc.url, tamper) as url, client(desk, url) as liar:
        with pytest.raises(SourceUnavailable, match="its terms give"):
            await liar.request(1, await desk.head())


async def test_request__another_request_than_asked__is_refused(desk: Desk) -> None:
    await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.deposit(desk.alice, 2000 * DOLLAR)
    head = await desk.head()
    call = {"to": desk.address, "data": VAULT.calldata("request", 2)}
    other = await desk.rpc.call("eth_call", call, "latest")

    async with (
        endpoint(desk.rpc.url, answer_with("request", other)) as url,
        client(desk, url) as liar,
    ):
        with pytest.raises(SourceUnavailable, match="came as 2"):
            await liar.request(1, head)


async def test_agreeing__both_say_the_same__gives_it(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    async with pair(desk, honest) as both:
        head = await both.head()
        assert head == await desk.head()
        assert await both.count(head) == 1
        assert await both.request(1, head) == request
        assert await both.request(2, head) is None
        assert await both.requests(1, 9, head) == [request]
        assert [state.n for state in await both.states([1], head)] == [1]


@pytest.mark.parametrize("function", ["request", "count"])
async def test_agreeing__one_answers_zero__nobody_acts(desk: Desk, function: str) -> None:
    await desk.deposit(desk.alice, 1000 * DOLLAR)
    zero = "0x" + "00" * 32 * (17 if function == "request" else 1)

    async with pair(desk, answer_with(function, zero)) as both:
        head = await both.head()
        with pytest.raises(EndpointsDisagree):
            await (both.request(1, head) if function == "request" else both.count(head))


async def test_agreeing__second_lags__head_is_the_lower(desk: Desk) -> None:
    old = await desk.rpc.call("eth_getBlockByNumber", "latest", False)
    await desk.rpc.call("evm_mine")

    def lagging(call: Json, truth: Json) -> Json:
        return {**truth, "result": old} if "latest" in call["params"] else truth

    async with pair(desk, lagging) as both:
        assert (await both.head()).hash == old["hash"]


async def test_agreeing__second_is_on_another_fork__no_head(desk: Desk) -> None:
    def forked(call: Json, truth: Json) -> Json:
        return {**truth, "result": {**truth["result"], "hash": NOWHERE.hash}}

    async with pair(desk, forked) as both:
        with pytest.raises(EndpointsDisagree):
            await both.head()


async def test_agreeing__second_is_gone__could_not_ask(desk: Desk) -> None:
    head = await desk.head()
    async with client(desk, f"http://127.0.0.1:{free_port()}") as second:
        both = AgreeingVault(desk.vault, second)

        with pytest.raises(RpcUnreachable):
            await both.request(1, head)


async def test_agreeing__one_endpoint_twice__only_where_it_is_allowed(desk: Desk) -> None:
    with pytest.raises(ConfigurationError):
        AgreeingVault(desk.vault, desk.vault)
    single = AgreeingVault(desk.vault, desk.vault, allow_single=True)
    assert await single.head() == await desk.head()

    production = VaultClient(desk.rpc, chain_id=1, address=desk.address)
    with pytest.raises(ConfigurationError):
        AgreeingVault(production, production, allow_single=True)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "not json"),
        (200, "[]"),
        (200, "7"),
        (200, '{"jsonrpc": "2.0", "id": 1}'),
        (200, '{"jsonrpc": "2.0", "id": 1, "result": null}'),
        (200, '{"jsonrpc": "2.0", "id": 1, "result": {"number": "0x"}}'),
        (429, "slow down"),
        (500, "<html>"),
    ],
)
async def test_read__answer_is_none__could_not_ask(desk: Desk, status: int, text: str) -> None:
    async with answering(status, text) as url, client(desk, url + "/") as broken:
        with pytest.raises(SourceUnavailable):
            await broken.head()
        with pytest.raises(SourceUnavailable):
            await broken.settler(desk.settler.address, await desk.head())


async def test_read__endpoint_fails__key_in_its_url_is_not_told(desk: Desk) -> None:
    async with answering(401, "no") as url, client(desk, url + "/?key=s3cr3t") as broken:
        with pytest.raises(SourceUnavailable) as failed:
            await broken.head()

    assert "s3cr3t" not in str(failed.value)
    assert "401" in str(failed.value)


async def test_settler__state__role_money_and_nonces(desk: Desk) -> None:
    state = await desk.vault.settler(desk.settler.address, await desk.head())
    other = await desk.vault.settler(desk.alice.address, await desk.head())

    assert (state.has_role, other.has_role) == (True, False)
    assert state.balance == 10 * 10**18
    assert state.latest_nonce == state.pending_nonce


async def test_asset__listed_or_not__terms_or_none(desk: Desk) -> None:
    head = await desk.head()

    terms = await desk.vault.asset(desk.share, head)

    assert terms is not None
    assert (terms.token, terms.feed, terms.band_bps) == (desk.share, desk.reference, 2_500)
    assert await desk.vault.asset(desk.usdt, head) is None
    assert await desk.vault.usdt(head) == (desk.usdt, 6)
