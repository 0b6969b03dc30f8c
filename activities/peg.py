"""USDT is counted as a dollar: away from one, all trading is held until it is measured back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.breaker import Breaker
from models.control import HoldCommand, HoldKind
from models.money import BPS

if TYPE_CHECKING:
    from decimal import Decimal

    from clients.gateway import WorkflowGateway
    from clients.oracle import OracleClient
    from models.requests import BlockRef

PEG_HOLD = "peg-lost"


def off_peg(usd: Decimal, band_bps: int) -> str:
    """How far USDT is from a dollar, in words; empty inside the band, its ends included."""
    if abs(usd - 1) * BPS <= band_bps:
        return ""
    return f"USDT is at {usd} USD, outside {band_bps} basis points"


class PegFeed:
    """The feed that says what USDT is worth. heartbeat: oldest answer that counts, seconds."""

    def __init__(self, oracle: OracleClient, feed: str, heartbeat: int) -> None:
        self._oracle = oracle
        self._feed = feed
        self._heartbeat = heartbeat

    async def price(self, head: BlockRef) -> Decimal:
        """Dollars per USDT at a block.

        Raises:
            SourceUnavailable: the feed has no answer that counts, or could not be asked.
        """
        found = await self._oracle.price(self._feed, heartbeat_seconds=self._heartbeat, at=head)
        return found.usd


class Peg:
    """Measures at each new block. A feed that says nothing neither sets nor lifts the hold."""

    def __init__(self, gateway: WorkflowGateway, feed: PegFeed, band_bps: int) -> None:
        self._breaker = Breaker(gateway, PEG_HOLD)
        self._feed = feed
        self._band = band_bps
        self._measured: str | None = None

    async def saw(self, head: BlockRef | None) -> None:
        """Measure at the newest agreed head, once.

        Raises:
            SourceUnavailable: the feed or Temporal could not be asked; the next call does it.
        """
        if head is None or head.hash == self._measured:
            return
        words = off_peg(await self._feed.price(head), self._band)
        if words:
            await self._breaker.trip(self._hold(words))
        else:
            await self._breaker.clear(self._hold("measured inside the band"))
        self._measured = head.hash

    def _hold(self, words: str) -> HoldCommand:
        return HoldCommand(
            key=PEG_HOLD,
            kind=HoldKind.BREAKER,
            reason=f"{words}; the first block at which it is inside lifts this",
            who="chain watch",
        )
