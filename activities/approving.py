"""Approvals of one order: what must be signed, who has, and handing it to settlement when enough.

Nothing here is remembered: the case is what item, vault and stored signatures say. A signature is
stored before it counts, so a process that dies between the two finds it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import unix_now, utc_now
from models.approvals import ApprovalCase, approvable
from models.columns import naive_utc
from models.messages import KeepApprovalInput, LookForApprovalsInput
from models.records import ApprovalRow, SettlementItem
from models.requests import OrderRequest
from models.verdict import UNAPPROVED

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store
    from models.chain import Approvers

REFUSED = "ApprovalRefused"
"""Type of the error that refuses a signature."""
DigestOf = Callable[[SettlementItem, int, int], str]
"""What approvers sign for an item: its terms, the epoch, the deadline (Unix seconds)."""

_AGAIN = timedelta(minutes=1)
_TIME_TO_SEND = 600
"""Seconds that signatures must still count for, so that they can be mined."""


class ApprovalActivities:
    """Reads vault and store; writes signatures and the digest an item is sent with."""

    def __init__(
        self,
        vault: AgreeingVault,
        store: Store,
        gateway: WorkflowGateway,
        *,
        digest_of: DigestOf,
        lifetime_seconds: int,
    ) -> None:
        """lifetime_seconds: how long a signature counts at least, at most twice as long."""
        self._vault = vault
        self._store = store
        self._gateway = gateway
        self._digest_of = digest_of
        self._lifetime = lifetime_seconds

    @activity.defn(name="look_for_approvals")
    async def look_for_approvals(self, message: LookForApprovalsInput) -> ApprovalCase | None:
        """What the order's item waits for; None when that is no approval.

        With enough signatures it is handed to settlement. Harmless to repeat.
        """
        return await self._look(message.request)

    async def _look(self, request: OrderRequest) -> ApprovalCase | None:
        key = (request.chain_id, request.vault, request.request_id)
        item = await self._store.items.of_request(*key)
        if item is None or not approvable(item.state, item.rejection):
            return None
        approvers = await self._vault.approvers(await self._vault.head())
        if not approvers.threshold:
            return None
        rows = await self._store.approvals.of_request(*key)
        case = await self._standing(self._case(item, approvers, rows), rows)
        if not case.missing and item.id is not None and not _just_refused(item, case.digest):
            await self._store.items.approve(item.id, case.digest, utc_now())
            await self._gateway.wake_settlement()
        return case

    @activity.defn(name="keep_approval")
    async def keep_approval(self, message: KeepApprovalInput) -> ApprovalCase | None:
        """Store a signature that was checked, then look. Idempotency key: (digest, signer).

        Raises:
            ApplicationError: it is no key's signature, and its signer, asked as a contract, does
                not call it its own. Not stored.
        """
        request, case = message.request, message.case
        if not await self._signed(message.signer, case.digest, message.given.signature):
            words = f"{message.signer}, asked as a contract (ERC-1271), does not call it its own"
            raise ApplicationError(words, type=REFUSED, non_retryable=True)
        row = ApprovalRow(
            chain_id=request.chain_id,
            vault=request.vault,
            request_id=request.request_id,
            digest=case.digest,
            epoch=case.epoch,
            deadline=case.deadline,
            signer=message.signer,
            signature=message.given.signature,
            created_at=utc_now(),
        )
        await self._store.approvals.add(row, message.given.who)
        return await self._look(request)

    async def _signed(self, signer: str, digest: str, signature: str) -> bool:
        """Whether the vault would take it now."""
        return await self._vault.vouches(signer, digest, signature, await self._vault.head())

    async def _standing(self, case: ApprovalCase, rows: Sequence[ApprovalRow]) -> ApprovalCase:
        """The case without signatures that their contracts take back: its owners are others now.

        The vault would refuse all of them for one that does not count.
        """
        taken_back = []
        for row in rows:
            if row.digest == case.digest and not await self._signed(
                row.signer, row.digest, row.signature
            ):
                await self._store.approvals.drop(row.digest, row.signer)
                taken_back.append(row.signer)
        signed = tuple(one for one in case.signed if one.lower() not in taken_back)
        return case.model_copy(update={"signed": signed})

    def _case(
        self, item: SettlementItem, approvers: Approvers, rows: Sequence[ApprovalRow]
    ) -> ApprovalCase:
        deadline = self._deadline(approvers.epoch, rows)
        digest = self._digest_of(item, approvers.epoch, deadline)
        given = {row.signer for row in rows if row.digest == digest}
        return ApprovalCase(
            chain_id=item.chain_id,
            vault=self._vault.address,
            n=item.request_number,
            request_id=item.request_id,
            kind=item.kind,
            code=item.rejection,
            taken=item.taken,
            out=item.out,
            fee=item.fee,
            fill_hash=item.fill_hash,
            reason_code=item.reason_code,
            epoch=approvers.epoch,
            threshold=approvers.threshold,
            approvers=approvers.signers,
            deadline=deadline,
            digest=digest,
            signed=tuple(one for one in approvers.signers if one.lower() in given),
        )

    def _deadline(self, epoch: int, rows: Sequence[ApprovalRow]) -> int:
        """That of the signatures there are, while it is far enough; else a step of the clock.

        A step, so that everybody who is asked within one lifetime signs the same digest.
        """
        now = unix_now()
        known = [row.deadline for row in rows if row.epoch == epoch]
        good = [deadline for deadline in known if deadline > now + _TIME_TO_SEND]
        return max(good, default=(int(now) // self._lifetime + 2) * self._lifetime)


def _just_refused(item: SettlementItem, digest: str) -> bool:
    """Whether it was sent so already, in vain: what else stands in its way gets time to pass."""
    same = item.rejection == UNAPPROVED and item.approval == digest
    return same and naive_utc(utc_now()) - item.updated_at < _AGAIN
