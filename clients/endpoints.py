"""What is known of each chain endpoint: whether to ask it, why not, and when to try it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from clients.rpc import AnswerForged, Rpc, RpcGarbled, RpcRefused
from clients.vault import VaultClient
from models.errors import SourceUnavailable
from models.watch import EndpointState, Fault

Report = Callable[[str, str], None]
"""Told (source, problem) after each look; problem empty = it answers."""

STRIKES = 3
"""Failures in a row, while others answered the same question, that set an endpoint aside."""
_LIARS = frozenset({Fault.LIED, Fault.WRONG_CHAIN})
# A liar gets no second chance to; what is pruned stays so, and says so.
_AT_ONCE = _LIARS | {Fault.PRUNED}
# Seconds until the first look whether it is well again, each further offence doubles them; and
# the longest that becomes.
_BACK_OFF = (5.0, 300.0)
_LIAR_BACK_OFF = (60.0, 6 * 3600.0)
_FORGIVEN_SECONDS = 3600.0
_DETAIL_LENGTH = 300
# How clients say that they no longer have the state of a block:
# https://github.com/ethereum/go-ethereum/blob/v1.16.0/trie/errors.go
# https://github.com/paradigmxyz/reth/blob/v1.6.0/crates/storage/errors/src/provider.rs
_PRUNED = (
    "missing trie node",
    "pruned",
    "state not available",
    "state is not available",
    "state unavailable",
    "historical state",
    "state already discarded",
    "state histories haven't been fully indexed",
    "proof window",
    "archive",
)
# ... and that they do not have the block itself, because they are behind or on another fork:
# https://github.com/ethereum/go-ethereum/blob/v1.16.0/internal/ethapi/api.go
_BEHIND = (
    "header not found",
    "header for hash not found",
    "block not found",
    "blocknotfound",
    "unknown block",
    "not currently canonical",
    "is not canonical",
    "hash not found",
    "could not find block",
    "resource not found",
)


class HeadBehind(SourceUnavailable):
    """An endpoint's newest block is far below one that two agreed on before."""

    def __init__(self, number: int, reached: int) -> None:
        super().__init__("chain", "reading head", f"block {number}, {reached} was agreed on before")
        self.number = number


@dataclass(eq=False)
class Endpoint:
    """One endpoint and its record. Times: Unix seconds. fault None = it is asked."""

    label: str
    reader: VaultClient
    fault: Fault | None = None
    detail: str = ""
    since: float = 0.0
    retry_at: float = 0.0
    head: int = 0
    offences: int = 0
    strikes: dict[str, int] = field(default_factory=dict)

    @property
    def rpc(self) -> Rpc:
        """The connection."""
        return self.reader.rpc

    @property
    def trusted(self) -> bool:
        """Whether it is asked at all times."""
        return self.fault is None

    @property
    def usable(self) -> bool:
        """Whether its answer may count where another says the same: one that lied has no say."""
        return self.fault not in _LIARS

    @property
    def state(self) -> EndpointState:
        """For people."""
        return EndpointState(
            label=self.label,
            fault=self.fault,
            detail=self.detail,
            since=self.since,
            retry_at=self.retry_at,
            head=self.head,
        )

    def answered(self, question: str) -> None:
        """It gave what others gave, too."""
        self.strikes.pop(question, None)

    def struck(self, question: str, fault: Fault, detail: str, now: float) -> bool:
        """It failed where others answered. True: it has just been set aside for that.

        Counted by question: some fail only at one, which others must not excuse.
        """
        self.strikes[question] = self.strikes.get(question, 0) + 1
        if self.strikes[question] < STRIKES and fault not in _AT_ONCE:
            return False
        return self.set_aside(fault, detail, now)

    def set_aside(self, fault: Fault, detail: str, now: float) -> bool:
        """Ask it no more until a look finds it well. True when it was trusted until now."""
        before = self.fault
        if before is None:
            if now - self.since > _FORGIVEN_SECONDS:
                self.offences = 0
            self.since = now
        if before not in _LIARS or fault in _LIARS:
            self.fault, self.detail = fault, detail[:_DETAIL_LENGTH]
        first, longest = _BACK_OFF if self.usable else _LIAR_BACK_OFF
        self.retry_at = now + min(first * 2.0 ** min(self.offences, 20), longest)
        self.offences += 1
        return before is None

    def take_back(self, now: float) -> None:
        """It was looked at and found well."""
        self.fault, self.detail = None, ""
        self.strikes.clear()
        self.since, self.retry_at = now, 0.0


def endpoints_of(readers: list[VaultClient]) -> list[Endpoint]:
    """One for each URL, by a name that gives nothing away: place in the setting and host."""
    by_url: dict[str, VaultClient] = {}
    for reader in readers:
        by_url.setdefault(reader.rpc.url, reader)
    return [
        Endpoint(f"{place}:{_host(url)}", reader)
        for place, (url, reader) in enumerate(by_url.items(), 1)
    ]


def fault_of(error: SourceUnavailable) -> Fault:
    """What a failed call says about the endpoint, where others could answer it."""
    if isinstance(error, AnswerForged):
        return Fault.LIED
    if isinstance(error, RpcGarbled):
        return Fault.GARBLED
    if isinstance(error, HeadBehind):
        return Fault.LAGGING
    if not isinstance(error, RpcRefused):
        return Fault.DOWN
    text = error.text.lower()
    if any(phrase in text for phrase in _PRUNED):
        return Fault.PRUNED
    if any(phrase in text for phrase in _BEHIND):
        return Fault.LAGGING
    return Fault.REFUSES


def _host(url: str) -> str:
    """Host and port alone: user, path and query of such a URL are often an API key."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname or 'unknown'}{port}"
