"""Who may do what, and what nobody may do."""

import pytest
from eth_typing import HexAddress, HexStr
from eth_utils.crypto import keccak
from web3.types import Nonce
from web3.utils import get_create_address

from clients.abi import load_contract
from clients.vault import VAULT
from clients.wallet import ERC20, USDT, CallReverted
from tests.integration.vault.desk import DOLLAR, SHARE, Desk, bought, names, rejections

UNAUTHORIZED = "AccessControlUnauthorizedAccount"


def role(name: str) -> bytes:
    return keccak(text=f"{name}_ROLE")


async def test_guardian__suspends_a_settler__batches_stop_until_the_admin_grants_again(
    desk: Desk,
) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    await desk.call(desk.guardian, "suspendSettler", desk.settler.address)

    with pytest.raises(CallReverted) as refused:
        await desk.settle([bought(request, 5)])
    assert refused.value.error == UNAUTHORIZED
    assert not (await desk.vault.settler(desk.settler.address, await desk.head())).has_role
    with pytest.raises(CallReverted):
        await desk.call(desk.guardian, "suspendSettler", desk.settler.address)
    await desk.call(desk.admin, "grantRole", role("SETTLER"), desk.settler.address)
    assert rejections(await desk.settle([bought(request, 5)])) == []


async def test_guardian__grants_nothing__and_does_not_unpause(desk: Desk) -> None:
    await desk.call(desk.guardian, "pause")

    refused = []
    for function, *args in (
        ("unpause",),
        ("grantRole", role("SETTLER"), desk.guardian.address),
        ("revokeRole", role("TREASURER"), desk.treasurer.address),
        ("configureTerms", 1, 0, 0),
        ("withdraw", desk.guardian.address, 1),
    ):
        with pytest.raises(CallReverted) as error:
            await desk.call(desk.guardian, str(function), *args)
        refused.append(error.value.error)

    assert refused == [UNAUTHORIZED] * 5
    await desk.call(desk.admin, "unpause")
    assert (await desk.deposit(desk.alice, 1000 * DOLLAR)).n == 1


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("pause", ()),
        ("suspendSettler", ("0x" + "11" * 20,)),
        ("configureTerms", (1, 0, 0)),
        ("unpause", ()),
        ("grantRole", (role("SETTLER"), "0x" + "11" * 20)),
    ],
)
async def test_settler__any_other_power__reverts(
    desk: Desk, function: str, args: tuple[object, ...]
) -> None:
    with pytest.raises(CallReverted) as refused:
        await desk.call(desk.settler, function, *args)

    assert refused.value.error == UNAUTHORIZED


@pytest.mark.parametrize(("min_deposit", "fee_bps"), [(0, 20), (1, 501)])
async def test_configure_terms__out_of_bounds__reverts(
    desk: Desk, min_deposit: int, fee_bps: int
) -> None:
    with pytest.raises(CallReverted) as refused:
        await desk.configure(min_deposit=min_deposit, fee_bps=fee_bps)

    assert refused.value.error == "InvalidConfig"


@pytest.mark.parametrize(
    ("heartbeat", "band", "gap"),
    [(0, 2500, 5000), (1, 0, 5000), (1, 10_000, 5000), (1, 2500, 0), (1, 2500, 10_000)],
)
async def test_configure_asset__out_of_bounds__reverts(
    desk: Desk, heartbeat: int, band: int, gap: int
) -> None:
    with pytest.raises(CallReverted) as refused:
        await desk.configure_asset(heartbeat=heartbeat, band=band, gap=gap)

    assert refused.value.error == "InvalidConfig"


async def test_configure_asset__token_of_another_vault__reverts(desk: Desk) -> None:
    code = ERC20.creation("Evil", "E", desk.admin.address)
    nonce = await desk.sender.latest_nonce(desk.admin.address)
    await desk.admin.transact("create", "", code)
    token = str(get_create_address(HexAddress(HexStr(desk.admin.address)), Nonce(nonce)))
    terms = (token, desk.reference, 86_400, 2500, 5000, True, 1)

    with pytest.raises(CallReverted, match="another vault") as refused:
        await desk.call(desk.admin, "configureAsset", *terms)

    assert refused.value.error == "InvalidConfig"


async def test_configure_asset__a_feed_of_other_decimals__reference_is_rescaled(
    desk: Desk,
) -> None:
    feed = load_contract("DevFeed")
    await desk.admin.send(feed, desk.feed, "setDecimals", 18)
    await desk.admin.send(feed, desk.feed, "setAnswer", 190 * 10**18)
    await desk.configure_asset(feed=desk.feed)

    assert await desk.vault.reference_price(desk.share, await desk.head()) == 190 * DOLLAR


@pytest.mark.parametrize("answer", [0, -1, 2**96, 2**255 - 1])
async def test_reference__answer_that_is_no_price__is_none(desk: Desk, answer: int) -> None:
    await desk.admin.send(load_contract("DevFeed"), desk.feed, "setAnswer", answer)

    assert await desk.vault.reference_price(desk.share, await desk.head()) == 0


async def test_reference__from_the_future_or_just_too_old__is_none(desk: Desk) -> None:
    feed = load_contract("DevFeed")
    now = (await desk.head()).timestamp
    await desk.admin.send(feed, desk.feed, "setRound", 190 * 10**8, now + 3600)
    assert await desk.vault.reference_price(desk.share, await desk.head()) == 0
    await desk.admin.send(feed, desk.feed, "setRound", 190 * 10**8, now)
    await desk.warp_to(now + 86_400)
    assert await desk.vault.reference_price(desk.share, await desk.head()) == 190 * DOLLAR
    await desk.warp_to(now + 86_401)
    assert await desk.vault.reference_price(desk.share, await desk.head()) == 0


@pytest.mark.parametrize(
    "clocks",
    [
        (7 * 86_400 - 1, 600, 30 * 86_400),
        (7 * 86_400, 0, 30 * 86_400),
        (7 * 86_400, 600, 600),
        (7 * 86_400, 600, 366 * 86_400),
    ],
)
async def test_vault__deployed_with_clocks_that_trap_money__is_not_created(
    desk: Desk, clocks: tuple[int, int, int]
) -> None:
    # None of the libraries is called before it exists, so any address will do.
    anywhere = dict.fromkeys(VAULT.libraries, desk.usdt)
    terms = (desk.usdt, desk.admin.address, 0, *clocks, 1, 0, 0)
    code = VAULT.creation(terms, libraries=anywhere)

    with pytest.raises(CallReverted) as refused:
        await desk.admin.transact("create", "", code)

    assert refused.value.error == "InvalidConfig"


async def test_share_token__anybody_but_the_vault__neither_mints_nor_burns(desk: Desk) -> None:
    await desk.holder(desk.alice, 1)

    for wallet in (desk.alice, desk.admin, desk.settler):
        with pytest.raises(CallReverted) as minted:
            await wallet.send(ERC20, desk.share, "mint", wallet.address, SHARE)
        with pytest.raises(CallReverted) as burned:
            await wallet.send(ERC20, desk.share, "burn", 1)
        assert (minted.value.error, burned.value.error) == ("NotVault", "NotVault")
    assert await desk.supply() == SHARE


async def test_dev_usdt__habits_of_the_real_one__are_there(desk: Desk) -> None:
    call = {
        "from": desk.alice.address,
        "to": desk.usdt,
        "data": USDT.calldata("transfer", desk.bob.address, 1),
    }
    assert await desk.rpc.call("eth_call", call, "latest") == "0x"
    await desk.alice.send(USDT, desk.usdt, "approve", desk.bob.address, 5)
    with pytest.raises(CallReverted) as twice:
        await desk.alice.send(USDT, desk.usdt, "approve", desk.bob.address, 6)
    assert twice.value.error == "ApproveFromNonZero"
    assert await desk.alice.read(USDT, desk.usdt, "decimals") == 6


async def test_wallet__allowance_left_over__approves_through_zero(desk: Desk) -> None:
    await desk.alice.send(USDT, desk.usdt, "approve", desk.address, 5)

    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    assert request.amount == 1000 * DOLLAR


async def test_fund__anybody__adds_to_the_free_balance(desk: Desk) -> None:
    await desk.bob.send(USDT, desk.usdt, "approve", desk.address, 5 * DOLLAR)
    free = (await desk.books()).free

    receipt = await desk.call(desk.bob, "fund", 5 * DOLLAR)

    assert names(receipt) == ["Funded"]
    assert (await desk.books()).free == free + 5 * DOLLAR
