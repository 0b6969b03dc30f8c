"""Who may hold shares: asked at request, mint and transfer; never in the way of money."""

import pytest

from clients.wallet import ERC20
from models.requests import VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, bought, refund
from tests.integration.vault.office import Office
from tests.integration.vault.revm import Reverted


async def test_block_list__recipient_screened_after_the_fill__owner_claims_later() -> None:
    office = Office()
    request = await office.deposit(office.alice, 1000 * DOLLAR, recipient=office.bob)
    other = await office.deposit(office.bob, 1000 * DOLLAR)
    address = office.listing(allowing=False)
    office.mark(address, office.bob, on=True)
    office.mark(address, office.alice, on=True)
    money = office.balance(office.bob)

    assert office.settle([bought(request, 5)], [refund(other)]) == []

    assert await office.status(request.n) is VaultStatus.SETTLED
    assert office.balance(office.bob) == money + 1000 * DOLLAR
    assert office.revm.read("claimable", office.share, office.alice) == 5 * SHARE
    with pytest.raises(Reverted, match="NotEligible"):
        office.revm.call(office.alice, "claim", office.share, office.alice)
    office.mark(address, office.alice, on=False)
    office.revm.call(office.alice, "claim", office.share, office.alice)
    assert office.balance(office.alice, office.share) == 5 * SHARE
    with pytest.raises(Reverted, match="NotEligible"):
        office.revm.call(office.alice, "transfer", office.bob, 1, abi=ERC20, to=office.share)
    office.revm.call(office.alice, "transfer", office.carol, 1, abi=ERC20, to=office.share)
    with pytest.raises(Reverted, match="NotEligible"):
        await office.deposit(office.alice, 1000 * DOLLAR, recipient=office.bob)
    with pytest.raises(Reverted, match="NotEligible"):
        await office.deposit(office.bob, 1000 * DOLLAR, recipient=office.alice)


async def test_allow_list__nobody_on_it__lets_nobody_ask_until_it_is_taken_away() -> None:
    office = Office()
    office.listing(allowing=True)

    with pytest.raises(Reverted, match="NotEligible"):
        await office.deposit(office.alice, 1000 * DOLLAR)
    with pytest.raises(Reverted, match="eligibility list"):
        office.revm.call(office.dev.admin, "configureEligibility", office.alice)
    office.revm.call(office.dev.admin, "configureEligibility", "0x" + "00" * 20)
    assert (await office.deposit(office.alice, 1000 * DOLLAR)).n == 1
