"""What a settler may do alone, and what only approvals allow; a thief's take is capped."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from bronco.deployment import FIRST_USER, DevChainPlan
from clients.abi import load_contract
from clients.approvals import (
    Approval,
    approved_refund,
    approved_settlement,
    cancel_data,
    digest,
    refund_data,
    settlement_data,
)
from clients.vault import VAULT
from models.chain import Rejection, SettleItem
from models.money import Settlement
from models.requests import VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, bought, item, refund, sold
from tests.integration.vault.office import APPROVERS, HOUR, Office, signed
from tests.integration.vault.revm import Reverted, Revm

BAND = Decimal("0.25")
ONE, TWO, THREE = APPROVERS


@pytest.fixture
def office() -> Office:
    return Office()


async def test_settle__beyond_the_mint_cap__waits_until_it_has_drained(office: Office) -> None:
    first = await office.deposit(office.alice, 1000 * DOLLAR)
    second = await office.deposit(office.bob, 1000 * DOLLAR)
    office.caps(minted=5 * 190 * DOLLAR)

    assert office.settle([bought(first, 5), bought(second, 1)]) == [(second.n, Rejection.CAP)]
    office.revm.warp_to(office.revm.now + 86_400 // 5 - 1)
    assert office.settle([bought(second, 1)]) == [(second.n, Rejection.CAP)]
    office.revm.warp_to(office.revm.now + 1)
    assert office.settle([bought(second, 1)]) == []


async def test_settle__beyond_the_pay_cap__is_refused_alone(office: Office) -> None:
    await office.holder(office.alice, 4)
    first = await office.redeem(office.alice, 2 * SHARE)
    second = await office.redeem(office.alice, 2 * SHARE)
    office.caps(paid=sold(first, 2).out)

    assert office.settle([sold(first, 2), sold(second, 2)]) == [(second.n, Rejection.CAP)]
    assert await office.status(second.n) is VaultStatus.OPEN


async def test_settle__more_given_back_than_a_settler_may__is_refused(office: Office) -> None:
    await office.holder(office.bob, 2)
    office.caps(returned=100 * DOLLAR)
    spent = await office.deposit(office.alice, 1052 * DOLLAR)
    whole = await office.deposit(office.alice, 100 * DOLLAR + 1)
    small = await office.deposit(office.alice, 100 * DOLLAR)
    shares = await office.redeem(office.bob, 2 * SHARE)

    refused = office.settle([bought(spent, 5)], [refund(whole), refund(small), refund(shares)])

    limit = Rejection.RETURN_LIMIT
    assert refused == [(spent.n, limit), (whole.n, limit), (shares.n, limit)]
    office.stale()
    assert office.settle([], [refund(shares)]) == [(shares.n, Rejection.STALE_REFERENCE)]


async def test_approvals__outside_band_caps_and_without_reference__settle(office: Office) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    fill = bought(request, 5, Decimal(100))
    office.caps(minted=0, paid=0, returned=0)
    office.stale()
    office.approvers()
    signing = office.signing()
    data = settlement_data(fill, signing)
    approvals = [signed(data, TWO), signed(data, ONE)]

    events = office.transact(approved_settlement(fill, signing.deadline, approvals))

    assert [event.name for event in events] == ["ApprovalsUsed", "Settled"]
    assert events[0].args["digest"] == digest(data)
    assert office.balance(office.alice, office.share) == 5 * SHARE
    # Once: the same again does nothing, whoever sends it.
    before = office.balance(office.alice), office.balance(office.alice, office.share)
    again = office.transact(approved_settlement(fill, signing.deadline, approvals))
    assert [event.name for event in again] == ["ApprovalsUsed"]
    assert before == (office.balance(office.alice), office.balance(office.alice, office.share))


async def test_approvals__refund_above_the_limit__is_given_back(office: Office) -> None:
    before = office.balance(office.alice)
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    office.caps(returned=0)
    office.approvers()
    signing, wanted = office.signing(), refund(request)
    approvals = [signed(refund_data(wanted, signing), index) for index in (ONE, TWO, THREE)]

    office.transact(approved_refund(wanted, signing.deadline, approvals))

    assert office.balance(office.alice) == before
    assert await office.status(request.n) is VaultStatus.REFUNDED


Bending = Callable[[SettleItem], SettleItem]
BENT: dict[str, tuple[Bending, Rejection]] = {
    "limit": (lambda i: i.model_copy(update={"out": i.out // 2}), Rejection.LIMIT),
    "fee": (lambda i: i.model_copy(update={"fee": i.fee + 1}), Rejection.FEE),
    "amount": (lambda i: i.model_copy(update={"taken": 10**10}), Rejection.AMOUNT),
    "id": (lambda i: i.model_copy(update={"request_id": "0x" + "11" * 32}), Rejection.ID_MISMATCH),
    "number": (lambda i: i.model_copy(update={"n": 99}), Rejection.UNKNOWN_REQUEST),
}


@pytest.mark.parametrize("bound", BENT)
async def test_approvals__against_what_binds_everybody__revert(office: Office, bound: str) -> None:
    bending, code = BENT[bound]
    request = await office.deposit(office.alice, 1000 * DOLLAR, limit=200 * DOLLAR)
    office.approvers()
    bent, signing = bending(bought(request, 5)), office.signing()
    approvals = [signed(settlement_data(bent, signing), index) for index in (ONE, TWO)]

    with pytest.raises(Reverted, match=f"code={int(code)}") as refused:
        office.transact(approved_settlement(bent, signing.deadline, approvals))

    assert refused.value.name == "ItemRefused"


async def test_approvals__wrong_in_any_way__settle_nothing(office: Office) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    fill, outsider = bought(request, 5), FIRST_USER
    office.approvers()
    signing = office.signing()
    data = settlement_data(fill, signing)
    one, two = sorted((signed(data, ONE), signed(data, TWO)), key=lambda a: int(a.signer, 16))
    other = settlement_data(fill.model_copy(update={"out": fill.out - 1}), signing)
    forged = [Approval(a.signer, signed(other, ONE).signature) for a in (one, two)]

    def told(approvals: list[Approval]) -> str:
        terms = (fill.n, bytes.fromhex(fill.request_id[2:]), fill.taken, fill.out, fill.fee)
        full = (*terms, bytes.fromhex(fill.fill_hash[2:]))
        with pytest.raises(Reverted) as refused:
            office.revm.call(office.carol, "settleWithApprovals", full, signing.deadline, approvals)
        return refused.value.name

    assert told([]) == told([one]) == "TooFewApprovals"
    assert told([two, one]) == told([one, one]) == "SignersNotAscending"
    assert told(forged) == told([one, two._replace(signature=b"")]) == "InvalidSignature"
    stranger = sorted((one, signed(data, outsider)), key=lambda a: int(a.signer, 16))
    assert told(stranger) == "NotAnApprover"
    # The same people, named again: what they signed before is void.
    office.approvers()
    assert told([one, two]) == "InvalidSignature"
    office.revm.warp_to(signing.deadline + 1)
    assert told([one, two]) == "SignatureExpired"
    assert await office.status(request.n) is VaultStatus.OPEN


def test_approvers__badly_chosen__are_refused(office: Office) -> None:
    low, high = sorted((office.alice, office.bob), key=lambda one: int(one, 16))

    def told(signers: list[str], threshold: int) -> str:
        with pytest.raises(Reverted) as refused:
            office.revm.call(office.dev.admin, "configureApprovers", signers, threshold)
        return refused.value.name

    assert told([low], 0) == told([low], 2) == "InvalidConfig"
    assert told([f"0x{i + 1:040x}" for i in range(33)], 2) == "InvalidConfig"
    assert told([high, low], 1) == told([low, low], 1) == "SignersNotAscending"
    with pytest.raises(Reverted, match="AccessControl"):
        office.revm.call(office.dev.settler, "configureApprovers", [low], 1)
    with pytest.raises(Reverted, match="window"):
        office.caps(window=0)


async def test_cancel__signed_by_the_owner__once_and_in_time(office: Office) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR)
    signing = office.signing()
    data = cancel_data(request.n, request.request_id, signing)
    mine, foreign = signed(data, FIRST_USER).signature, signed(data, FIRST_USER + 1).signature

    def send(signature: bytes) -> list[str]:
        terms = (request.n, signing.deadline, signature)
        return [e.name for e in office.revm.call(office.carol, "requestCancelFor", *terms)]

    with pytest.raises(Reverted, match="InvalidSignature"):
        send(foreign)
    assert send(mine) == ["CancelRequested"]
    with pytest.raises(Reverted, match="CancelAlreadyRequested"):
        send(mine)
    office.revm.warp_to(signing.deadline + 1)
    with pytest.raises(Reverted, match="SignatureExpired"):
        send(mine)


@pytest.mark.parametrize("alone", [True, False])
async def test_thief__with_the_settler_key__takes_no_more_than_the_stated_cap(
    office: Office, *, alone: bool
) -> None:
    """b x C_minted + b / (1 + b) x C_paid in a window; see docs/decisions."""
    minted, paid = 10_000 * DOLLAR, 8_000 * DOLLAR
    office.caps(minted, paid)
    limits = (2**128 - 1, 0) if alone else (10**9 * DOLLAR, 10_000)
    # A live feed refuses limits out of reach, so the colluding depositor waits for a dead one.
    office.stale()
    before = office.balance(office.alice)
    asks = [await office.deposit(office.alice, 1000 * DOLLAR, limit=limits[0]) for _ in range(12)]
    office.price(Decimal(190))
    for ask in asks:
        greedy = item(ask, Settlement(taken=1000 * DOLLAR, out=100_000 * SHARE, fee=0))
        assert office.settle([greedy]) == [(ask.n, Rejection.BAND)]
        out = 1000 * DOLLAR * SHARE * 4 // (190 * DOLLAR * 3)
        office.settle([item(ask, Settlement(taken=1000 * DOLLAR, out=out, fee=0))], [refund(ask)])
    shares = office.balance(office.alice, office.share)
    office.stale()
    sells = [await office.redeem(office.alice, 7 * SHARE, limit=limits[1]) for _ in range(7)]
    office.price(Decimal(190))
    for sell in sells:
        out = 7 * 190 * DOLLAR * 5 // 4
        office.settle([item(sell, Settlement(7 * SHARE, out, 0))], [refund(sell)])

    left = office.balance(office.alice, office.share)
    gain = office.balance(office.alice) - before + left * 190 * DOLLAR // SHARE
    assert shares > left
    assert 0 < gain <= BAND * minted + BAND / (1 + BAND) * paid
    # One transaction of a guardian, and it is over.
    office.revm.call(office.dev.guardian, "suspendSettler", office.dev.settler)
    with pytest.raises(Reverted, match="AccessControlUnauthorizedAccount"):
        office.settle([], [])


async def test_gap__stock_opens_a_quarter_lower__settles_by_approvals(office: Office) -> None:
    request = await office.deposit(office.alice, 1000 * DOLLAR, limit=200 * DOLLAR)
    fill = bought(request, 5, Decimal("140"))
    assert office.settle([fill]) == [(request.n, Rejection.BAND)]
    office.approvers()
    signing = office.signing(seconds=2 * HOUR)
    approvals = [signed(settlement_data(fill, signing), index) for index in (ONE, THREE)]

    office.transact(approved_settlement(fill, signing.deadline, approvals))

    assert await office.status(request.n) is VaultStatus.SETTLED


def test_timelock__holds_admin_and_configuration__nobody_else_does() -> None:
    revm = Revm(DevChainPlan(timelock_seconds=86_400))
    role = bytes.fromhex(revm.read("CONFIG_ROLE")[2:])

    assert revm.read("defaultAdmin") == revm.chain.timelock
    assert revm.read("hasRole", role, revm.chain.timelock)
    assert not revm.read("hasRole", role, revm.chain.admin)
    with pytest.raises(Reverted, match="AccessControl"):
        revm.call(revm.chain.admin, "configureTerms", 1, 0, 0)
    timelock, data = load_contract("Timelock"), VAULT.calldata("configureTerms", 1, 0, 0)
    call = (revm.chain.vault, 0, bytes.fromhex(data[2:]), bytes(32), bytes(32))

    def ask(function: str, *more: int) -> None:
        revm.call(revm.chain.admin, function, *call, *more, abi=timelock, to=revm.chain.timelock)

    with pytest.raises(Reverted):
        ask("schedule", 86_399)
    ask("schedule", 86_400)
    with pytest.raises(Reverted):
        ask("execute")
    revm.warp_to(revm.now + 86_400)
    ask("execute")
    assert revm.read("books")["minDeposit"] == 1
