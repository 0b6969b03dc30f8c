"""Each house rule finds what it forbids, and leaves alone what it allows."""

import pytest

from tools.house_lint import check


def texts(path: str, source: str) -> list[str]:
    return [str(breach) for breach in check(path, source)]


@pytest.mark.parametrize(
    ("source", "culprit"),
    [
        ("import time", "time"),
        ("from random import choice", "random"),
        ("import os.path", "os"),
        ("from datetime import datetime\nx = datetime.now()", "datetime.datetime.now"),
        ("import datetime as d\nx = d.date.today", "datetime.date.today"),
        ("from datetime import datetime as dt\nf = Field(default_factory=dt.utcnow)", "utcnow"),
        ("from uuid import uuid4\nx = uuid4()", "uuid.uuid4"),
    ],
)
def test_purity__models_read_the_world__is_found(source: str, culprit: str) -> None:
    (breach,) = texts("models/order.py", source)
    assert culprit in breach
    assert breach.startswith(f"models/order.py:{source.count(chr(10)) + 1}: ")


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndef f(now: datetime) -> datetime: return now",
        "def f(order): return order.now",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)",
    ],
)
def test_purity__models_are_given_the_time__is_allowed(source: str) -> None:
    assert texts("models/order.py", source) == []


def test_purity__client_reads_the_clock__is_allowed() -> None:
    assert texts("clients/broker.py", "import time\nx = time.monotonic()") == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ['KEY']",
        "from os import environ\nx = environ",
        "import os as o\nx = o.getenv('KEY')",
    ],
)
def test_environment__read_outside_settings__is_found(source: str) -> None:
    assert len(texts("clients/keys.py", source)) == 1
    assert texts("bronco/settings.py", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nx = asyncio.wait_for(y, 1)",
        "from asyncio import wait_for\nx = wait_for(y, 1)",
    ],
)
def test_wait_for__anywhere__is_found(source: str) -> None:
    (breach,) = texts("clients/rpc.py", source)
    assert "asyncio.timeout" in breach


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("workflows/deposit.py", "x = round(1.5)"),
        ("activities/broker.py", "import math\nx = math.ceil(y)"),
        ("clients/broker.py", "x = price.quantize(tick)"),
        ("models/order.py", "x = amount // unit"),
    ],
)
def test_rounding__outside_money__is_found(path: str, source: str) -> None:
    (breach,) = texts(path, source)
    assert "models/money.py" in breach


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("models/money.py", "x = amount // unit\ny = price.quantize(tick)"),
        ("simulators/opend/market.py", "x = round(price, 2)"),
        ("workflows/policies.py", "pages = rows // 100"),
    ],
)
def test_rounding__where_it_belongs__is_allowed(path: str, source: str) -> None:
    assert texts(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "seen = []",
        "SEEN: dict[str, int] = {}",
        "from collections import defaultdict\nseen = defaultdict(int)",
        "seen = set()",
        "def f():\n    global count",
        "from typing import Final\nSEEN: Final = {'a': 1}",
    ],
)
def test_module_state__mutable__is_found(source: str) -> None:
    assert len(texts("activities/orders.py", source)) == 1
    assert texts("clients/store.py", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "__all__ = ['Order']",
        "KINDS = ('a', 'b')",
        "KINDS = frozenset({'a'})",
        "from collections.abc import Mapping\nNEXT: Mapping[str, str] = {'a': 'b'}",
        "from typing import Final, Mapping\nNEXT: Final[Mapping[str, str]] = {'a': 'b'}",
        "def f():\n    seen = []\n    return seen",
        "class Book:\n    def __init__(self):\n        self.rows = {}",
    ],
)
def test_module_state__constant_or_local__is_allowed(source: str) -> None:
    assert texts("models/order.py", source) == []
