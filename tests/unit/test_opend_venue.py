import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from simulators.opend.errors import OpenDError, Rejected
from simulators.opend.orders import OrderType, Side, Status
from tests.unit.opend_clock import ACCOUNT, Desk, desk

MILLION = Decimal(1_000_000)


def test_place__marketable_limit__fills_at_the_quote_not_the_limit() -> None:
    d = desk()
    order = d.place(price="191")
    assert d.status(order) is Status.SUBMITTING
    d.clock.run()
    assert (order.status, order.filled, order.average) == (Status.FILLED_ALL, 10, Decimal("190.01"))
    assert d.cash == MILLION - 10 * Decimal("190.01")
    assert [status for _, status, _ in d.published] == [Status.SUBMITTED, Status.FILLED_ALL]


def test_place__limit_away_from_market__works_until_the_price_comes() -> None:
    d = desk()
    order = d.place(price="189")
    d.clock.run()
    assert d.status(order) is Status.SUBMITTED
    d.venue.set_price("AAPL", Decimal("188.50"))
    d.clock.run()
    assert order.value == 10 * Decimal("188.51")


def test_place__sell__gets_the_bid() -> None:
    d = desk(positions={"AAPL": 10})
    order = d.place(Side.SELL, price="189")
    d.clock.run()
    assert order.average == Decimal("189.99")
    assert (d.held(), d.cash) == (0, MILLION + 10 * Decimal("189.99"))


def test_place__market_order__ignores_its_price() -> None:
    d = desk()
    order = d.place(price="0.01", order_type=OrderType.MARKET)
    d.clock.run()
    assert (order.price, order.average) == (Decimal(0), Decimal("190.01"))


def fill_pattern(seed: int) -> list[int]:
    d = desk(seed=seed, partial_rate=1.0)
    order = d.place(quantity="100")
    d.clock.run()
    assert d.status(order) is Status.FILLED_ALL
    return [fill.quantity for fill in d.venue.book.fills]


def test_partial_fills__seeded__repeat_exactly_and_sum_to_the_order() -> None:
    first = fill_pattern(seed=1)
    assert len(first) > 1
    assert sum(first) == 100
    assert fill_pattern(seed=1) == first
    assert any(fill_pattern(seed=seed) != first for seed in range(2, 6))


def test_cancel__working_order__is_cancelling_then_cancelled() -> None:
    d = desk()
    order = d.place(price="180")
    d.clock.run()
    d.venue.cancel(order)
    assert d.status(order) is Status.CANCELLING_ALL
    d.clock.run()
    assert d.status(order) is Status.CANCELLED_ALL
    with pytest.raises(Rejected, match="CANCELLED_ALL"):
        d.venue.cancel(order)


def test_cancel__fill_overtakes_it__order_is_filled() -> None:
    d = desk(ack_seconds=1.0, fill_seconds=0.1)
    order = d.place()
    d.clock.step()  # acknowledged; the fill comes 0.1 s later, the cancel 1 s
    d.venue.cancel(order)
    d.clock.run()
    assert d.status(order) is Status.FILLED_ALL


def test_cancel__after_a_partial_fill__keeps_what_was_filled() -> None:
    d = desk()
    d.venue.faults.arm("partial_fill", quantity=4)
    order = d.place()
    d.clock.run()
    assert (order.status, order.filled) == (Status.FILLED_PART, 4)
    d.venue.cancel(order)
    d.clock.run()
    assert (order.status, order.filled, d.held()) == (Status.CANCELLED_PART, 4, 4)


def test_modify__new_price_and_quantity__fills_at_them() -> None:
    d = desk()
    order = d.place(price="180")
    d.clock.run()
    d.venue.modify(order, Decimal(12), Decimal("195"))
    d.clock.run()
    assert (order.status, order.filled) == (Status.FILLED_ALL, 12)


def test_modify__below_what_is_filled__refused() -> None:
    d = desk()
    d.venue.faults.arm("partial_fill", quantity=4)
    order = d.place()
    d.clock.run()
    with pytest.raises(Rejected, match="already filled 4"):
        d.venue.modify(order, Decimal(4), Decimal("191"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantity": "1.5"}, "whole number"),
        ({"quantity": "0"}, "between 1 and"),
        ({"quantity": "NaN"}, "whole number"),
        ({"quantity": "Infinity"}, "whole number"),
        ({"quantity": "500001"}, "between 1 and"),
        ({"price": "190.001"}, "tick"),
        ({"price": "NaN"}, "out of range"),
        ({"price": "-1"}, "out of range"),
        ({"order_type": 10}, "limit and market"),
        ({"time_in_force": 1}, "DAY only"),
        ({"outside_rth": True}, "regular trading hours"),
        ({"session": 3}, "regular trading hours"),
        ({"side": 3}, "BUY or SELL"),
        ({"remark": "é" * 33}, "64 bytes"),
        ({"quantity": "11000"}, "buying power"),
    ],
)
def test_place__against_paper_rules__refused_and_nothing_booked(
    change: dict[str, object], sentence: str
) -> None:
    d = desk()
    with pytest.raises(Rejected, match=sentence):
        d.place(**change)  # type: ignore[arg-type]
    assert d.venue.book.orders == {}


def test_place__cash_account__working_buys_count() -> None:
    d = desk(leverage=1, cash=Decimal(2000))
    d.place(price="180")
    with pytest.raises(Rejected, match="buying power"):
        d.place(quantity="2", price="180")
    d.place(quantity="1", price="180")


def test_place__sells_beyond_what_is_free__refused() -> None:
    d = desk(positions={"AAPL": 10})
    d.place(Side.SELL, quantity="7", price="200")
    with pytest.raises(Rejected, match="3 shares of AAPL can be sold, not 4"):
        d.place(Side.SELL, quantity="4", price="200")
    d.place(Side.SELL, quantity="3", price="200")


def test_place__nothing_held__shorts_only_where_allowed() -> None:
    d = desk()
    d.place(Side.SELL, quantity="5", price="189")
    d.clock.run()
    assert d.held() == -5
    with pytest.raises(Rejected, match="no shares"):
        desk(shorting=False).place(Side.SELL, quantity="5", price="189")


def short(shares: int) -> Desk:
    d = desk()
    d.place(Side.SELL, quantity=str(shares), price="189")
    d.clock.run()
    assert d.held() == -shares
    return d


def test_place__buy_while_short__closes_and_never_goes_long() -> None:
    d = short(5)
    with pytest.raises(Rejected, match="5 short shares of AAPL can be bought back, not 6"):
        d.place(quantity="6")
    d.place(quantity="5")
    d.clock.run()
    assert d.held() == 0


def test_place__buys_while_short__count_those_that_work() -> None:
    d = short(5)
    working = d.place(quantity="3", price="180")
    with pytest.raises(Rejected, match="2 short shares of AAPL can be bought back, not 3"):
        d.place(quantity="3", price="180")
    with pytest.raises(Rejected, match="5 short shares"):
        d.venue.modify(working, Decimal(6), Decimal(180))
    d.place(quantity="2", price="180")


def test_place__buy_while_short__cannot_buy_more_than_the_money_is_good_for() -> None:
    d = short(1)
    with pytest.raises(Rejected, match="bought back"):
        d.place(quantity="500000")
    assert len(d.venue.book.orders) == 1


def test_closed_market__orders_queue__and_go_on_at_the_open() -> None:
    d = desk(session="closed")
    order = d.place()
    d.clock.run()
    assert d.status(order) is Status.WAITING_SUBMIT
    d.venue.set_session("open")
    d.clock.run()
    assert d.status(order) is Status.FILLED_ALL


def test_halt__no_fill_until_lifted() -> None:
    d = desk()
    d.venue.set_halt("AAPL", True)
    order = d.place()
    d.clock.run()
    assert d.status(order) is Status.SUBMITTED
    d.venue.set_halt("AAPL", False)
    d.clock.run()
    assert d.status(order) is Status.FILLED_ALL


def test_roll_day__live_orders_expire_and_leave_the_list_for_history() -> None:
    d = desk()
    done, live = d.place(), d.place(price="180")
    d.clock.run()
    assert d.venue.roll_day() == 1
    assert (live.status, live.error != "") == (Status.CANCELLED_ALL, True)
    assert d.venue.day_list(ACCOUNT) == []
    assert d.venue.history(ACCOUNT) == [done, live]


def test_roll_day__queued_order__waits_for_the_next_open() -> None:
    d = desk(session="closed")
    order = d.place()
    assert d.venue.roll_day() == 0
    assert d.venue.day_list(ACCOUNT) == [order]


def test_list_scope_open__ended_orders_are_only_in_history() -> None:
    d = desk(list_scope="open")
    done, live = d.place(), d.place(price="180")
    d.clock.run()
    assert (d.venue.day_list(ACCOUNT), d.venue.history(ACCOUNT)) == ([live], [done])


def test_calendar__close_expires_and_next_morning_opens_the_queue() -> None:
    d = desk(session="calendar")
    live = d.place(price="180")
    d.clock.run()
    d.clock.now += 6 * 3600  # 17:00
    d.venue.watch_clock()
    assert live.status is Status.CANCELLED_ALL
    queued = d.place()
    assert d.status(queued) is Status.WAITING_SUBMIT
    d.clock.now += 16.6 * 3600  # 09:36 the next morning
    d.venue.watch_clock()
    d.clock.run()
    assert d.status(queued) is Status.FILLED_ALL
    assert d.venue.day_list(ACCOUNT) == [queued]


def test_late_fill__cancelled_order__moves_money_after_all() -> None:
    d = desk()
    order = d.place(price="180")
    d.clock.run()
    d.venue.cancel(order)
    d.clock.run()
    d.venue.matcher.late_fill(order, None)
    assert (order.status, d.held(), d.cash) == (Status.FILLED_ALL, 10, MILLION - 1800)


def test_over_fill__more_than_asked__booked_in_full() -> None:
    d = desk()
    order = d.place(price="180")
    d.clock.run()
    d.venue.matcher.over_fill(order, 2)
    assert (order.filled, d.held(), order.left) == (12, 12, 0)


def test_fill_cancelled__money_and_shares_go_back_exactly() -> None:
    d = desk(partial_rate=0.9)
    order = d.place(quantity="37")
    d.clock.run()
    d.venue.matcher.reverse_fills(order)
    assert (order.status, order.filled, order.value) == (Status.FILL_CANCELLED, 0, Decimal(0))
    assert (d.cash, d.held()) == (MILLION, 0)
    assert sum(fill.quantity for fill in d.venue.book.fills) == 0


def test_fill_cancelled__keep_dealt__shows_a_fill_that_is_gone(tmp_path: Path) -> None:
    d = desk(state=tmp_path / "state.db")
    order = d.place()
    d.clock.run()
    d.venue.matcher.reverse_fills(order, keep_dealt=True)
    assert (order.filled, order.shown_filled, d.held()) == (0, 10, 0)
    d.venue.close()
    assert desk(state=tmp_path / "state.db").venue.book.orders[order.id] == order


def test_state_file__reopened__orders_money_and_numbering_go_on(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    first = desk(state=file)
    filled, working = first.place(), first.place(price="180")
    first.clock.run()
    first.venue.close()
    again = desk(state=file, cash=Decimal(5))
    assert list(again.venue.book.orders) == [filled.id, working.id]
    assert again.venue.book.orders[filled.id] == filled
    assert (again.cash, again.held()) == (first.cash, 10)
    again.venue.matcher.resume()
    again.venue.set_price("AAPL", Decimal("179"))
    again.clock.run()
    assert again.venue.book.orders[working.id].status is Status.FILLED_ALL
    assert again.place().id == working.id + 1


def test_state_file__in_use__second_simulator_refused(tmp_path: Path) -> None:
    desk(state=tmp_path / "state.db")
    with pytest.raises(OpenDError, match=r"state\.db cannot be used"):
        desk(state=tmp_path / "state.db")


def test_state_file__database_of_another_kind__refused_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE orders (id INTEGER)")
    before = file.read_bytes()
    with pytest.raises(OpenDError, match="another kind"):
        desk(state=file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "sentence"), [("text.db", "no state file"), ("no/such.db", "no does not exist")]
)
def test_state_file__that_cannot_be_one__said_in_a_sentence(
    tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "text.db").write_text(
        "this is no database, and longer than a header of one is\n" * 9
    )
    with pytest.raises(OpenDError, match=sentence):
        desk(state=tmp_path / name)


def test_state_file__symbol_no_longer_listed__start_refused(tmp_path: Path) -> None:
    first = desk(state=tmp_path / "state.db")
    first.place()
    first.venue.close()
    with pytest.raises(OpenDError, match="AAPL: start with a --price"):
        desk(state=tmp_path / "state.db", prices={"MSFT": Decimal(400)})


def test_split__positions_prices_and_working_orders__are_of_new_shares(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    d = desk(state=file, positions={"AAPL": 10})
    worth = d.held() * d.venue.market.stock("AAPL").last
    working, done = d.place(price="180"), d.place()
    d.clock.run()
    fills, cash = list(d.venue.book.fills), d.cash
    assert d.venue.split("AAPL", 4, 1) == 1
    d.clock.run()
    assert (d.status(working), d.status(done)) == (Status.CANCELLED_ALL, Status.FILLED_ALL)
    assert (d.held(), d.cash) == (80, cash)
    assert d.held() * d.venue.market.stock("AAPL").last == 2 * worth
    assert d.venue.book.fills == fills
    d.venue.close()
    assert desk(state=file).held() == 80


def test_split__reverse__leaves_no_part_of_a_share() -> None:
    d = desk(positions={"AAPL": 25, "MSFT": 7})
    d.venue.split("AAPL", 1, 10)
    assert (d.held(), d.held("MSFT")) == (2, 7)
    assert d.venue.market.stock("AAPL").last == Decimal(1900)


def test_split__of_nothing__is_refused() -> None:
    with pytest.raises(Rejected, match="split of 0 for 1"):
        desk().venue.split("AAPL", 0, 1)
