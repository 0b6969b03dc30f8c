"""Several endpoints, of which at least two must say the same before it counts.

Two healthy ones are asked. One that fails is replaced by the next; where two contradict each other
all are asked, and more than half of the answers, two at least, decide. With no such majority
nobody decides. Who was outvoted, or failed where others answered, is set aside for a while.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from clients.endpoints import Endpoint, Report, endpoints_of, fault_of
from clients.rpc import Rpc
from clients.vault import VaultClient
from models.chain import DEV_CHAIN_IDS
from models.errors import ConfigurationError, EndpointsDisagree, SourceUnavailable
from models.watch import EndpointState, Fault

T = TypeVar("T")
Read = Callable[[Endpoint], Awaitable[T]]
NEEDED = 2
_BRIEF = 200


class TooFewEndpoints(SourceUnavailable):
    """Fewer endpoints than must agree are fit to be asked."""

    def __init__(self, doing: str, endpoints: Sequence[Endpoint]) -> None:
        why = "; ".join(f"{e.label} {e.fault}: {e.detail}" for e in endpoints if not e.usable)
        fit = sum(endpoint.usable for endpoint in endpoints)
        detail = f"{fit} of {len(endpoints)} endpoints can be trusted, {NEEDED} must agree ({why})"
        super().__init__("chain", doing, detail)


class Poll(Generic[T]):
    """What each endpoint said to one question."""

    def __init__(self, doing: str) -> None:
        self.question = doing.partition(" ")[0]
        self.said: dict[Endpoint, T] = {}
        self.failed: dict[Endpoint, SourceUnavailable] = {}

    @property
    def groups(self) -> list[tuple[T, list[Endpoint]]]:
        """The different answers and who gave them, the most frequent first."""
        found: list[tuple[T, list[Endpoint]]] = []
        for endpoint, value in self.said.items():
            same = next((who for known, who in found if known == value), None)
            if same is None:
                found.append((value, [endpoint]))
            else:
                same.append(endpoint)
        return sorted(found, key=lambda group: -len(group[1]))


class Quorum:
    """The endpoints of one vault, and what came of asking them."""

    def __init__(
        self,
        readers: Sequence[VaultClient],
        *,
        allow_single: bool = False,
        clock: Callable[[], float] = time.time,
        report: Report | None = None,
    ) -> None:
        """Take the endpoints in their order of preference.

        Args:
            readers: One for each endpoint; the same URL twice counts once.
            allow_single: On a dev chain one endpoint, asked once, is enough.
            clock: Unix seconds.
            report: Told of each endpoint that is set aside or taken back.

        Raises:
            ConfigurationError: fewer than two where that is not allowed, or different vaults.
        """
        if len({(reader.chain_id, reader.address) for reader in readers}) != 1:
            raise ConfigurationError("chain endpoints", "they read different vaults")
        self.endpoints = endpoints_of(list(readers))
        self.single = len(self.endpoints) == 1
        if self.single and not (allow_single and readers[0].chain_id in DEV_CHAIN_IDS):
            raise ConfigurationError(
                "chain endpoints", "two different endpoints are needed outside a dev chain"
            )
        self.clock = clock
        self._report = report
        for endpoint in self.endpoints:
            self.tell(endpoint)

    @property
    def healthy(self) -> tuple[Rpc, ...]:
        """The connections of the endpoints that are trusted now, in their order of preference."""
        return tuple(endpoint.rpc for endpoint in self.endpoints if endpoint.trusted)

    def heard(self) -> tuple[Rpc, ...]:
        """The healthy ones; where there are none, those that are unwell; never one that lied."""
        return self.healthy or tuple(endpoint.rpc for endpoint in self.to_ask())

    @property
    def states(self) -> tuple[EndpointState, ...]:
        """Each endpoint, for people."""
        return tuple(endpoint.state for endpoint in self.endpoints)

    def to_ask(self) -> list[Endpoint]:
        """Whom to ask, in order: those set aside for want of health last, liars never."""
        usable = [endpoint for endpoint in self.endpoints if endpoint.usable]
        return sorted(usable, key=lambda endpoint: not endpoint.trusted)

    async def agreed(
        self, doing: str, read: Read[T], *, at_tip: bool = False, order: Sequence[Endpoint] = ()
    ) -> T:
        """The answer that two endpoints, and more than half of those asked, give.

        Args:
            doing: What is read, for errors.
            read: Must ask for the state at a block hash, so that only one answer can be true.
            at_tip: Instead it asks for a block by its number: another answer is another fork.
            order: Whom to ask first.

        Raises:
            TooFewEndpoints: fewer than two can be trusted.
            EndpointsDisagree: there is no such answer.
            SourceUnavailable: fewer than two answered.
        """
        if self.single:
            return await read(self.endpoints[0])
        poll = await self._polled(doing, read, [*order, *self.to_ask()])
        value, winners = _decided(poll, doing)
        self._judge(poll, doing, winners, Fault.FORKED if at_tip else Fault.LIED)
        return value

    async def witnessed(self, doing: str, read: Read[T]) -> T:
        """As `agreed`, of what many endpoints do not keep: all are asked, and none is judged.

        Raises:
            SourceUnavailable: no two endpoints have it and say the same.
        """
        if self.single:
            return await read(self.endpoints[0])
        poll: Poll[T] = Poll(doing)
        usable = self.to_ask()
        self._enough(doing, usable, NEEDED)
        await _ask(poll, read, usable)
        return _decided(poll, doing)[0]

    async def first(self, doing: str, read: Read[T], count: int = NEEDED) -> dict[Endpoint, T]:
        """Answers of the first `count` endpoints that give one, which need not be the same.

        Raises:
            TooFewEndpoints: fewer than `count` can be trusted.
            SourceUnavailable: fewer than `count` answered.
        """
        poll: Poll[T] = Poll(doing)
        waiting = self.to_ask()
        self._enough(doing, waiting, count)
        while waiting and len(poll.said) < count:
            wanted = count - len(poll.said)
            await _ask(poll, read, waiting[:wanted])
            waiting = waiting[wanted:]
        if len(poll.said) < count:
            raise next(iter(poll.failed.values()))
        self._blame(poll)
        return poll.said

    async def everybody(self, doing: str, read: Read[object]) -> None:
        """Ask all of them, and be content with two that answer.

        Raises:
            SourceUnavailable: fewer than two did; where there is one alone, it did not.
        """
        poll: Poll[object] = Poll(doing)
        await _ask(poll, read, self.endpoints)
        if len(poll.said) < min(NEEDED, len(self.endpoints)):
            raise next(iter(poll.failed.values()))
        self._blame(poll)

    def set_aside(self, endpoint: Endpoint, fault: Fault, detail: str) -> None:
        """Ask this endpoint no more, and say so."""
        endpoint.set_aside(fault, detail, self.clock())
        self.tell(endpoint)

    def strike(self, endpoint: Endpoint, question: str, fault: Fault, detail: str) -> None:
        """It failed where others answered; three in a row set it aside."""
        if endpoint.struck(question, fault, detail, self.clock()):
            self.tell(endpoint)

    def take_back(self, endpoint: Endpoint) -> None:
        """Ask it again, and say so."""
        endpoint.take_back(self.clock())
        self.tell(endpoint)

    def tell(self, endpoint: Endpoint) -> None:
        """Report how it stands."""
        if self._report is not None:
            problem = f"{endpoint.fault}: {endpoint.detail}" if endpoint.fault else ""
            self._report(f"chain endpoint {endpoint.label}", problem)

    async def _polled(self, doing: str, read: Read[T], order: Sequence[Endpoint]) -> Poll[T]:
        poll: Poll[T] = Poll(doing)
        waiting = [endpoint for endpoint in dict.fromkeys(order) if endpoint.usable]
        self._enough(doing, waiting, NEEDED)
        while waiting:
            missing = NEEDED - len(poll.said)
            disputed = len(poll.groups) > 1
            if missing <= 0 and not disputed:
                break
            asked = waiting if disputed else waiting[:missing]
            waiting = waiting[len(asked) :]
            await _ask(poll, read, asked)
        return poll

    def _enough(self, doing: str, usable: Sequence[Endpoint], count: int) -> None:
        if len(usable) < min(count, NEEDED) or not usable:
            raise TooFewEndpoints(doing, self.endpoints)

    def _judge(
        self, poll: Poll[T], doing: str, winners: Sequence[Endpoint], outvoted: Fault
    ) -> None:
        """Others agreed: now another answer says something about who gave it."""
        for endpoint, value in poll.said.items():
            if endpoint in winners:
                endpoint.answered(poll.question)
            elif value is None and outvoted is Fault.FORKED:
                self.strike(
                    endpoint,
                    poll.question,
                    Fault.LAGGING,
                    f"has nothing where others have: {doing}",
                )
            else:
                others = ", ".join(winner.label for winner in winners)
                self.strike(endpoint, poll.question, outvoted, f"{doing}: contradicted {others}")
        self._blame(poll)

    def _blame(self, poll: Poll[T]) -> None:
        """Others answered: now a failure says something about who failed."""
        for endpoint, error in poll.failed.items():
            self.strike(endpoint, poll.question, fault_of(error), f"{error.doing}: {error.detail}")


async def _ask(poll: Poll[T], read: Read[T], endpoints: Sequence[Endpoint]) -> None:
    # All are awaited to their end, so that none is left running behind an error.
    done = await asyncio.gather(*(read(one) for one in endpoints), return_exceptions=True)
    for endpoint, result in zip(endpoints, done, strict=True):
        if isinstance(result, SourceUnavailable):
            poll.failed[endpoint] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            poll.said[endpoint] = result


def _decided(poll: Poll[T], doing: str) -> tuple[T, list[Endpoint]]:
    """What two endpoints, and more than half of those that answered, say; and who they are."""
    groups = poll.groups
    if not groups or len(poll.said) < NEEDED:
        raise next(iter(poll.failed.values()))
    value, winners = groups[0]
    if len(winners) < NEEDED or 2 * len(winners) <= len(poll.said):
        raise _disagreement(doing, groups)
    return value, winners


def _disagreement(doing: str, groups: Sequence[tuple[object, Sequence[Endpoint]]]) -> Exception:
    told = [f"{', '.join(e.label for e in who)}: {_brief(value)}" for value, who in groups]
    return EndpointsDisagree("chain", f"reading {doing}", told[0], " versus ".join(told[1:]))


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= _BRIEF else text[:_BRIEF] + "…"
