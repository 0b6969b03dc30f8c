"""The doctor at a running desk: the right cause, and verbs that do what they say or refuse."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bronco.doctor import Doctor
from clients.flags import Flags
from models.diagnosis import diagnose
from models.errors import InvalidInput
from models.facts import Cause, Verb
from models.order import OrderStatus, Reason, Stage
from models.requests import settlement_workflow_id
from tests.e2e.desk import Desk
from tests.e2e.seeding import Seed
from tests.waiting import eventually
from workers.clients import agreeing_vault


@pytest_asyncio.fixture
async def doctor(embedded_desk: Desk) -> AsyncIterator[Doctor]:
    desk = embedded_desk
    settings = desk.stack.settings
    flags = Flags(settings.redis.url.get_secret_value())
    vault = agreeing_vault(settings.chain, [desk.rpc])
    settlement = settlement_workflow_id(settings.chain.id, settings.signer.address or "")
    yield Doctor(desk.store, desk.client, flags, vault, settlement)
    await flags.close()
    await desk.calm()
    await desk.prove()


async def test_doctor__held_by_a_person__says_so_and_refunds_on_demand(
    embedded_desk: Desk, doctor: Doctor
) -> None:
    desk = embedded_desk
    before = await desk.alice.balance(desk.alice.usdt)
    await desk.play.pause("lunch")
    made = await desk.deposit()
    row = await desk.at(made, Stage.HELD)
    for key in (str(row.internal_id), made.request_id, row.workflow_id):
        found = diagnose(await doctor.facts(key))
        assert found.cause == Cause.HELD
        assert "lunch" in found.words
    assert found.may == tuple(Verb)
    facts = await doctor.facts(made.request_id)
    with pytest.raises(InvalidInput, match="say why"):
        await doctor.act(facts, Verb.REFUND, "ann", " ")
    await doctor.act(facts, Verb.REFUND, "ann", "asked on the phone")
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.OPERATOR
    assert await desk.alice.balance(desk.alice.usdt) == before
    entries = await desk.store.audit.of_request(made.request_id)
    told = [(one.action, one.actor) for one in entries if "operator" in one.action]
    assert told == [("order.operator_refund", "ann")]
    again = await doctor.facts(made.request_id)
    assert diagnose(again).cause == Cause.ENDED
    with pytest.raises(InvalidInput, match="not open"):
        await doctor.act(again, Verb.REFUND, "ann", "twice")
    await desk.play.resume()


async def test_doctor__workflow_gone__is_listed_and_resumed(
    embedded_desk: Desk, doctor: Doctor
) -> None:
    desk, seed = embedded_desk, Seed(embedded_desk)
    await desk.play.pause("lunch")
    made = await desk.deposit()
    await desk.at(made, Stage.HELD)
    await seed.terminate(made)
    facts = await doctor.facts(made.request_id)
    assert diagnose(facts).cause == Cause.NO_WORKFLOW
    assert facts.why_not(Verb.REFUND) == "no workflow runs that could do it: resume it first"
    await doctor.act(facts, Verb.RESUME, "ann", "it was terminated")
    await eventually(lambda: seed.runs(made))
    await desk.play.resume()
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


async def test_doctor__outcome_unknown__is_explained_and_never_refunded(
    embedded_desk: Desk, doctor: Doctor
) -> None:
    desk = embedded_desk
    await desk.control.fault("silence")
    made = await desk.deposit()
    await desk.at(made, Stage.UNKNOWN)
    facts = await doctor.facts(made.request_id)
    found = diagnose(facts)
    assert found.cause == Cause.UNKNOWN_OUTCOME
    assert found.by_when is not None
    with pytest.raises(InvalidInput, match="unknown"):
        await doctor.act(facts, Verb.REFUND, "ann", "in a hurry")
    await desk.end(made, OrderStatus.FAILED)
