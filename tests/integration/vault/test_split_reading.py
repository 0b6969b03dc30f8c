"""Shares per token as the listed feed has them, at a block; a feed that cannot say is refused."""

import pytest

from clients.abi import load_contract
from clients.agreeing import AgreeingVault
from clients.rpc import Reader
from clients.splits import SplitReader
from clients.vault import VaultClient
from models.errors import ConfigurationError, SourceUnavailable
from models.splits import NextSplit, SharesPerToken
from tests.integration.vault.desk import Desk

FEED = load_contract("DevFeed")
FOUR = SharesPerToken(numerator=4, epoch=1)


def agreeing(desk: Desk) -> Reader:
    """As Bronco reads on a dev chain."""
    reader = VaultClient(desk.rpc, chain_id=31337, address=desk.address)
    return AgreeingVault(reader, allow_single=True).rpc


async def test_state__before_at_and_after_a_split__says_where_it_stands(desk: Desk) -> None:
    splits = SplitReader(agreeing(desk))
    born = await desk.vault.head()
    state = await splits.state(desk.reference, born)
    assert (state.ratio, state.upcoming) == (SharesPerToken(), None)
    at = await desk.split(4, 1)
    state = await splits.state(desk.reference, await desk.vault.head(), margin_seconds=60)
    assert (state.ratio, state.upcoming) == (SharesPerToken(), NextSplit(4, 1, at))
    await desk.warp_to(at)
    head = await desk.vault.head()
    state = await splits.state(desk.reference, head, margin_seconds=60)
    assert (state.ratio, state.upcoming) == (FOUR, None)
    assert (state.priced_epoch, state.settled_epoch) == (0, 0)
    assert await splits.ratio(desk.reference, born) == SharesPerToken()
    assert await splits.ratio_then(desk.reference, at - 1, head) == SharesPerToken()
    await desk.warp_to(at + 61)
    await desk.admin.send(FEED, desk.feed, "setAnswer", 4_750_000_000)
    state = await splits.state(desk.reference, await desk.vault.head(), margin_seconds=60)
    assert (state.priced_epoch, state.settled_epoch) == (1, 1)


async def test_reference__across_a_split__is_the_same_price_per_token(desk: Desk) -> None:
    """Old answer at the old ratio, new answer at the new one: nothing jumps."""
    before = await desk.vault.reference_price(desk.share, await desk.vault.head())
    await desk.warp_to(await desk.split(4, 1))
    assert await desk.vault.reference_price(desk.share, await desk.vault.head()) == before
    await desk.admin.send(FEED, desk.feed, "setAnswer", 4_750_000_000)
    assert await desk.vault.reference_price(desk.share, await desk.vault.head()) == before


async def test_state__of_what_is_no_share_reference__is_no_answer(desk: Desk) -> None:
    splits, head = SplitReader(agreeing(desk)), await desk.vault.head()
    for address in (desk.usdt, desk.feed, desk.alice.address):
        with pytest.raises(SourceUnavailable):
            await splits.state(address, head)


async def test_notice__shorter_than_the_margin__is_refused_by_the_settings_name(desk: Desk) -> None:
    """A dev chain takes splits at once."""
    splits, head = SplitReader(agreeing(desk)), await desk.vault.head()
    await splits.check_notice(desk.reference, head, 0)
    with pytest.raises(ConfigurationError, match=r"SPLIT_MARGIN_SECONDS.*0 s notice"):
        await splits.check_notice(desk.reference, head, 1)
