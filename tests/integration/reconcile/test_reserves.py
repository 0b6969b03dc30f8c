"""What a statement of the reserves says, against the chain, the broker and the store themselves."""

from models.reserves import Cover, Reserves
from tests.integration.reconcile.office import Office
from tests.integration.reconcile.test_reconcile import executed, placed, refunded
from tests.integration.vault.desk import SHARE


async def told(office: Office) -> Reserves:
    await office.run()
    made = office.report.statement
    assert made is not None
    assert await office.store.reserves.latest() == made
    return made


async def test_reserves__at_rest__are_what_chain_and_broker_say(office: Office) -> None:
    await executed(office, await placed(office, 1))
    office.broker.shares = 1
    made = await told(office)
    head = await office.rig.desk.head()
    books = await office.rig.vault.books(head)
    assert made.block == head
    assert (made.usdt.vault_units, made.usdt.decimals) == (books.balance, 6)
    assert made.usdt.liabilities_units == books.escrow + books.claimable + books.owed
    assert made.usdt.surplus_units == books.free - books.owed
    assert (made.float.usd_cents, made.float.working_cents) == (123_456, 1)
    (shares,) = made.shares
    assert (shares.held, shares.issued_units) == (1, await office.rig.desk.supply())
    assert (shares.cover, shares.gap_units, shares.held_units) == (Cover.COVERED, 0, SHARE)
    assert made.problems == ()


async def test_reserves__bought_and_not_minted__is_named_and_covered(office: Office) -> None:
    await placed(office, 1)
    office.broker.shares = 1
    made = await told(office)
    (shares,) = made.shares
    assert (shares.bought_units, shares.issued_units) == (SHARE, 0)
    assert (shares.cover, shares.gap_units) == (Cover.COVERED, 0)
    assert (made.in_flight.requests, made.in_flight.orders) == (1, 0)


async def test_reserves__a_share_too_few_or_too_many__is_said(office: Office) -> None:
    await executed(office, await placed(office, 1))
    for held, cover in ((0, Cover.SHORT), (2, Cover.SURPLUS)):
        office.broker.shares = held
        (shares,) = (await told(office)).shares
        assert (shares.cover, shares.gap_units) == (cover, (held - 1) * SHARE)


async def test_reserves__the_broker_is_silent__is_unknown_and_said(office: Office) -> None:
    office.broker.shares = None
    made = await told(office)
    assert (made.shares[0].held, made.shares[0].cover) == (None, Cover.UNKNOWN)
    assert made.float.usd_cents is None
    assert len(made.problems) == 2


async def test_forecast__open_redeems_beyond_what_is_free__alarms_until_they_end(
    office: Office,
) -> None:
    desk = office.rig.desk
    await desk.holder(desk.alice, 2)
    office.broker.shares = 2
    await desk.empty_the_vault()
    request = await desk.redeem(desk.alice, 2 * SHARE)
    await office.admitted(request)
    await office.started(request)
    price = await office.rig.vault.reference_price(desk.share, await desk.head())
    need = (await told(office)).forecast[0]
    assert (need.open_units, need.have_units, need.short_units) == (2 * price, 0, 2 * price)
    await office.run()
    assert "RESERVE_SHORT" in office.report.kinds
    await refunded(office, request)
    await office.run()
    assert "RESERVE_SHORT" not in office.report.standing
