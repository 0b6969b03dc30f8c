"""Webhooks on a real receiver: signed, at least once, in an order's order, and never inwards."""

import contextlib
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from standardwebhooks import WebhookVerificationError

from api.app import create_app
from bronco.processes import ManagedProcess, Program
from bronco.sections import WebhookSettings
from bronco.settings import Settings
from clients.outside import Outside
from clients.webhooks import Secrets, WebhookSender
from models.errors import InvalidInput
from models.order import Order, Stage
from models.webhooks import DeliveryState
from tests.integration.control.keys import client_of
from tests.integration.control.rig import API_KEY, ControlRig
from tests.receiver import Receiver, receiving
from tests.waiting import eventually
from workers.webhooks import Teller, forget

KEY = {"X-API-Key": API_KEY}
LOOPBACK = ("127.0.0.0/8",)


class Shop:
    """Webhooks on the rig: the API, one who is told, and the loop, a look at a time."""

    def __init__(
        self, rig: ControlRig, http: httpx.AsyncClient, receiver: Receiver, teller: Teller
    ) -> None:
        self.rig, self.http, self.receiver, self.teller = rig, http, receiver, teller
        self.id = self.secret = ""

    async def open(self) -> None:
        made = await self.post("", json={"url": self.receiver.url, "description": "the shop"})
        assert made.status_code == 201, made.text
        assert made.headers["cache-control"] == "no-store"
        self.id, self.secret = made.json()["endpoint_id"], made.json()["secret"]

    async def post(self, verb: str, **asked: Any) -> httpx.Response:
        path = f"/webhooks/{self.id}/{verb}" if verb else "/webhooks"
        return await self.http.post(path, headers=KEY, **asked)

    async def log(self) -> list[dict[str, Any]]:
        answer = await self.http.get(f"/webhooks/{self.id}/deliveries", headers=KEY)
        found: list[dict[str, Any]] = answer.json()["deliveries"]
        return found

    async def look(self) -> None:
        await self.teller.look()
        await self.teller.settle()

    async def look_until(self, count: int) -> None:
        """Look until so many posts came."""

        async def came() -> bool:
            await self.look()
            return len(self.receiver.told) >= count

        await eventually(came)

    async def move(self, order: Order, step: int, stage: Stage) -> None:
        key = (order.chain_id, order.vault, order.request_id)
        changes = {"stage": stage}
        await self.rig.store.orders.update(
            *key, order.version + step, changes, now=datetime.now(UTC)
        )


@pytest.fixture
def webhook_settings(tmp_path: Path) -> WebhookSettings:
    key_file = tmp_path / "webhook.key"
    key_file.write_text(secrets.token_urlsafe(32))
    key_file.chmod(0o600)
    return WebhookSettings(
        key_file=key_file,
        allow_http=True,
        allow_networks=LOOPBACK,
        timeout_seconds=1.0,
        retry_seconds=0.05,
    )


@pytest_asyncio.fixture
async def shop(idle_rig: ControlRig, webhook_settings: WebhookSettings) -> AsyncIterator[Shop]:
    settings = idle_rig.settings.model_copy(update={"webhook": webhook_settings})
    app = create_app(settings, idle_rig.client, idle_rig.store, idle_rig.flags)
    keys = Secrets.of_file(webhook_settings.key_file or Path())
    sender = WebhookSender(keys, Outside(LOOPBACK, plain=True), 1.0)
    teller = Teller(idle_rig.store, sender, webhook_settings)
    async with client_of(app) as http, receiving() as receiver:
        opened = Shop(idle_rig, http, receiver, teller)
        await opened.open()
        yield opened
        await teller.settle()
        await idle_rig.store.webhooks.delete(opened.id, "test", "", datetime.now(UTC))
    await sender.close()


async def test_change__of_an_order__is_told_signed_as_the_list_shows_it(shop: Shop) -> None:
    order = await shop.rig.order()
    await shop.look_until(2)
    first, second = shop.receiver.told
    first.verify(shop.secret)
    assert [first.data["stage"], second.data["stage"]] == ["CONFIRMING", "HELD"]
    shown = (await shop.http.get(f"/orders/{order.internal_id}", headers=KEY)).json()
    assert second.data == {name: shown[name] for name in second.data}
    assert first.id != second.id
    with pytest.raises(WebhookVerificationError):
        first._replace(body=first.body.replace("CONFIRMING", "SETTLED")).verify(shop.secret)
    with pytest.raises(WebhookVerificationError):
        first.verify("whsec_" + "A" * 44)


async def test_receiver__answers_500_and_comes_back__has_all_in_order_under_the_same_ids(
    shop: Shop,
) -> None:
    shop.receiver.status = 500
    order = await shop.rig.order()
    await shop.move(order, 1, Stage.PLACED)
    await shop.look_until(3)
    assert len(set(shop.receiver.ids)) == 1
    shown = (await shop.log())[-1]
    assert (shown["state"], shown["last_status"]) == ("PENDING", 500)
    assert shown["last_error"] == "it answered 500 as told"

    shop.receiver.status = 204
    failed = len(shop.receiver.told)
    await shop.look_until(failed + 3)
    stages = [each.data["stage"] for each in shop.receiver.told[failed:]]
    assert stages == ["CONFIRMING", "HELD", "PLACED"]
    assert shop.receiver.ids[failed] == shop.receiver.ids[0]
    assert {each["state"] for each in await shop.log()} == {"DELIVERED"}


async def test_receiver__does_not_answer_in_time__is_told_again_and_nobody_else_waits(
    shop: Shop,
) -> None:
    async with receiving() as other:
        body = {"url": other.url}
        quick = (await shop.http.post("/webhooks", headers=KEY, json=body)).json()
        shop.receiver.slow = 3.0
        await shop.rig.order()
        await shop.teller.look()
        await eventually(lambda: len(other.told) == 1 and len(shop.receiver.told) == 1)
        await shop.teller.settle()
        shop.receiver.slow = 0.0
        assert (await shop.log())[-1]["last_error"] == "no answer within 1 s"
        await shop.look_until(3)
        assert shop.receiver.ids[0] == shop.receiver.ids[1]
        await shop.rig.store.webhooks.delete(quick["endpoint_id"], "t", "", datetime.now(UTC))


async def test_receiver__is_nowhere__is_said_and_raises_nothing(shop: Shop) -> None:
    row = await shop.rig.store.webhooks.get(shop.id)
    await shop.rig.order()
    sent = await shop.teller._sender.send(
        row.model_copy(update={"url": "http://127.0.0.1:1/"}),
        (await shop.rig.store.changes.after(row.cursor))[0],
    )
    assert (sent.status, sent.error.startswith("not reached")) == (0, True)


async def test_receiver__redirects_inwards__is_not_followed(shop: Shop) -> None:
    async with receiving() as inner:
        shop.receiver.status = 307
        shop.receiver.headers = {"Location": inner.url}
        await shop.rig.order()
        await shop.look()
        assert (await shop.log())[-1]["last_status"] == 307
        assert inner.told == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.1", "2130706433"])
async def test_endpoint__leads_inwards__is_refused_when_made_and_when_reached(
    shop: Shop, host: str, webhook_settings: WebhookSettings
) -> None:
    closed = WebhookSender(
        Secrets("k" * 40), Outside((), plain=True), webhook_settings.timeout_seconds
    )
    row = await shop.rig.store.webhooks.get(shop.id)
    await shop.rig.order()
    (change, *_) = await shop.rig.store.changes.after(row.cursor)
    url = f"http://{host}:{shop.receiver.port}/hook"
    sent = await closed.send(row.model_copy(update={"url": url}), change)
    await closed.close()
    assert (sent.status, shop.receiver.told) == (0, [])
    outside = Outside(())
    with pytest.raises(Exception, match="url"):
        await outside.check(f"https://{host}/hook")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
async def test_endpoint__no_name_at_all__is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        await Outside().check(f"https://{host}/hook")


async def test_secret__rotated__both_sign_and_the_new_one_is_shown_once(shop: Shop) -> None:
    again = await shop.post("rotate", json={"reason": "it leaked"})
    await shop.rig.order()
    await shop.look()
    (told,) = shop.receiver.told
    told.verify(shop.secret)
    told.verify(again.json()["secret"])
    assert again.json()["secret"] != shop.secret
    listed = (await shop.http.get("/webhooks", headers=KEY)).text
    assert "whsec_" not in listed
    entries = await shop.rig.store.audit.latest(20)
    assert not [each for each in entries if "whsec_" in each.data]


async def test_replay__since_before__sends_the_same_ids_and_bodies_again(shop: Shop) -> None:
    begun = datetime.now(UTC)
    await shop.rig.order()
    await shop.look_until(2)
    answer = await shop.post("replay", params={"since": begun.isoformat()})
    assert answer.status_code == 200
    await shop.look_until(4)
    first, second, *again = shop.receiver.told
    assert [(each.id, each.body) for each in again] == [
        (each.id, each.body) for each in (first, second)
    ]


async def test_endpoint__disabled_and_enabled__is_told_then_what_it_missed(shop: Shop) -> None:
    await shop.post("disable", json={"reason": "maintenance"})
    await shop.rig.order()
    await shop.look()
    assert shop.receiver.told == []
    assert (await shop.post("enable")).json()["active"] is True
    await shop.look_until(2)


async def test_webhooks__no_key_file__are_refused_with_the_setting(idle_rig: ControlRig) -> None:
    app = create_app(idle_rig.settings, idle_rig.client, idle_rig.store, idle_rig.flags)
    async with client_of(app) as http:
        answer = await http.post("/webhooks", headers=KEY, json={"url": "https://a.example/"})
    assert (answer.status_code, "BRONCO_WEBHOOK_KEY_FILE" in answer.text) == (409, True)


async def test_changes__older_than_they_are_kept__are_forgotten(
    shop: Shop, webhook_settings: WebhookSettings
) -> None:
    await shop.rig.order()
    await shop.look_until(2)
    short = webhook_settings.model_copy(update={"keep_seconds": 0.0, "give_up_seconds": -1.0})
    await forget(shop.rig.store, short)
    span = await shop.rig.store.changes.span()
    assert span.oldest == span.newest + 1
    assert await shop.log() == []


_LOOP = """
import asyncio, sys
from bronco.settings import Settings
from clients.store import Store
from workers.webhooks import keep_telling, keys_of
settings = Settings.load()
store = Store(settings.database.url.get_secret_value())
asyncio.run(keep_telling(store, settings.webhook, keys_of(settings.webhook)))
"""


@contextlib.asynccontextmanager
async def loop_process(settings: Settings, log: Path) -> AsyncIterator[ManagedProcess]:
    command = (sys.executable, "-c", _LOOP)
    program = Program("teller", command, log, env=settings.environment())
    process = ManagedProcess(program)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def test_process__killed_between_send_and_row__sends_it_again_under_the_same_id(
    shop: Shop, webhook_settings: WebhookSettings, tmp_path: Path
) -> None:
    settings = shop.rig.settings.model_copy(update={"webhook": webhook_settings})
    shop.receiver.slow = 0.8
    await shop.rig.order()
    async with loop_process(settings, tmp_path / "one.log") as process:
        await eventually(lambda: bool(shop.receiver.told), timeout=30)
        process.send(signal.SIGKILL)
        await process.wait()
    assert (await shop.log())[-1]["attempts"] == 0
    shop.receiver.slow = 0.0
    async with loop_process(settings, tmp_path / "two.log"):

        async def delivered() -> bool:
            log = await shop.log()
            return len(log) == 2 and all(
                each["state"] == DeliveryState.DELIVERED.value for each in log
            )

        await eventually(delivered, timeout=30)
    first, again, second = shop.receiver.told
    assert (first.id, first.body) == (again.id, again.body)
    assert second.data["stage"] == "HELD"
    again.verify(shop.secret)
