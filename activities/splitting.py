"""What a split means for the orders that are there: their shares per token, and their end."""

from __future__ import annotations

from collections.abc import Sequence
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
        self, claims: Sequence[Placement], terms: VaultRequest, at: BlockRef
    ) -> list[Placement]:
        """The claims; one that was lost has the only ratio there was since the request was made.

        It stays unknown where a split came in between: an operator must say which order came first.

        Raises:
            SourceUnavailable: nobody can say what the ratio was.
        """
        if all(claim.ratio is not None for claim in claims):
            return list(claims)
        feed = await self._feed(terms.asset, at)
        born = await self._vault.block(terms.created_block)
        if born is None:
            raise SourceUnavailable("chain", f"reading block {terms.created_block}", "not there")
        now = await self._reader.ratio(feed, at)
        then = await self._reader.ratio_then(feed, born.timestamp, at)
        if then != now:
            return list(claims)
        return [claim if claim.ratio is not None else _with(claim, now) for claim in claims]

    async def _feed(self, token: str, at: BlockRef) -> str:
        listed = await self._vault.asset(token, at)
        if listed is None:
            raise SourceUnavailable("chain", f"reading asset {token}", "the vault lists it not")
        return listed.feed


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
