"""Logs: one event a line with its fields, to standard error, never a secret.

Every line of an order's work has its order_id: the request id, as in the API and on chain.
"""

import logging
import re
import sys
import threading
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bronco.sections import LogFormat, LogSettings

REDACTED = "[redacted]"
_SECRET_FIELDS = re.compile(
    r"(^|[_-])(password|passwd|secret|api[_-]?key|private[_-]?key|dev_key|mnemonic|authorization|"
    r"cookie|password_md5|(access|refresh|id|auth|bearer)[_-]?token)$",
    re.IGNORECASE,
)
# Endpoints of node providers carry their API key in the path or the user part.
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@\"']*@)?([^\s/?#\"']+)([/?#][^\s\"']+)?", re.I)
# Of an API key only its public part is told: clients/api_keys.py.
_API_KEY = re.compile(r"\b(bronco_[0-9a-f]{12}_)[A-Za-z0-9_-]{43}")
# As headers, DSNs and query strings carry them, in whatever a library quotes.
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"\b((?:\w+[_-])?(?:password|passwd|pwd|secret|token|api[_-]?key|private[_-]?key|mnemonic))"
    r"(\\?[\"']?\s*[=:]\s*)(?!\\?[\"']?bronco_[0-9a-f]{12}_\[)"
    # In quotes it goes on to the same quote, spaces and brackets and all.
    r"(?:(?P<open>\\?[\"'])(?:(?!(?P=open)).)+|[^\s\"',;&)}\]\\]+)",
    re.IGNORECASE,
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+")
_WEBHOOK = re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{8,}")
_ORDER = re.compile(r"^order-\d+-0x[0-9a-f]{40}-(0x[0-9a-f]{64})$", re.IGNORECASE)
_OF_TEMPORAL = ("temporal_workflow", "temporal_activity")
_SHORTEST_SECRET = 6
_NOISY = ("httpx", "httpcore", "web3", "urllib3", "websockets")


def configure(
    settings: LogSettings, secrets: Collection[str] = (), stream: TextIO | None = None
) -> None:
    """Send structlog and standard logging through one chain; call once per process.

    secrets: values that are blotted out wherever they turn up, tracebacks included.
    """
    blot = Redaction(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        whose,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                blot,
                _renderer(settings.format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.value)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What nobody catches would go to standard error as it is.
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def order_of(workflow_id: str) -> str:
    """Request id of an order's workflow; empty for any other."""
    found = _ORDER.match(workflow_id)
    return found.group(1) if found else ""


def whose(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """As a structlog processor: what Temporal adds to a line becomes fields of ours."""
    for name in _OF_TEMPORAL:
        info = event.pop(name, None)
        for key in ("workflow_id", "workflow_type", "activity_type", "attempt"):
            if isinstance(info, Mapping) and info.get(key) is not None:
                event.setdefault(key, info[key])
    if "order_id" not in event and (order := order_of(str(event.get("workflow_id", "")))):
        event["order_id"] = order
    return event


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("bronco").critical("uncaught", exc_info=(kind, error, trace))


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None:
        where = {"in_thread": found.thread.name if found.thread else ""}
        told = (found.exc_type, found.exc_value, found.exc_traceback)
        logging.getLogger("bronco").critical("uncaught", exc_info=told, extra=where)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("order_placed", order_id=…)`, fixed event names and fields."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


class Redaction:
    """Blots out secret fields, known secret values, and all of a URL but its host."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # A very short one (an empty or default password) would blot out half of every line.
        known = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """As a structlog processor."""
        return {key: self._field(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """The text without what it may not say."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        text = _API_KEY.sub(rf"\1{REDACTED}", text)
        text = _URL.sub(_host_only, text)
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
        for secret in (_JWT, _WEBHOOK):
            text = secret.sub(REDACTED, text)
        return _ASSIGNED.sub(lambda one: f"{one[1]}{one[2]}{one['open'] or ''}{REDACTED}", text)

    def _field(self, key: str, value: Any) -> Any:
        if _SECRET_FIELDS.search(key):
            return REDACTED
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(inner) for inner in value]
        return self.text(str(value))


def _host_only(found: re.Match[str]) -> str:
    scheme, host, rest = found.groups()
    return f"{scheme}{host}{'/…' if rest and rest != '/' else ''}"


def _renderer(chosen: LogFormat) -> Processor:
    if chosen is LogFormat.CONSOLE:
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(ensure_ascii=False)
