"""What is attested to be held for a token, compared with what was minted of it at that time.

Amounts are token units, times Unix seconds. More than is minted is fine: a share is bought before
its token is minted. Less may be fine: a share is sold before its token is burned.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.cases import Case
from models.money import units_burned
from models.requests import BlockRef, Side


@dataclass(frozen=True)
class Attested:
    """What the supply monitor keeps of a token. time 0: nobody ever attested.

    max_age: seconds for which it is fresh. counts: its attestor may still attest, and mints not.
    """

    backed: int
    time: int
    attestor: str
    max_age: int
    counts: bool

    def problem(self, now: int) -> str:
        """Why it says nothing (any more) at a time; empty while it does."""
        if not self.time:
            return "nobody has attested what backs it"
        if not self.counts:
            return f"{self.attestor} attested it, who may not attest any more"
        age = now - self.time
        return f"attested {age} s ago, allowed are {self.max_age}" if age > self.max_age else ""


@dataclass(frozen=True)
class Minted:
    """What there was of a token at the newest block that is not later than its attestation.

    asked: numbers of the requests whose state there is known. open: those not ended there.
    """

    block: BlockRef
    supply: int
    asked: frozenset[int]
    open: frozenset[int]


@dataclass(frozen=True)
class Backing:
    """One token's backing at one look. attested None: the monitor could not be read.

    minted None: not compared. problem: why it could not be. sold: token units of shares sold for
    redeems that were open then, so that their tokens were still there.
    """

    now: int
    attested: Attested | None = None
    minted: Minted | None = None
    sold: int = 0
    problem: str = ""

    @property
    def uncovered(self) -> int:
        """Token units that were minted and neither held nor sold for an open redeem."""
        if self.attested is None or self.minted is None:
            return 0
        return max(0, self.minted.supply - self.sold - self.attested.backed)


def redeems(cases: Iterable[Case], before: int) -> set[int]:
    """Numbers of the redeems made in this block or before."""
    found = (_made(case) for case in cases if case.asked and case.side is Side.SELL)
    return {number for number, block in found if number and block <= before}


def sold_unburned(cases: Iterable[Case], symbol: str, minted: Minted) -> int:
    """Token units sold for redeems that were open then.

    By what has been filled until now, for nobody kept when: a sale after the attestation counts as
    one before it, as long as its redeem was open then. Never more than the redeem's own tokens.
    """
    units = 0
    for case in cases:
        if case.symbol == symbol and case.side is Side.SELL and _made(case)[0] in minted.open:
            filled = sum(units_burned(order.filled, case.ratio_of(order)) for order in case.orders)
            units += filled if case.terms is None else min(filled, case.terms.amount)
    return units


def _made(case: Case) -> tuple[int, int]:
    """Number and block of a request; zeros where neither vault nor row say."""
    if case.terms is not None:
        return case.terms.n, case.terms.created_block
    return (case.row.request_number, case.row.created_block) if case.row is not None else (0, 0)
