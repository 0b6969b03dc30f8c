"""How deep a request must be in the chain before an order is placed for it, by what it is worth.

Tiers are written as people say them: "1000:2,50000:12,*:final" is 2 blocks on top for up to 1,000
USDT, 12 for up to 50,000, and for all that is worth more the chain's finalized block. Pure.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple, Self

from models.money import MARKET_SELL_LIMIT, usd_to_units_down, value_units_up
from models.requests import Side, VaultRequest

FINAL = "final"
REST = "*"
_MOST_BLOCKS = 10_000
_EXAMPLE = "write tiers like 1000:2,50000:12,*:final"
_AMOUNT = re.compile(r"^[0-9]{1,15}(\.[0-9]{1,18})?$")


class Tier(NamedTuple):
    """Up to this many USDT (None: whatever it is worth): so many blocks (None: final)."""

    up_to: Decimal | None
    blocks: int | None


class Standing(NamedTuple):
    """How far a request is. missing: blocks until it is deep enough; 0 = it is. words: of what."""

    missing: int
    words: str

    @property
    def waits_for(self) -> str:
        """The words while it waits; empty when it is deep enough."""
        return self.words if self.missing else ""


class ConfirmationPolicy(NamedTuple):
    """Tiers by rising worth; the last one takes the rest, and what cannot be valued."""

    tiers: tuple[Tier, ...]

    @classmethod
    def of_blocks(cls, blocks: int) -> Self:
        """The same number of blocks for every amount."""
        return cls((Tier(None, blocks),))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read tiers as people write them.

        Raises:
            ValueError: with a sentence that says what to write instead.
        """
        tiers = tuple(_tier(part) for part in text.split(",") if part.strip())
        if not tiers:
            raise ValueError(f"no tier is given: {_EXAMPLE}")
        _require_rising(tiers)
        return cls(tiers)

    @property
    def by_amount(self) -> bool:
        """Whether it matters what a request is worth."""
        return len(self.tiers) > 1

    def needed(self, value: int | None, decimals: int) -> int | None:
        """Blocks on top for this many USDT units (None: not known); None = the finalized block."""
        for tier in self.tiers[:-1]:
            most = usd_to_units_down(tier.up_to or Decimal(0), decimals)
            if value is not None and value <= most:
                return tier.blocks
        return self.tiers[-1].blocks


def value_of(terms: VaultRequest, price: int) -> int | None:
    """What a request is worth at most, USDT units; None where nobody can say.

    A deposit is worth its amount. A redeem is valued at the reference (USDT units per share; 0:
    there is none) or at its own limit, whichever is higher, and rounded up.
    """
    if terms.side is Side.BUY:
        return terms.amount
    if price <= 0:
        return None
    return value_units_up(terms.amount, max(price, terms.limit_price, MARKET_SELL_LIMIT))


def standing_in_blocks(created: int, head: int, blocks: int) -> Standing:
    """Where a request of block `created` stands that needs so many blocks on top of it."""
    on_top = max(0, min(head - created, blocks))
    return Standing(blocks - on_top, f"{on_top} of {blocks} blocks on top of block {created}")


def standing_until_final(created: int, final: int | None, *, there: bool) -> Standing:
    """Where a request stands that needs the finalized block (None: none is known) to hold it."""
    if there:
        return Standing(0, f"block {created} is final")
    if final is None:
        return Standing(1, f"until block {created} is final; no final block is known yet")
    words = f"until block {created} is final; block {final} is the newest that is"
    return Standing(max(1, created - final), words)


def _tier(part: str) -> Tier:
    limit, colon, depth = (word.strip() for word in part.strip().partition(":"))
    if not colon:
        raise ValueError(f"{part.strip()!r} has no colon: {_EXAMPLE}")
    return Tier(_limit(limit), _depth(depth))


def _limit(text: str) -> Decimal | None:
    if text == REST:
        return None
    if not _AMOUNT.match(text) or Decimal(text) <= 0:
        raise ValueError(f"{text!r} is no amount: write USDT like 1000 or 0.5, or * for the rest")
    return Decimal(text)


def _depth(text: str) -> int | None:
    if text == FINAL:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > _MOST_BLOCKS:
        words = f"write a number of blocks up to {_MOST_BLOCKS}, or {FINAL}"
        raise ValueError(f"{text!r} is no depth: {words}")
    return int(text)


def _require_rising(tiers: Sequence[Tier]) -> None:
    """Amounts rise to the rest at the end, and nobody waits less for more money."""
    if tiers[-1].up_to is not None:
        raise ValueError(f"the last tier must be for the rest, as in {REST}:{FINAL}; {_EXAMPLE}")
    for before, after in pairwise(tiers):
        if before.up_to is None:
            raise ValueError(f"{REST} takes everything, so it must be the last tier; {_EXAMPLE}")
        if after.up_to is not None and after.up_to <= before.up_to:
            raise ValueError(f"{after.up_to} comes after {before.up_to}: write amounts rising")
        if before.blocks is None and after.blocks is not None:
            raise ValueError(f"{after.blocks} blocks come after {FINAL}: more money waits as long")
        if None not in (before.blocks, after.blocks) and (after.blocks or 0) < (before.blocks or 0):
            words = f"{after.blocks} blocks come after {before.blocks}"
            raise ValueError(f"{words}: more money waits at least as long")
