"""How deep a request must be for what it is worth."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.confirming import Confirming
from activities.finality import Finality
from models.confirmations import ConfirmationPolicy, Standing, value_of
from models.errors import SourceUnavailable
from models.requests import BlockRef, Side, VaultRequest
from tests.builders import SHARE, USDT, block, request_id_of, vault_request
from tests.unit.trading import FakeVault

TIERS = ConfirmationPolicy.parse("1000:2, 50000:12, *:final")
PRICE = 190 * USDT


class Chain(FakeVault):
    """A vault with a final block; what that one holds may be something else."""

    def __init__(self) -> None:
        super().__init__(at=block(40))
        self.final: BlockRef | None = block(20)
        self.finally_there: VaultRequest | None = vault_request()
        self.feed_down = False
        self.made_at = 0

    async def finalized(self) -> BlockRef:
        if self.final is None:
            raise SourceUnavailable("chain", "reading the final block", "no answer")
        return self.final

    async def deployed(self, at: BlockRef) -> bool:
        return True

    async def request(self, n: int, at: BlockRef) -> VaultRequest | None:
        if at.number < self.made_at:
            raise SourceUnavailable("chain", "reading request", "the answer does not decode")
        return self.finally_there if at == self.final else self.terms

    async def reference_price(self, token: str, at: BlockRef) -> int:
        if self.feed_down:
            raise SourceUnavailable("chain", "reading the feed", "no answer")
        return self.reference

    async def standing(self, terms: VaultRequest, policy: ConfirmationPolicy = TIERS) -> Standing:
        outside: Any = self
        return await Confirming(outside, policy, Finality(outside)).standing(terms, self.at)


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.mark.parametrize(
    ("value", "blocks"),
    [
        (0, 2),
        (1_000 * USDT, 2),
        (1_000 * USDT + 1, 12),
        (50_000 * USDT, 12),
        (50_000 * USDT + 1, None),
        (10**30, None),
        (None, None),
    ],
)
def test_tiers__at_their_edges__more_money_waits_longer(
    value: int | None, blocks: int | None
) -> None:
    assert TIERS.needed(value, 6) == blocks


@pytest.mark.parametrize(("decimals", "blocks"), [(6, 12), (18, 2)])
def test_tiers__units_of_the_token__are_not_assumed(decimals: int, blocks: int) -> None:
    assert TIERS.needed(1_001 * 10**6, decimals) == blocks


def test_tiers__one_number__is_for_every_amount() -> None:
    simple = ConfirmationPolicy.of_blocks(3)
    assert [simple.needed(value, 6) for value in (0, 10**30, None)] == [3, 3, 3]
    assert not simple.by_amount


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=2).map(sorted))
def test_tiers__any_two_amounts__the_larger_never_waits_less(values: list[int]) -> None:
    less, more = (TIERS.needed(value, 6) for value in values)
    assert more is None or (less is not None and less <= more)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" , ", "no tier is given"),
        ("12", "has no colon"),
        ("1000:2", "the last tier must be for the rest"),
        ("*:2,1000:3", "the last tier must be for the rest"),
        ("*:2,*:3", "must be the last tier"),
        ("1000:2,500:3,*:final", "500 comes after 1000"),
        ("1000:2,1000:3,*:final", "1000 comes after 1000"),
        ("1000:12,5000:2,*:final", "2 blocks come after 12"),
        ("1000:final,*:12", "12 blocks come after final"),
        ("-5:2,*:final", "'-5' is no amount"),
        ("0:2,*:final", "'0' is no amount"),
        ("1e3:2,*:final", "'1e3' is no amount"),
        ("1000:two,*:final", "'two' is no depth"),
        ("1000:-1,*:final", "'-1' is no depth"),
        ("1000:\u00b2,*:final", "is no depth"),
        ("*:99999", "up to 10000"),
    ],
)
def test_parse__not_tiers__says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        ConfirmationPolicy.parse(text)


@pytest.mark.parametrize(
    ("price", "limit", "value"),
    [
        (PRICE, 0, 2 * PRICE + 1),
        (PRICE, 200 * USDT, 400 * USDT + 1),
        (PRICE, 100 * USDT, 2 * PRICE + 1),
        (0, 200 * USDT, None),
    ],
)
def test_value__of_a_redeem__is_its_price_or_limit_rounded_up(
    price: int, limit: int, value: int | None
) -> None:
    terms = vault_request(side=Side.SELL, amount=2 * SHARE + 1, limit_price=limit)
    assert value_of(terms, price) == value


def test_value__of_a_deposit__is_what_it_brought() -> None:
    assert value_of(vault_request(amount=7), 0) == 7


@pytest.mark.parametrize(
    ("created", "missing", "words"),
    [
        (10, 0, "12 of 12 blocks on top of block 10"),
        (28, 0, "12 of 12 blocks on top of block 28"),
        (29, 1, "11 of 12 blocks on top of block 29"),
        (37, 9, "3 of 12 blocks on top of block 37"),
        (40, 12, "0 of 12 blocks on top of block 40"),
        (41, 12, "0 of 12 blocks on top of block 41"),
    ],
)
async def test_standing__in_blocks__counts_those_on_top(
    chain: Chain, created: int, missing: int, words: str
) -> None:
    terms = vault_request(amount=5_000 * USDT, created_block=created)
    assert await chain.standing(terms) == (missing, words)


async def test_standing__of_much_money__waits_until_the_final_chain_holds_it(chain: Chain) -> None:
    terms = vault_request(amount=50_001 * USDT, created_block=30)
    chain.finally_there = None
    words = "until block 30 is final; block 20 is the newest that is"
    assert await chain.standing(terms) == (10, words)
    chain.final, chain.finally_there = block(30), terms
    assert (await chain.standing(terms)).missing == 0


async def test_standing__vault_younger_than_the_final_block__waits(chain: Chain) -> None:
    terms = vault_request(amount=50_001 * USDT, created_block=30)
    chain.made_at = 25
    assert (await chain.standing(terms)).missing == 10


async def test_standing__final_chain_has_another_request_there__still_waits(chain: Chain) -> None:
    terms = vault_request(amount=50_001 * USDT, created_block=20)
    chain.finally_there = vault_request(request_id=request_id_of(1, 7))
    assert (await chain.standing(terms)).missing > 0


async def test_standing__nobody_knows_what_is_final__waits(chain: Chain) -> None:
    terms = vault_request(amount=50_001 * USDT)
    chain.final = None
    missing, words = await chain.standing(terms)
    assert missing > 0
    assert "no final block is known" in words


async def test_standing__redeem_that_nobody_can_value__waits_for_finality(chain: Chain) -> None:
    terms = vault_request(side=Side.SELL, amount=SHARE, created_block=30)
    chain.finally_there = None
    assert (await chain.standing(terms)).missing == 0
    chain.feed_down = True
    assert "is final" in (await chain.standing(terms)).words
    chain.feed_down, chain.reference = False, 0
    assert "is final" in (await chain.standing(terms)).words


async def test_standing__moved_to_a_later_block__begins_anew(chain: Chain) -> None:
    terms = vault_request(amount=5_000 * USDT, created_block=28)
    assert (await chain.standing(terms)).missing == 0
    moved = terms.model_copy(update={"created_block": 40})
    assert (await chain.standing(moved)).missing == 12
