"""Whether what is attested covers what was minted, as reconcile looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from activities.observations import ATTESTATION_OLD, SUPPLY_UNCOVERED, SUPPLY_UNKNOWN
from models.assets import Asset
from models.backing import Attested, Backing, Minted, redeems, sold_unburned
from models.cases import Case
from models.drafts import Observation
from models.errors import SourceUnavailable
from models.requests import BlockRef

if TYPE_CHECKING:
    from clients.monitor import MonitorReader


class Supplies:
    """Compares each attestation with the supply of its own time, and remembers that supply.

    Most endpoints forget the state of a block within half an hour; an attestation counts for a day.
    """

    def __init__(self, monitor: MonitorReader | None) -> None:
        """monitor: None where there is none, and so nothing to compare."""
        self._monitor = monitor
        self._known: dict[tuple[str, int], Minted] = {}

    async def look(
        self, assets: Sequence[Asset], cases: Sequence[Case], head: BlockRef
    ) -> dict[str, Backing]:
        """Each asset's backing by symbol. Never raises for what could not be asked: it says so."""
        if self._monitor is None:
            return {}
        return {one.symbol: await self._look(self._monitor, one, cases, head) for one in assets}

    async def _look(
        self, monitor: MonitorReader, asset: Asset, cases: Sequence[Case], head: BlockRef
    ) -> Backing:
        now = head.timestamp
        try:
            attested = await monitor.attested(asset.token, head)
        except SourceUnavailable as error:
            return Backing(now, problem=str(error))
        if not (attested.time and attested.counts):
            return Backing(now, attested)
        try:
            minted = await self._minted(monitor, asset.token, attested, cases, head)
        except SourceUnavailable as error:
            return Backing(now, attested, problem=str(error))
        return Backing(now, attested, minted, sold_unburned(cases, asset.symbol, minted))

    async def _minted(
        self,
        monitor: MonitorReader,
        token: str,
        attested: Attested,
        cases: Sequence[Case],
        head: BlockRef,
    ) -> Minted:
        key = (token, attested.time)
        known = self._known.get(key)
        if known is not None and not await monitor.same(known.block):
            known = None
        block = known.block if known else await monitor.block_at(attested.time, head)
        asked = known.asked if known else frozenset()
        wanted = redeems(cases, block.number)
        if known is not None and wanted <= asked:
            return known
        found = await monitor.minted_at(token, asked | wanted, block)
        if head.timestamp > attested.time:
            # No later block can be of that time any more.
            self._known = {k: m for k, m in self._known.items() if k[0] != token} | {key: found}
        return found


def seen_backing(backings: Mapping[str, Backing], *, book_stale: bool) -> Iterator[Observation]:
    """What is wrong with the backing of tokens.

    book_stale: a sale may be missing, so nothing is called uncovered; that alarms by itself.
    """
    for symbol, backing in backings.items():
        attested = backing.attested
        old = attested.problem(backing.now) if attested is not None else ""
        if old:
            yield Observation(f"attested:{symbol}", ATTESTATION_OLD, old)
        elif backing.problem:
            yield Observation(f"unknown:{symbol}", SUPPLY_UNKNOWN, backing.problem)
        if backing.uncovered and not book_stale:
            yield Observation(f"uncovered:{symbol}", SUPPLY_UNCOVERED, _words(backing))


def _words(backing: Backing) -> str:
    attested, minted = backing.attested, backing.minted
    if attested is None or minted is None:
        return ""
    return (
        f"{backing.uncovered} token units were minted beyond what was held: {minted.supply} at "
        f"block {minted.block.number}, {attested.backed} attested, {backing.sold} sold unburned"
    )
