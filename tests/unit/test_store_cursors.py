"""Cursors carry a row and nothing that a caller could bend."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.store.cursors import decode_cursor, encode_cursor
from models.drafts import OrderFilter
from models.errors import InvalidInput
from models.requests import Side

FILTERS = st.builds(OrderFilter, side=st.sampled_from([None, *Side]), user=st.text(max_size=5))


@given(internal_id=st.integers(0, 2**63 - 1), chosen=FILTERS)
def test_cursor__any_row_and_filter__comes_back(internal_id: int, chosen: OrderFilter) -> None:
    assert decode_cursor(encode_cursor(internal_id, chosen), chosen) == internal_id


@given(text=st.text(max_size=40))
def test_cursor__any_text__is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="cursor="):
        decode_cursor(text, OrderFilter())


def test_cursor__row_beyond_the_column__is_named() -> None:
    raw = base64.urlsafe_b64decode(encode_cursor(1, OrderFilter()) + "==")
    forged = base64.urlsafe_b64encode(b"\xff" * 8 + raw[8:]).decode()

    with pytest.raises(InvalidInput, match="cursor="):
        decode_cursor(forged, OrderFilter())
