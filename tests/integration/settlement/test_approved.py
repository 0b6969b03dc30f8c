"""What the vault refuses to the settler alone is sent with approvals, once, and with no others."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest
import pytest_asyncio
from eth_utils.address import to_checksum_address
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.alarms import SettlementAlarm
from activities.approving import ApprovalActivities
from bronco.devchain import dev_address
from clients.approvals import digest_of
from models.approvals import ApprovalCase, ApprovalGiven, approver_of
from models.messages import KeepApprovalInput, LookForApprovalsInput
from models.records import ItemState, SettlementItem
from models.requests import OrderRequest, VaultRequest, VaultStatus
from models.verdict import UNAPPROVED
from tests.approving import APPROVERS, STRANGER, ascending, signature
from tests.integration.settlement.rig import Rig, filled
from tests.integration.vault.codes import answering, wallet_that_signed
from tests.integration.vault.desk import DOLLAR, SHARE

ALICE, BOB, CAROL = APPROVERS
WALLET = to_checksum_address("0x" + "7a" * 20)
CAPS = (10**28, 10**28, 86_400)
DAY = 86_400


class Office:
    """The approvals of a rig's vault, one step at a time."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.activities = ApprovalActivities(
            rig.vault,
            rig.store,
            rig.gateway,
            digest_of=digest_of(rig.desk.chain.chain_id, rig.desk.address),
            lifetime_seconds=DAY,
        )

    async def approvers(self, indexes: Sequence[int] = APPROVERS, threshold: int = 2) -> None:
        desk = self.rig.desk
        await desk.call(
            desk.admin, "configureApprovers", list(ascending(tuple(indexes))), threshold
        )

    async def start(self) -> None:
        """In the place of the run that was woken where nobody works."""
        await self.rig.client.get_workflow_handle(self.rig.workflow_id).terminate()
        await self.rig.start()

    async def look(self, request: VaultRequest) -> ApprovalCase | None:
        message = LookForApprovalsInput(request=order_of(request))
        found: ApprovalCase | None = await ActivityEnvironment().run(
            self.activities.look_for_approvals, message
        )
        return found

    async def case(self, request: VaultRequest) -> ApprovalCase:
        found = await self.look(request)
        assert found is not None
        return found

    async def sign(self, request: VaultRequest, *indexes: int) -> ApprovalCase:
        """Stored as the order's workflow would, without its check."""
        case = await self.case(request)
        for index in indexes:
            given = signature(case, index)
            message = KeepApprovalInput(
                request=order_of(request), case=case, signer=dev_address(index), given=given
            )
            await ActivityEnvironment().run(self.activities.keep_approval, message)
        return case

    async def used(self) -> list[str]:
        """Digests that the vault took approvals for."""
        receipt_hashes = {item.tx_hash for item in await self.mined()}
        receipts = await self.rig.desk.sender.receipts(sorted(receipt_hashes))
        events = [event for receipt in receipts if receipt for event in receipt.events]
        return [str(event.args["digest"]) for event in events if event.name == "ApprovalsUsed"]

    async def mined(self) -> list[SettlementItem]:
        desk = self.rig.desk
        return await self.rig.store.items.unfinal(desk.chain.chain_id, desk.address, 100)


def order_of(request: VaultRequest) -> OrderRequest:
    return OrderRequest(
        chain_id=request.chain_id,
        vault=request.vault,
        n=request.n,
        request_id=request.request_id,
        side=request.side,
        symbol="AAPL",
        user=request.owner,
        created_block=request.created_block,
    )


@pytest_asyncio.fixture
async def office(rig: Rig) -> AsyncIterator[Office]:
    """Nothing above 100 dollars goes back without two of three approvals."""
    desk, made = rig.desk, Office(rig)
    await desk.call(desk.admin, "configureCaps", CAPS, 100 * DOLLAR)
    await made.approvers()
    yield made


async def test_refund__above_the_return_limit__goes_back_with_two_approvals(
    office: Office,
) -> None:
    rig, desk = office.rig, office.rig.desk
    small = await filled(rig, 3)
    large = await desk.deposit(desk.bob, 500 * DOLLAR)
    await rig.refunded(large)
    before = await desk.bob.balance(desk.usdt)
    await rig.start()
    (refused,) = await rig.until(ItemState.REJECTED, large)
    await rig.until(ItemState.MINED, *small)
    assert refused.rejection == "RETURN_LIMIT"

    case = await office.sign(large, CAROL)
    assert (await rig.item(large)).state is ItemState.REJECTED
    assert (await office.case(large)).signed == (dev_address(CAROL),)
    await office.sign(large, CAROL, ALICE)
    (item,) = await rig.until(ItemState.MINED, large)
    assert await desk.status(large.n) is VaultStatus.REFUNDED
    assert await desk.bob.balance(desk.usdt) == before + 500 * DOLLAR
    assert await rig.events("Refunded") == [large.n]
    assert (item.approval, await office.used()) == (case.digest, [case.digest])
    assert await office.look(large) is None


async def _wallet_approves(
    office: Office, request: VaultRequest, code: bytes | None = None
) -> ApprovalCase:
    """The wallet signs the case, or has this code; its signature is handed in."""
    case = await office.case(request)
    code = wallet_that_signed(case.digest) if code is None else code
    await office.rig.desk.rpc.call("anvil_setCode", WALLET, "0x" + code.hex())
    given = ApprovalGiven(signature="0x1234", signer=WALLET, who="two owners")
    assert approver_of(case, given) == WALLET
    message = KeepApprovalInput(request=order_of(request), case=case, signer=WALLET, given=given)
    await ActivityEnvironment().run(office.activities.keep_approval, message)
    return case


async def _wallet_case(office: Office) -> VaultRequest:
    """A refund that a contract wallet and an account must approve."""
    rig, desk = office.rig, office.rig.desk
    signers = sorted((WALLET, dev_address(ALICE)), key=lambda one: int(one, 16))
    await desk.call(desk.admin, "configureApprovers", signers, 2)
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await rig.refunded(request)
    await rig.start()
    await rig.until(ItemState.REJECTED, request)
    return request


async def test_contract_wallet__signed__counts_and_the_vault_takes_it(office: Office) -> None:
    request = await _wallet_case(office)
    case = await _wallet_approves(office, request)
    assert (await office.case(request)).signed == (WALLET,)
    await office.sign(request, ALICE)
    await office.rig.until(ItemState.MINED, request)
    assert await office.rig.desk.status(request.n) is VaultStatus.REFUNDED
    assert await office.used() == [case.digest]
    entries = await office.rig.store.audit.of_request(request.request_id)
    kept = [entry.data for entry in entries if entry.action == "approval.signed"]
    assert any("0x1234" in data and WALLET.lower() in data for data in kept)


@pytest.mark.parametrize("code", [b"", answering(1), wallet_that_signed("0x" + "12" * 32)])
async def test_contract_wallet__did_not_sign__is_refused_and_nothing_is_stored(
    office: Office, code: bytes
) -> None:
    request = await _wallet_case(office)
    with pytest.raises(ApplicationError, match="ERC-1271") as refused:
        await _wallet_approves(office, request, code)
    assert refused.value.non_retryable
    assert (await office.case(request)).signed == ()


async def test_contract_wallet__takes_it_back__counts_no_more_and_signs_anew(
    office: Office,
) -> None:
    request = await _wallet_case(office)
    await _wallet_approves(office, request)
    await office.rig.desk.rpc.call("anvil_setCode", WALLET, "0x" + answering(0).hex())
    assert (await office.case(request)).signed == ()
    await office.sign(request, ALICE)
    assert (await office.case(request)).signed == (dev_address(ALICE),)
    assert (await office.rig.item(request)).state is ItemState.REJECTED, "nothing was sent"
    await _wallet_approves(office, request)
    await office.rig.until(ItemState.MINED, request)


async def test_settlement__outside_the_band__is_settled_with_approvals(office: Office) -> None:
    """The market is where the feed is not: no settler may say so alone."""
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.alice, 300 * DOLLAR)
    await rig.filled(request, price=Decimal(290))
    await rig.start()
    (refused,) = await rig.until(ItemState.REJECTED, request)
    assert refused.rejection == "BAND"
    case = await office.sign(request, ALICE, BOB, CAROL)
    await rig.until(ItemState.MINED, request)
    assert await desk.supply() == SHARE
    assert await office.used() == [case.digest]


async def test_approvals__approvers_changed_before_it_was_sent__are_collected_anew(
    office: Office,
) -> None:
    """Who was dismissed approves nothing more, also not what was signed before."""
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request)
    old = await office.sign(request, ALICE, BOB)
    await office.approvers((BOB, CAROL, STRANGER))
    prepared = await rig.prepare("late")
    assert prepared.data == ""
    item = await rig.item(request)
    assert (item.state, item.rejection) == (ItemState.REJECTED, UNAPPROVED)
    assert rig.alarmed() == {SettlementAlarm.UNAPPROVED}

    new = await office.case(request)
    assert (new.epoch, new.signed) == (old.epoch + 1, ())
    assert new.digest != old.digest
    await office.sign(request, BOB, STRANGER)
    await office.start()
    await rig.until(ItemState.MINED, request)
    assert await office.used() == [new.digest]


async def test_approvals__refused_for_what_nobody_here_sees__are_not_sent_again_at_once(
    office: Office,
) -> None:
    """Complete by our clock, expired by the chain's: asked about each minute, not without end."""
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request)
    await office.sign(request, ALICE, BOB)
    await desk.rpc.call("evm_increaseTime", 3 * DAY)
    await rig.mine()
    assert (await rig.prepare("late")).data == ""
    case = await office.case(request)
    assert case.missing == 0
    item = await rig.item(request)
    assert (item.state, item.rejection) == (ItemState.REJECTED, UNAPPROVED)


async def test_case__everybody_asked_within_a_lifetime__signs_the_same(office: Office) -> None:
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request)
    first, second = await office.case(request), await office.case(request)
    assert first == second
    head = await desk.head()
    assert DAY - 60 < first.deadline - head.timestamp <= 2 * DAY + 60
    assert first.deadline % DAY == 0


async def test_case__nobody_may_approve__is_none(office: Office) -> None:
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request)
    await desk.call(desk.admin, "configureApprovers", [], 0)
    assert await office.look(request) is None


@pytest.mark.parametrize("code", ["AMOUNT", "FEE", "LIMIT", "PAYOUT", "POISON", "UNSIGNED"])
async def test_case__refused_for_what_binds_approvers_too__is_none(
    office: Office, code: str
) -> None:
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request, code)
    assert await office.look(request) is None


async def refused_by_hand(rig: Rig, request: VaultRequest, code: str = "RETURN_LIMIT") -> None:
    """As a batch would have left it, without a transaction."""
    item = await rig.refunded(request)
    assert item.id is not None
    await rig.store.items.mark_rejected(item.id, code)


async def test_approver__was_given_code__its_key_signs_no_more(office: Office) -> None:
    """As EIP-7702 lets it: the vault asks the code, whatever the key says."""
    rig, desk = office.rig, office.rig.desk
    request = await desk.deposit(desk.bob, 500 * DOLLAR)
    await refused_by_hand(rig, request)
    await office.sign(request, ALICE)
    assert (await office.case(request)).signed == (dev_address(ALICE),)
    await desk.rpc.call("anvil_setCode", dev_address(ALICE), "0x" + answering(0).hex())
    await rig.mine()
    assert (await office.case(request)).signed == ()
    with pytest.raises(ApplicationError, match="does not call it its own"):
        await office.sign(request, ALICE)
    assert (
        await rig.store.approvals.of_request(request.chain_id, request.vault, request.request_id)
        == []
    )
