import io
import json
import logging
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
    written = io.StringIO()
    configure(LogSettings(), Settings.load(COMPLETE).secrets(), written)
    yield written
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


def test_log__below_level__is_not_written() -> None:
    written = io.StringIO()
    configure(LogSettings(level=LogLevel.WARNING, format=LogFormat.CONSOLE), (), written)
    logger("orders").info("order_placed")
    logger("orders").warning("order_held")
    structlog.reset_defaults()
    assert "order_held" in written.getvalue()
    assert "order_placed" not in written.getvalue()


@pytest.mark.parametrize("field", ["password", "api_key", "X_API_KEY", "dev_key", "Authorization"])
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
