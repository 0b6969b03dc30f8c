"""Limits, faults, options and the wire's constants, each without a socket."""

from decimal import Decimal

import pytest

from simulators.opend import orders, schema
from simulators.opend.arguments import PROGRAM, parse
from simulators.opend.errors import ControlError, Rejected
from simulators.opend.faults import ALL, Faults
from simulators.opend.faults import __doc__ as fault_table
from simulators.opend.limits import RateLimiter
from simulators.opend.options import OpenDOptions
from simulators.opend.wire import exact


class Ticker:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_limits__sixteenth_placement_in_a_window__refused_until_the_first_leaves() -> None:
    clock = Ticker()
    limiter = RateLimiter(True, 1.0, clock)
    for _ in range(15):
        limiter.check("PlaceOrder", 1002)
        clock.now += 0.025
    with pytest.raises(Rejected, match="15 requests per 30 seconds"):
        limiter.check("PlaceOrder", 1002)
    limiter.check("PlaceOrder", 1001)
    clock.now = 30.0
    limiter.check("PlaceOrder", 1002)


def test_limits__two_placements_within_the_gap__second_refused() -> None:
    clock = Ticker()
    limiter = RateLimiter(True, 1.0, clock)
    limiter.check("PlaceOrder", 1002)
    clock.now += 0.019
    with pytest.raises(Rejected, match=r"0\.02 seconds between"):
        limiter.check("PlaceOrder", 1002)


def test_limits__scaled__window_shrinks() -> None:
    clock = Ticker()
    limiter = RateLimiter(True, 0.1, clock)
    for _ in range(10):
        limiter.check("GetOrderList", 1002)
    with pytest.raises(Rejected):
        limiter.check("GetOrderList", 1002)
    clock.now = 3.0
    limiter.check("GetOrderList", 1002)


def test_faults__armed_twice__strike_in_order_and_run_out() -> None:
    faults = Faults()
    faults.arm("reject", message="no")
    faults.arm("silence", n=2)
    struck = [faults.strike_request("PlaceOrder") for _ in range(4)]
    assert [fault.name if fault else None for fault in struck] == [
        "reject",
        "silence",
        "silence",
        None,
    ]
    assert faults.hits == {"reject": 1, "silence": 2}


def test_faults__other_protocol__not_struck() -> None:
    faults = Faults()
    faults.arm("reject", protocol="Trd_GetFunds")
    assert faults.strike_request("PlaceOrder") is None
    assert faults.strike_request("GetFunds") is not None


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("no_such", {}),
        ("frozen", {}),
        ("reject", {"n": 0}),
        ("reject", {"protocol": "Nope"}),
        ("reject", {"colour": "red"}),
        ("delay", {}),
    ],
)
def test_faults__armed_wrongly__refused(name: str, params: dict[str, object]) -> None:
    with pytest.raises(ControlError):
        Faults().arm(name, **params)  # type: ignore[arg-type]


def test_faults__every_name__is_in_the_table() -> None:
    assert fault_table is not None
    lines = {line.split(" ")[0] for line in fault_table.splitlines()}
    assert lines >= ALL


def test_parse__options__become_values() -> None:
    line = "--port 0 --cash 500 --position aapl=100 --price ABC=12.5 --no-limits --ack 0"
    options = parse([*line.split(), "--account", "7=SIMULATE:US", "--session", "closed"])
    assert (options.port, options.cash, options.limits) == (0, Decimal(500), False)
    assert options.positions == {"AAPL": 100}
    assert (options.prices["ABC"], options.prices["AAPL"]) == (Decimal("12.5"), Decimal(190))
    assert [account.id for account in options.accounts] == [7]
    assert (options.session, options.ack_seconds) == ("closed", 0.0)


def test_parse__nothing__is_the_defaults() -> None:
    assert parse([]) == OpenDOptions()


@pytest.mark.parametrize(
    "line",
    [
        *("--price AAPL", "--position AAPL=1.5", "--position ZZZ=1", "--account 7=US"),
        *("--price A=0", "--price A=1.001", "--tick 0", "--cash none", "--cash -1", "--ack -1"),
        *("--port 65536", "--port 65535", "--port 7 --control-port 7", "--price-interval nan"),
        *("--partial-rate 2", "--leverage 0", "--session never"),
    ],
)
def test_parse__wrong_option__usage_error(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help__every_option__says_what_it_is_and_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert PROGRAM in printed
    assert "between price steps; 0 = prices stand still (1.0)" in " ".join(printed.split())
    fields = {name.removesuffix("_seconds") for name in OpenDOptions.__dataclass_fields__}
    told = {"accounts": "account", "positions": "position", "prices": "price"}
    for name in fields:
        assert f"--{told.get(name, name).replace('_', '-')}" in printed


@pytest.mark.parametrize("name", ["OrderStatus", "TrdSide", "OrderType", "TrdEnv", "TrdMarket"])
def test_numbers__installed_futu_api__mean_the_same(name: str) -> None:
    ours = {
        "OrderStatus": orders.Status,
        "TrdSide": orders.Side,
        "OrderType": orders.OrderType,
        "TrdEnv": orders.Env,
        "TrdMarket": orders.Market,
    }[name]
    theirs = {
        key.removeprefix(f"{name}_").replace("_", "").upper(): number
        for key, number in getattr(schema.module("Trd_Common"), name).items()
    }
    assert {member.name.replace("_", ""): member.value for member in ours} == {
        member.name.replace("_", ""): theirs[member.name.replace("_", "")] for member in ours
    }


def test_schema__every_protocol__has_a_module_with_a_response() -> None:
    schema.load_all()
    for number in schema.PROTOCOLS:
        assert schema.response(number).retType == 0


def test_exact__float_from_the_wire__is_what_was_typed() -> None:
    assert exact(190.01) == Decimal("190.01")
    assert not exact(float("nan")).is_finite()
