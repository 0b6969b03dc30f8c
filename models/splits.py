"""How many shares stand behind one share token: 1 at first, 4 after a 4:1 split, exact for ever.

Raw token units never change, and neither does what a limit or a price in the vault is about: one
token. Only the broker counts in shares, so only what goes to or comes from the broker is converted,
in models/money.py.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class SharesPerToken(BaseModel):
    """One token stands for numerator / denominator shares. epoch: how many splits came before."""

    model_config = ConfigDict(frozen=True)

    numerator: int = Field(default=1, gt=0)
    denominator: int = Field(default=1, gt=0)
    epoch: int = Field(default=0, ge=0)

    @property
    def exact(self) -> Fraction:
        """Shares per token."""
        return Fraction(self.numerator, self.denominator)

    def __str__(self) -> str:
        """As people say it: shares per token."""
        part = f"/{self.denominator}" if self.denominator > 1 else ""
        return f"{self.numerator}{part}"


ONE_TO_ONE = SharesPerToken()
"""Before the first split."""


class NextSplit(NamedTuple):
    """A split to come: cumulative shares per token from `at` (Unix seconds) on."""

    numerator: int
    denominator: int
    at: int


@dataclass(frozen=True)
class SplitState:
    """What an asset's reference says about splits at one block.

    priced_epoch: the epoch in which its newest price was given; older than the ratio's: the feed
    has not spoken since the split; None: it gives no price.
    settled_epoch: the epoch that was in force a margin ago.
    """

    ratio: SharesPerToken
    upcoming: NextSplit | None
    priced_epoch: int | None
    settled_epoch: int

    def unsettled(self, now: int, margin: float) -> str:
        """Why no order may be placed around a split; empty when none is near. Unix seconds.

        A DAY order must end before the split that it does not know of, and afterwards broker, feed
        and reference must all speak of new shares.
        """
        if self.upcoming is not None and now >= self.upcoming.at - margin:
            ahead = self.upcoming.at - now
            words = f"in {ahead} s" if ahead > 0 else "now"
            new = f"{self.upcoming.numerator}/{self.upcoming.denominator}"
            return f"a split to {new} shares per token takes effect {words}"
        if self.settled_epoch != self.ratio.epoch:
            return f"the split to {self.ratio} shares per token is less than {margin:g} s old"
        if self.priced_epoch is None:
            return "the feed gives no price"
        if self.priced_epoch != self.ratio.epoch:
            return f"the feed has given no price since the split to {self.ratio} shares per token"
        return ""
