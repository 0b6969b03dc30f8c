import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from bronco.logs import REDACTED, Redaction, configure, logger
from bronco.sections import LogFormat, LogLevel, LogSettings
from bronco.settings import Settings
from tests.unit.test_settings import COMPLETE


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    written = io.StringIO()
    configure(LogSettings(), Settings.load(COMPLETE).secrets(), written)
    yield written
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_log__event_with_fields__is_one_json_line(stream: io.StringIO) -> None:
    logger("orders").info("order_placed", order_id=7, tx_hash="0xab")
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "order_placed",
        "level": "info",
        "logger": "orders",
        "order_id": 7,
        "tx_hash": "0xab",
    }


def test_log__standard_logging__goes_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("temporalio").warning("lost %s", "link", extra={"activity": "place_order"})
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["activity"]) == (
        "lost link",
        "warning",
        "place_order",
    )


def test_log__below_level__is_not_written(stream: io.StringIO) -> None:
    written = io.StringIO()
    configure(LogSettings(level=LogLevel.WARNING, format=LogFormat.CONSOLE), (), written)
    logger("orders").info("order_placed")
    logger("orders").warning("order_held")
    structlog.reset_defaults()
    assert "order_held" in written.getvalue()
    assert "order_placed" not in written.getvalue()


@pytest.mark.parametrize(
    "field",
    [
        "password",
        "api_key",
        "X_API_KEY",
        "x-api-key",
        "dev_key",
        "Authorization",
        "access_token",
        "refresh_token",
    ],
)
def test_log__secret_field__is_redacted(stream: io.StringIO, field: str) -> None:
    logger("api").info("called", **{field: "whatever", "nested": {field: "whatever"}})
    assert "whatever" not in stream.getvalue()


def test_log__public_fields__stay(stream: io.StringIO) -> None:
    fields = {"token": "0x" + "1" * 40, "event_key": "control:7", "remark": "b1:x:1"}
    logger("api").info("called", **fields)
    (line,) = lines(stream)
    assert {name: line[name] for name in fields} == fields


def test_log__secret_inside_text_and_traceback__is_redacted(stream: io.StringIO) -> None:
    try:
        raise ConnectionError("no answer from mysql+pymysql://bronco:s3cret-pw@db/bronco")
    except ConnectionError:
        logger("store").exception("store_down", key_tried="0xs3cret-key")
    logging.getLogger("redis").error("AUTH s3cret-redis failed: %s", ["0xs3cret-key"])
    for secret in Settings.load(COMPLETE).secrets():
        assert secret not in stream.getvalue()
    assert "s3cret-pw" not in stream.getvalue()
    assert REDACTED in stream.getvalue()
    assert "ConnectionError" in stream.getvalue()


def test_redaction__endpoint_with_a_key__keeps_the_host_only() -> None:
    blot = Redaction()
    said = blot.text("POST https://mainnet.example.io:443/v3/0123456789abcdef failed")
    assert said == "POST https://mainnet.example.io:443/… failed"
    assert blot.text("redis://:pw@cache:6379/1") == "redis://cache:6379/…"


def test_redaction__short_secret__does_not_blot_out_words() -> None:
    assert Redaction(["", "a"]).text("a placement") == "a placement"


PLANTED = {
    "a key of ours": "bronco_0123456789ab_" + "K" * 43,
    "a bearer token": "Authorization: Bearer abcdefgh.ijklmnop.qrstuvwx",
    "a JSON web token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXBsYW50ZWQ",
    "a webhook's secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "a password in a DSN": "mysql+pymysql://bronco:pl4nted-pw@db/bronco",
    "a password of a call": "login(user='bronco', password='pl4nted-pw')",
    "a password with spaces": "login(password='pl4nted horse) pl4nted', user='bronco')",
    "a password in JSON": '{"password": "pl4nted-pw", "user": "bronco"}',
    "a token in a query": "GET /rpc?token=pl4nted-token&block=7",
    "a provider's key in a path": "https://mainnet.example.io/v3/pl4nted0123456789",
    "a key of the settings": "0xs3cret-key",
}
SECRET_PARTS = ("K" * 43, "abcdefgh", "eyJzdWIi", "MfKQ9r8G", "pl4nted", "s3cret")
LOGGERS = (
    "urllib3.connectionpool", "aiohttp.client", "sqlalchemy.engine", "redis", "web3.providers",
    "temporalio.worker", "temporalio.core", "uvicorn.error", "opentelemetry.sdk", "FTConsole",
)  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("name", LOGGERS)
def test_redaction__planted_in_a_librarys_line_and_traceback__is_found(
    stream: io.StringIO, name: str, what: str
) -> None:
    secret = PLANTED[what]
    log = logging.getLogger(name)
    log.error("failed with %s", secret, extra={"tried": [secret], "nested": {"deep": secret}})
    try:
        try:
            raise ConnectionError(secret)
        except ConnectionError as cause:
            raise ValueError(f"asked {secret}") from cause
    except ValueError:
        log.exception("gave up")
    said = stream.getvalue()
    assert len(lines(stream)) == 2
    assert not [part for part in SECRET_PARTS if part in said], said
    assert "Traceback" in said


def test_redaction__what_is_public__stays(stream: io.StringIO) -> None:
    public = "order 0x" + "ab" * 32 + " of token 0x" + "1" * 40 + ": 7 tokens, password rotated"
    logging.getLogger("orders").info(public)
    assert lines(stream)[0]["event"] == public


def test_log__warning_or_thread_that_dies__is_a_line_without_secrets(stream: io.StringIO) -> None:
    def dies() -> None:
        raise RuntimeError("no answer from redis://:s3cret-redis@cache:6379/0")

    thread = threading.Thread(target=dies, name="watch")
    threading.excepthook, kept = configured_hook(), threading.excepthook
    thread.start()
    thread.join()
    threading.excepthook = kept
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("password=s3cret-pw in the URL", stacklevel=1)
    first, second = lines(stream)
    assert (first["event"], first["level"], first["in_thread"]) == ("uncaught", "critical", "watch")
    assert second["logger"] == "py.warnings"
    assert "s3cret" not in stream.getvalue()


def configured_hook() -> Any:
    """pytest has put its own in the place of ours."""
    from bronco import logs

    return logs._uncaught_in_thread


def test_log__process_that_dies__ends_with_a_line_without_secrets() -> None:
    program = (
        "from bronco import logs; from bronco.sections import LogSettings;"
        "logs.configure(LogSettings(), ['0xs3cret-key']);"
        "raise RuntimeError('signing with 0xs3cret-key failed')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    line = json.loads(ended.stderr)
    assert (ended.returncode, line["event"]) == (1, "uncaught")
    assert "RuntimeError" in line["exception"]
    assert "s3cret" not in ended.stderr


def test_log__line_of_an_orders_workflow_or_activity__has_its_order_id(
    stream: io.StringIO,
) -> None:
    request = "0x" + "ab" * 32
    info = {"workflow_id": f"order-1-0x{'1' * 40}-{request}", "attempt": 2, "run_id": "r"}
    for name in ("temporal_workflow", "temporal_activity"):
        logging.getLogger("temporalio.workflow").warning("row_not_written", extra={name: info})
    logging.getLogger("temporalio").warning("x", extra={"temporal_workflow": {"workflow_id": "w"}})
    *ours, other = lines(stream)
    assert [line["order_id"] for line in ours] == [request, request]
    assert [line["attempt"] for line in ours] == [2, 2]
    assert "order_id" not in other
    assert not set(other) & {"temporal_workflow", "temporal_activity"}
