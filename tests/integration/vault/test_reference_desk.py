"""The second reference key's commands, against the contract that decides."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from bronco.devchain import ADMIN, FIRST_USER, SETTLER, dev_key
from bronco.referencing import DECLARING, ReferenceDesk
from clients.agreeing import AgreeingVault
from clients.carrier import CallReverted, Carrier
from clients.keys import account_of
from clients.vault import VAULT
from models.assets import Asset
from models.errors import InvalidInput
from models.splits import NextSplit
from tests.integration.vault.desk import FEED, Desk
from tests.keystores import write_keystore
from tests.shell import Inline

DAY = 86_400
CENT = 10**6
"""In the feed's eight decimals."""


async def at_desk(desk: Desk) -> ReferenceDesk:
    asset = Asset(symbol="AAPL", token=desk.share, feed=desk.reference)
    return await ReferenceDesk.of(AgreeingVault(desk.vault, desk.vault, allow_single=True), asset)


def carrier(desk: Desk, key: int = ADMIN) -> Carrier:
    return Carrier(
        desk.rpc,
        account_of(dev_key(key)),
        chain_id=desk.chain.chain_id,
        vault=desk.address,
        declaring=DECLARING,
    )


async def later(desk: Desk, seconds: int) -> None:
    await desk.rpc.call("evm_mine")
    await desk.warp_to((await desk.head()).timestamp + seconds)


async def silent(desk: Desk) -> None:
    """The feed gives no price at all any more."""
    await desk.admin.send(FEED, desk.feed, "setRound", 0, 0)


@pytest.mark.parametrize("ratio", [(1, 1), (3, 2), (1, 7)])
async def test_post__at_the_bounds_it_names__is_where_the_contract_draws_them(
    desk: Desk, ratio: tuple[int, int]
) -> None:
    if ratio != (1, 1):
        await desk.warp_to(await desk.split(*ratio) + 1)
        await desk.admin.send(FEED, desk.feed, "setAnswer", 12_345_678_901)
    await later(desk, DAY + 1)
    office = await at_desk(desk)
    found = await office.read()
    assert not found.live
    low, high = found.per_share_bounds
    for price in (low, high):
        found.check(price)
        await office.post(price, carrier(desk))
    for price in (low - 1, high + 1):
        with pytest.raises(InvalidInput, match="allowed are 3000"):
            found.check(price)
        with pytest.raises(CallReverted) as refused:
            await office.post(price, carrier(desk))
        assert refused.value.error == "MoveTooLarge"


async def test_reference__read__tells_feed_posted_and_split(desk: Desk) -> None:
    at = await desk.split(4, 1, seconds=2 * DAY)
    fresh = await (await at_desk(desk)).read()
    assert (fresh.feed_price, fresh.live, fresh.stands_in) == (19_000 * CENT, True, False)
    assert (fresh.answer, fresh.upcoming) == (19_000 * CENT, NextSplit(4, 1, at))
    await (await at_desk(desk)).post(20_000 * CENT, carrier(desk))
    waits = await (await at_desk(desk)).read()
    assert (waits.posted, waits.stands_in) == (20_000 * CENT, False)
    await later(desk, DAY + 1)
    await (await at_desk(desk)).post(20_000 * CENT, carrier(desk))
    counts = await (await at_desk(desk)).read()
    assert (counts.live, counts.stands_in, counts.answer) == (False, True, 20_000 * CENT)
    assert await desk.vault.reference_price(desk.share, await desk.head()) == 200 * 10**6


async def test_note__then_the_feed_dies__is_what_posts_are_held_against(desk: Desk) -> None:
    office = await at_desk(desk)
    assert (await office.read()).last_good == 0
    await office.note(carrier(desk, FIRST_USER))
    await silent(desk)
    dead = await at_desk(desk)
    found = await dead.read()
    assert (found.feed_price, found.last_good, found.anchor) == (0, 19_000 * CENT, 19_000 * CENT)
    assert found.answer == 0
    found.check(found.per_share_bounds[1])
    with pytest.raises(InvalidInput, match="only a live one"):
        await dead.note(carrier(desk))
    await desk.warp_to(found.last_good_at + found.noted_for + 1)
    old = await (await at_desk(desk)).read()
    assert (old.last_good, old.anchor) == (19_000 * CENT, 0)
    with pytest.raises(InvalidInput, match="none was noted lately"):
        old.check(19_000 * CENT)


async def test_post__nothing_to_hold_it_to__is_refused_before_sending(desk: Desk) -> None:
    await silent(desk)
    with pytest.raises(InvalidInput, match="none was noted"):
        (await (await at_desk(desk)).read()).check(19_000 * CENT)


@pytest.mark.parametrize(("key", "may"), [(ADMIN, True), (FIRST_USER, False), (SETTLER, False)])
async def test_post__by_key__is_for_who_has_the_role(desk: Desk, key: int, may: bool) -> None:
    role = keccak(text="REFERENCE_ROLE")
    await desk.admin.send(VAULT, desk.address, "grantRole", role, desk.settler.address)
    office = await at_desk(desk)
    with nullcontext() if may else pytest.raises(InvalidInput, match="REFERENCE_ROLE"):
        await office.must_be_allowed(desk.wallet(key).address)


async def test_commands__post_too_far_then_within__say_the_numbers(
    desk: Desk, tmp_path: Path
) -> None:
    await later(desk, DAY + 1)
    environment = desk.chain.variables() | {"BRONCO_CHAIN_RPC_URLS": desk.rpc.url}
    bronco = Inline(tmp_path, environment)
    keys = (*write_keystore(tmp_path, ADMIN), "--yes")

    far = await bronco("reference", "post", "AAPL", "247.01", *keys)
    assert far.code == 1
    assert "3001 bps from 190; allowed are 3000: from 133 to 247 a share" in far.error
    near = await bronco("reference", "post", "AAPL", "200.5", *keys)
    assert near.code == 0, near.error
    assert "posted 200.5 a share of AAPL" in near.out
    told = await bronco("reference", "show", "AAPL", "--json")
    assert (told.json["posted"], told.json["answer"], told.json["stands_in"]) == (
        "200.5",
        "200.5",
        True,
    )
