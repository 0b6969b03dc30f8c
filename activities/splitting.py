"""What a split means for the orders that are there: their shares per token, and their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from models.errors import SourceUnavailable
from models.records import Placement
from models.requests import BlockRef, VaultRequest
from models.splits import SharesPerToken, SplitState

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.splits import SplitReader


class Splitting:
    """Reads the reference that the vault lists for a token; whoever cannot ask says so."""

    def __init__(self, vault: AgreeingVault, reader: SplitReader, *, margin: float) -> None:
        """margin: seconds before a split in which no order may work any more."""
        self._vault = vault
        self._reader = reader
        self._margin = margin

    async def state(self, token: str, at: BlockRef) -> SplitState:
        """What is known about splits of an asset.

        Raises:
            SourceUnavailable: nobody can say, also because the vault does not list the token.
        """
        feed = await self._feed(token, at)
        return await self._reader.state(feed, at, margin_seconds=self._margin)

    async def ratio(self, token: str, at: BlockRef) -> SharesPerToken:
        """Shares per token now. Raises as `state`."""
        return await self._reader.ratio(await self._feed(token, at), at)

    async def near(self, token: str, at: BlockRef) -> bool:
        """Whether broker, feed and reference may speak of different shares just now."""
        state = await self.state(token, at)
        return bool(state.unsettled(at.timestamp, self._margin))

    async def outdated(self, claim: Placement | None, token: str, at: BlockRef) -> bool:
        """Whether a working order is of shares that a split ended, or will within the margin.

        Not certain is not outdated: the next look asks again, and what fills meanwhile is measured
        by the vault at the price per token.
        """
        if claim is None:
            return False
        try:
            state = await self.state(token, at)
        except SourceUnavailable:
            return False
        upcoming = state.upcoming
        if upcoming is not None and at.timestamp >= upcoming.at - self._margin:
            return True
        # Compared as a ratio: a reorganisation may give the same epoch another one.
        return claim.ratio is not None and claim.ratio.exact != state.ratio.exact

    async def known(
        self,
        claims: Sequence[Placement],
        terms: VaultRequest,
        at: BlockRef,
        filled_at: Mapping[str, datetime | None],
    ) -> list[Placement]:
        """The claims, with the ratio of what they filled where that is certain, else without one.

        One that was lost has the only ratio there was since the request was made. One whose ratio
        is another now counts only when its fill was seen before that changed: what an old order
        fills after a split, nobody here can say. What a person told stands.

        filled_at: by remark, when the fill was last seen to change, naive UTC; None: not known.

        Raises:
            SourceUnavailable: nobody can say what the ratio was.
        """
        open_ones = [claim for claim in claims if not claim.ratio_by]
        lost = any(claim.ratio is None for claim in open_ones)
        if not open_ones or not (lost or filled_at):
            return list(claims)
        feed = await self._feed(terms.asset, at)
        now = await self._reader.ratio(feed, at)
        only = await self._only(feed, terms, now, at) if lost else None
        found = []
        for claim in claims:
            if claim.ratio_by or (claim.ratio is not None and claim.ratio.exact == now.exact):
                found.append(claim)
            elif claim.ratio is None:
                found.append(_with(claim, only) if only is not None else claim)
            else:
                seen = await self._seen_in(feed, filled_at.get(claim.remark), at)
                certain = claim.remark not in filled_at or _in_time(claim.ratio, seen)
                found.append(claim if certain else _without(claim))
        return found

    async def _only(
        self, feed: str, terms: VaultRequest, now: SharesPerToken, at: BlockRef
    ) -> SharesPerToken | None:
        """The ratio, where there was one only since the request was made."""
        born = await self._vault.block(terms.created_block)
        if born is None:
            raise SourceUnavailable("chain", f"reading block {terms.created_block}", "not there")
        then = await self._reader.ratio_then(feed, born.timestamp, at)
        return now if then == now else None

    async def _seen_in(
        self, feed: str, moment: datetime | None, at: BlockRef
    ) -> SharesPerToken | None:
        """The ratio in force when a fill was seen; None: not known when."""
        if moment is None:
            return None
        seconds = min(int(moment.replace(tzinfo=UTC).timestamp()), at.timestamp)
        return await self._reader.ratio_then(feed, seconds, at)

    async def _feed(self, token: str, at: BlockRef) -> str:
        listed = await self._vault.asset(token, at)
        if listed is None:
            raise SourceUnavailable("chain", f"reading asset {token}", "the vault lists it not")
        return listed.feed


def _in_time(claimed: SharesPerToken, seen: SharesPerToken | None) -> bool:
    """Whether a fill was seen before its claim's ratio ended; a clock that is behind is no harm.

    The ratio itself is compared, as a reorganisation may give the same epoch another one.
    """
    return seen is not None and (seen.epoch < claimed.epoch or seen.exact == claimed.exact)


def _without(claim: Placement) -> Placement:
    return Placement(**claim.model_dump() | {"shares_numerator": 0})


def _with(claim: Placement, ratio: SharesPerToken) -> Placement:
    """A copy: the row itself keeps saying that it was lost."""
    values = claim.model_dump()
    return Placement(
        **values
        | {
            "shares_numerator": ratio.numerator,
            "shares_denominator": ratio.denominator,
            "split_epoch": ratio.epoch,
        }
    )
