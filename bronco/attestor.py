"""Attesting what backs a token: what to sign is read from chain and broker, and checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from clients.agreeing import AgreeingVault
from clients.approvals import signable
from clients.attesting import MONITOR, Attestation, attest_calldata, attestation_data
from clients.carrier import CallReverted, Carrier
from clients.monitor import MonitorReader
from clients.shares import ShareReader
from clients.splits import SplitReader
from models.assets import Asset
from models.errors import Conflict, InvalidInput, SourceUnavailable
from models.money import units_minted
from models.requests import BlockRef
from models.splits import SharesPerToken, SplitState

SharesOf = Callable[[], Awaitable[int]]
"""Whole shares held of what is attested; negative: short."""


@dataclass(frozen=True)
class Draft:
    """What is about to be signed, and what it was made of. minted: token units at the block."""

    asset: Asset
    shares: int
    ratio: SharesPerToken
    attestation: Attestation
    minted: int
    block: BlockRef


class Attestor:
    """Drafts, signs and posts attestations for one monitor."""

    def __init__(self, vault: AgreeingVault, monitor: str, *, split_margin: float) -> None:
        """split_margin: seconds around a split in which broker and chain may count differently."""
        self._vault = vault
        self._margin = split_margin
        self.monitor = MonitorReader(vault, monitor)

    async def draft(self, asset: Asset, shares_of: SharesOf, time: int | None = None) -> Draft:
        """What to attest of an asset now.

        time: Unix seconds; without one the second before the newest block that endpoints agree on.
        No block of that time can follow any more. The position is read after it: what is minted by
        then was bought before, and what is sold meanwhile is of a redeem that was open then.

        Raises:
            SourceUnavailable: chain or broker cannot be asked, or a split is near.
        """
        head = await self._vault.head()
        moment = head.timestamp - 1 if time is None else time
        ratio = await self._ratio(asset, moment, head)
        shares = await shares_of()
        backed = int(units_minted(max(0, shares), ratio))
        said = Attestation(asset.token, backed, moment)
        minted = await ShareReader(self._vault.rpc).supply(asset.token, head)
        return Draft(asset, shares, ratio, said, minted, head)

    async def must_be_allowed(self, signer: str, draft: Draft) -> None:
        """Raises InvalidInput when the monitor would not take this signer's word."""
        if not await self.monitor.may_attest(signer, draft.block):
            remedy = "the vault's admin must grant it ATTESTOR_ROLE, and it must not be a settler"
            raise InvalidInput("signer", signer, remedy)

    async def is_there(self, draft: Draft, signer: str) -> bool:
        """Whether this very attestation is kept already.

        Raises:
            Conflict: another one of that time, or a newer one, is.
        """
        head = await self._vault.head()
        kept = await self.monitor.attested(draft.attestation.token, head)
        wanted = draft.attestation
        if kept.time < wanted.time:
            return False
        if (kept.time, kept.backed, kept.attestor) == (wanted.time, wanted.backed, signer):
            return True
        detail = f"{kept.attestor} attested {kept.backed} token units at {kept.time} already"
        raise Conflict("attestation", f"of {draft.asset.symbol} at {wanted.time}", detail)

    def signed(self, draft: Draft, account: LocalAccount) -> str:
        """Calldata that anybody may carry to the monitor, 0x hex."""
        data = attestation_data(
            draft.attestation, chain_id=self._vault.chain_id, monitor=self.monitor.address
        )
        signature = bytes(account.sign_message(signable(data)).signature)
        return attest_calldata(draft.attestation, str(account.address), signature)

    async def post(self, draft: Draft, calldata: str, signer: str, carrier: Carrier) -> str:
        """Send it; the transaction's hash, "" when it was there already.

        The same one twice does nothing twice: its time is its key.

        Raises:
            Conflict: another one of that time, or a newer one, is there.
            CallReverted, SourceUnavailable: as Carrier.transact.
        """
        if await self.is_there(draft, signer):
            return ""
        try:
            sent = await carrier.transact("attest", self.monitor.address, calldata)
        except CallReverted as refused:
            # Somebody carried it, or a newer one, between the look and the call.
            if refused.error == "Superseded" and await self.is_there(draft, signer):
                return ""
            raise
        return sent.tx_hash

    async def _ratio(self, asset: Asset, moment: int, head: BlockRef) -> SharesPerToken:
        listed = await self._vault.asset(asset.token, head)
        if listed is None:
            raise SourceUnavailable("chain", f"reading asset {asset.token}", "it is not listed")
        splits = SplitReader(self._vault.rpc)
        state = await splits.state(listed.feed, head, margin_seconds=self._margin)
        if split_is_near(state, head.timestamp, self._margin):
            detail = "broker and chain may count in different shares: attest when it is over"
            raise SourceUnavailable("chain", f"converting {asset.symbol} around a split", detail)
        return await splits.ratio_then(listed.feed, moment, head)


def split_is_near(state: SplitState, now: int, margin: float) -> bool:
    """Whether a split comes or came within the margin; whether the feed has spoken since or not."""
    coming = state.upcoming is not None and now >= state.upcoming.at - margin
    return coming or state.settled_epoch != state.ratio.epoch


DECLARING = (MONITOR,)
"""Whose errors a carrier of attestations must know."""
