from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from simulators.opend.accounts import Account, Position
from simulators.opend.orders import Env, Market

CENTS = st.integers(min_value=1, max_value=1_000_000).map(lambda cents: Decimal(cents) / 100)
TRADES = st.lists(st.tuples(st.integers(-500, 500).filter(bool), CENTS), max_size=40)


def account(cash: str = "1000000") -> Account:
    return Account(1002, Env.SIMULATE, (Market.US,), Decimal(cash))


@given(TRADES)
def test_apply_fill__any_trades__cash_and_shares_add_up_exactly(
    trades: list[tuple[int, Decimal]],
) -> None:
    book = account()
    for shares, price in trades:
        book.apply_fill("AAPL", shares, price)
    spent = sum((shares * Fraction(price) for shares, price in trades), Fraction(0))
    assert Fraction(book.cash) == 1_000_000 - spent
    assert book.held("AAPL") == sum(shares for shares, _ in trades)


def test_position__bought_twice_and_partly_sold__average_cost_stays() -> None:
    position = Position()
    position.apply(10, Decimal(100))
    position.apply(30, Decimal(120))
    assert position.average == Decimal(115)
    position.apply(-15, Decimal(300))
    assert (position.quantity, position.average) == (25, Decimal(115))


def test_position__sold_through_zero__short_at_the_new_price() -> None:
    position = Position()
    position.apply(10, Decimal(100))
    position.apply(-25, Decimal(90))
    assert (position.quantity, position.average) == (-15, Decimal(90))


def test_apply_fill__sold_out__position_gone() -> None:
    book = account()
    book.apply_fill("AAPL", 3, Decimal("10.01"))
    book.apply_fill("AAPL", -3, Decimal("10.02"))
    assert book.positions == {}
    assert book.cash == Decimal("1000000.03")


def test_to_json__restored__same_money() -> None:
    book, other = account(), account("5")
    book.apply_fill("AAPL", 7, Decimal("190.06"))
    other.restore(book.to_json())
    assert (other.cash, other.positions) == (book.cash, book.positions)
