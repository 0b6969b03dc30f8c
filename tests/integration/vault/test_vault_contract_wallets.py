"""ERC-1271: a contract approves, and a contract's wish to cancel is signed by its own rule."""

from collections.abc import Callable

import pytest

from bronco.deployment import dev_address
from clients.approvals import (
    Approval,
    approved_refund,
    approved_settlement,
    cancel_data,
    digest,
    refund_data,
    settlement_data,
)
from models.money import MARKET_BUY_LIMIT
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.codes import answering, wallet_that_signed
from tests.integration.vault.desk import DOLLAR, bought, refund
from tests.integration.vault.office import APPROVERS, HOUR, Office, signed
from tests.integration.vault.revm import Reverted

WALLET = "0x" + "7A" * 20
ONE = APPROVERS[0]
MAGIC = 0x1626BA7E << 224
ALMOST = MAGIC + 1

Ending = Callable[[VaultRequest, Office], tuple[str, VaultStatus]]


def settled(request: VaultRequest, office: Office) -> tuple[str, VaultStatus]:
    fill, signing = bought(request, 5), office.signing()
    data = settlement_data(fill, signing)
    office.revm.replace_code(WALLET, wallet_that_signed(digest(data)))
    approvals = [signed(data, ONE), Approval(WALLET, b"its own affair")]
    return approved_settlement(fill, signing.deadline, approvals), VaultStatus.SETTLED


def refunded(request: VaultRequest, office: Office) -> tuple[str, VaultStatus]:
    wanted, signing = refund(request), office.signing()
    data = refund_data(wanted, signing)
    office.revm.replace_code(WALLET, wallet_that_signed(digest(data)))
    approvals = [signed(data, ONE), Approval(WALLET, b"")]
    return approved_refund(wanted, signing.deadline, approvals), VaultStatus.REFUNDED


@pytest.fixture
def office() -> Office:
    """Two must approve: an account and a contract wallet."""
    office = Office()
    signers = sorted((WALLET, dev_address(ONE)), key=lambda one: int(one, 16))
    office.revm.call(office.dev.admin, "configureApprovers", signers, 2)
    office.caps(returned=0)
    return office


@pytest.mark.parametrize("ending", [settled, refunded])
async def test_approvals__contract_wallet_signed__counts_as_one(
    office: Office, ending: Ending
) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    data, status = ending(request, office)

    office.transact(data)

    assert await office.status(request.n) is status


@pytest.mark.parametrize("ending", [settled, refunded])
@pytest.mark.parametrize(
    "code",
    [wallet_that_signed("0x" + "11" * 32), answering(1), answering(ALMOST), b"\x5f\x5f\xfd", b""],
    ids=["signed another", "answers true", "a unit off", "reverts", "no contract"],
)
async def test_approvals__contract_wallet_did_not_sign__nothing_happens(
    office: Office, ending: Ending, code: bytes
) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    data, _ = ending(request, office)
    office.revm.replace_code(WALLET, code)

    with pytest.raises(Reverted) as refused:
        office.transact(data)

    assert refused.value.name == "InvalidSignature"
    assert await office.status(request.n) is VaultStatus.OPEN


async def test_cancel__owner_is_a_contract_wallet__only_what_it_signed() -> None:
    office = Office()
    terms = (office.share, 1000 * DOLLAR, MARKET_BUY_LIMIT, office.revm.now + HOUR, office.alice)
    (event,) = office.revm.call(office.alice, "deposit", *terms)
    request = await office.revm.request(event.args["n"])
    signing = office.signing()
    data = cancel_data(request.n, request.request_id, signing)
    cancel = (request.n, signing.deadline, b"")
    # The owner's account has become a wallet with code of its own, as EIP-7702 lets it.
    office.revm.replace_code(office.alice, wallet_that_signed("0x" + "11" * 32))
    with pytest.raises(Reverted, match="InvalidSignature"):
        office.revm.call(office.carol, "requestCancelFor", *cancel)

    office.revm.replace_code(office.alice, wallet_that_signed(digest(data)))
    (told,) = office.revm.call(office.carol, "requestCancelFor", *cancel)

    assert told.name == "CancelRequested"
