"""EIP-2612 approvals, honest, front-run and forged."""

import pytest
from eth_typing import HexAddress, HexStr
from web3.types import Nonce
from web3.utils import get_create_address

from clients.abi import load_contract
from clients.vault import VAULT
from clients.wallet import ERC20, USDT, CallReverted
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT
from tests.integration.vault.desk import DOLLAR, SHARE, Desk
from tests.integration.vault.permits import permit


async def test_redeem_with_permit__no_approval_before__escrows(desk: Desk) -> None:
    await desk.holder(desk.alice, 1)
    deadline = await desk.deadline()
    signature = permit(desk.share, "AAPL share", desk.address, SHARE, deadline)
    args = (desk.share, SHARE, MARKET_SELL_LIMIT, deadline, desk.alice.address, *signature)

    receipt = await desk.call(desk.alice, "redeemWithPermit", *args)

    assert receipt.events[0].args["amount"] == SHARE
    assert await desk.alice.balance(desk.share) == 0


async def test_redeem_with_permit__permit_submitted_by_another_first__still_works(
    desk: Desk,
) -> None:
    await desk.holder(desk.alice, 1)
    deadline = await desk.deadline()
    signature = permit(desk.share, "AAPL share", desk.address, SHARE, deadline)
    theft = (desk.alice.address, desk.address, SHARE, *signature)
    await desk.bob.send(ERC20, desk.share, "permit", *theft)
    args = (desk.share, SHARE, MARKET_SELL_LIMIT, deadline, desk.alice.address, *signature)

    receipt = await desk.call(desk.alice, "redeemWithPermit", *args)

    assert receipt.events[0].args["amount"] == SHARE


async def test_redeem_with_permit__signed_for_less__reverts(desk: Desk) -> None:
    await desk.holder(desk.alice, 1)
    deadline = await desk.deadline()
    signature = permit(desk.share, "AAPL share", desk.address, SHARE - 1, deadline)
    args = (desk.share, SHARE, MARKET_SELL_LIMIT, deadline, desk.alice.address, *signature)

    with pytest.raises(CallReverted) as refused:
        await desk.call(desk.alice, "redeemWithPermit", *args)

    assert refused.value.error == "ERC20InsufficientAllowance"
    assert (await desk.books()).count == 1  # the request that gave her the share


async def test_redeem_with_permit__unlisted_token__is_never_called(desk: Desk) -> None:
    deadline = await desk.deadline()
    signature = permit(desk.usdt, "Tether USD (dev)", desk.address, SHARE, deadline)
    args = (desk.usdt, SHARE, MARKET_SELL_LIMIT, deadline, desk.alice.address, *signature)

    with pytest.raises(CallReverted) as refused:
        await desk.call(desk.alice, "redeemWithPermit", *args)

    assert refused.value.error == "UnknownAsset"


async def test_deposit_with_permit__usdt_has_none__approval_decides(desk: Desk) -> None:
    deadline = await desk.deadline()
    nothing = (deadline, 27, b"\0" * 32, b"\0" * 32)
    args = (desk.share, 100 * DOLLAR, MARKET_BUY_LIMIT, deadline, desk.alice.address, *nothing)
    with pytest.raises(CallReverted):
        await desk.call(desk.alice, "depositWithPermit", *args)
    await desk.alice.send(USDT, desk.usdt, "approve", desk.address, 100 * DOLLAR)

    receipt = await desk.call(desk.alice, "depositWithPermit", *args)

    assert receipt.events[0].args["amount"] == 100 * DOLLAR


async def test_deposit_with_permit__money_token_that_has_it__escrows(desk: Desk) -> None:
    token, vault = await _vault_of_a_permit_token(desk)
    deadline = await desk.deadline()
    signature = permit(token, "AAPL share", vault, 100 * SHARE, deadline)
    args = (100 * SHARE, MARKET_BUY_LIMIT, deadline, desk.alice.address, *signature)

    await desk.alice.send(VAULT, vault, "depositWithPermit", await _listed(desk, vault), *args)

    assert await desk.alice.read(ERC20, token, "balanceOf", vault) == 100 * SHARE
    assert await desk.alice.read(VAULT, vault, "count") == 1


async def _vault_of_a_permit_token(desk: Desk) -> tuple[str, str]:
    """A second vault whose money is an 18-decimal ERC-20 with EIP-2612, some of it alice's.

    That is the share of the first vault: no other token here has a permit.
    """
    admin, token = desk.admin, desk.share
    await desk.holder(desk.alice, 100)
    terms = (token, admin.address, 0, 7 * 86_400, 600, 30 * 86_400, SHARE, 0, 0)
    libraries = {
        name: await _create(desk, load_contract(name).creation()) for name in VAULT.libraries
    }
    return token, await _create(desk, VAULT.creation(terms, libraries=libraries))


async def _listed(desk: Desk, vault: str) -> str:
    share = await _create(desk, ERC20.creation("Other", "O", vault))
    role = bytes.fromhex((await _role(desk, vault))[2:])
    await desk.admin.send(VAULT, vault, "grantRole", role, desk.admin.address)
    await desk.admin.send(
        VAULT, vault, "configureAsset", share, desk.reference, 86_400, 2500, 5000, True, 1
    )
    return share


async def _role(desk: Desk, vault: str) -> str:
    call = {"to": vault, "data": VAULT.calldata("CONFIG_ROLE")}
    return str(await desk.rpc.call("eth_call", call, "latest"))


async def _create(desk: Desk, code: str) -> str:
    nonce = await desk.sender.latest_nonce(desk.admin.address)
    receipt = await desk.send_as(desk.admin.address, "", code, 8_000_000)
    assert receipt.ok
    return str(get_create_address(HexAddress(HexStr(desk.admin.address)), Nonce(nonce)))
