"""Everything that can go wrong, as a tree.

BroncoError
  RetryableError          nothing was decided: ask again, or hold until the source answers
    SourceUnavailable     a source (broker link, RPC, database, flags, oracle) could not be asked
      EndpointsDisagree   two endpoints gave different answers: as good as no answer
      Unusable            it answered with what no order may be based on
      SourceBusy          it takes no more for now: nothing was done, later it will be
    RateLimited           an account window is full: wait, never a failed try
  UnknownOutcome          it may have been carried out: find out before anything else is sent
    PlacementUnknown
  FinalError              trying the same thing again cannot help
    OrderRejected         the broker's answer to this very order was no
    SigningRefused        the signer's policy does not allow this transaction
    InvalidInput          a caller's input is wrong; the sentence names field, value and remedy
    ConfigurationError    a setting is missing or wrong; the sentence names it
    Conflict              the source already holds something else under this key
    NotFound              no such thing
    Unauthorized          missing or wrong credentials
    Forbidden             known, but not allowed to do this

Each class builds its own sentence. Nothing branches on a sentence.
"""


class BroncoError(Exception):
    """Base of every error Bronco raises on purpose."""


class RetryableError(BroncoError):
    """Nothing was decided: ask again."""


class SourceUnavailable(RetryableError):
    """A source could not be asked; `None` and `[]` never stand for this."""

    def __init__(self, source: str, doing: str, detail: str = "") -> None:
        tail = f": {detail}" if detail else ""
        super().__init__(f"{source} could not be asked while {doing}{tail}")
        self.source = source
        self.doing = doing
        self.detail = detail


class Unusable(SourceUnavailable):
    """A source answered with what no order may be based on. guard: the check that refused it."""

    def __init__(self, guard: str, source: str, doing: str, problem: str) -> None:
        super().__init__(source, doing, f"{guard}: {problem}")
        self.guard = guard
        self.problem = problem


class SourceBusy(SourceUnavailable):
    """A source that takes no more for now; nothing was done. retry_after_seconds: when to ask."""

    def __init__(self, source: str, doing: str, retry_after_seconds: float) -> None:
        super().__init__(source, doing, f"busy, again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class EndpointsDisagree(SourceUnavailable):
    """Two endpoints of one source answered differently."""

    def __init__(self, source: str, doing: str, first: str, second: str) -> None:
        super().__init__(source, doing, f"endpoints disagree ({first} versus {second})")


class RateLimited(RetryableError):
    """An account's window is full until `retry_after_seconds` have passed."""

    def __init__(self, call: str, retry_after_seconds: float) -> None:
        super().__init__(f"{call}: window full, next slot in {retry_after_seconds:.2f} s")
        self.call = call
        self.retry_after_seconds = retry_after_seconds


class UnknownOutcome(BroncoError):
    """It may have been carried out; ask before anything else is sent."""


class PlacementUnknown(UnknownOutcome):
    """The broker may or may not hold an order with this remark."""

    def __init__(self, remark: str, detail: str) -> None:
        super().__init__(f"order {remark} was sent but its answer is unknown ({detail})")
        self.remark = remark
        self.detail = detail


class FinalError(BroncoError):
    """Trying the same thing again cannot help."""


class OrderRejected(FinalError):
    """The broker answered this very order with no."""

    def __init__(self, remark: str, reason: str) -> None:
        super().__init__(f"the broker rejected {remark}: {reason}")
        self.remark = remark
        self.reason = reason


class SigningRefused(FinalError):
    """The policy does not allow this transaction to be signed."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"not signed: {problem}")
        self.problem = problem


class InvalidInput(FinalError):
    """A caller's input is wrong."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}={value!r} is not valid: {remedy}")
        self.field = field
        self.remedy = remedy


class ConfigurationError(FinalError):
    """A setting is missing or wrong."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"setting {setting}: {problem}")
        self.setting = setting
        self.problem = problem


class Conflict(FinalError):
    """The source already holds something else under this key."""

    def __init__(self, what: str, key: str, detail: str) -> None:
        super().__init__(f"{what} {key}: {detail}")
        self.what = what
        self.key = key


class NotFound(FinalError):
    """No such thing."""

    def __init__(self, what: str, key: str) -> None:
        super().__init__(f"no {what} {key}")
        self.what = what
        self.key = key


class Unauthorized(FinalError):
    """Missing or wrong credentials."""

    def __init__(self, remedy: str) -> None:
        super().__init__(f"not authorised: {remedy}")
        self.remedy = remedy


class Forbidden(FinalError):
    """Known, but not allowed to do this."""

    def __init__(self, who: str, needed: str) -> None:
        super().__init__(f"not allowed: {who}, and {needed}")
        self.who = who
        self.needed = needed
