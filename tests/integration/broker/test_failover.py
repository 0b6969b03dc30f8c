"""Several OpenDs of one account: which one is used, and nothing is sent twice or forgotten.

Two proxies stand before one simulator, as two OpenDs stand before one broker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clock import utc_now
from activities.resolving import ResolvingActivities
from bronco.metrics import BROKER_ENDPOINT_UP, BROKER_ENDPOINT_USED
from clients.broker import BrokerClient
from clients.flags import Flags
from clients.futu_lane import Lane
from clients.store import Store, upgrade
from models.errors import ConfigurationError, PlacementUnknown, SourceUnavailable
from models.messages import Resolution, ResolveInput, ResolveResult
from simulators.opend.control import SimulatorControl
from simulators.opend.server import OpenDServer
from tests.integration.broker.desk import (
    Desk,
    client_of,
    raises,
    real_settings,
    settings,
    silent_server,
    simulator,
    ticket,
)
from tests.integration.broker.office import Customer, Office
from tests.integration.broker.proxy import Proxy, proxies
from tests.services import embedded_redis
from tests.waiting import eventually

LOST_SECONDS = 0.8
SEND_SECONDS = 2.0
FENCE = timedelta(seconds=0.5)
PATIENCE = 40.0


def several(*ports: int, **changes: Any) -> Any:
    first, *others = ports
    return settings(
        first,
        **{
            "standby": tuple(f"127.0.0.1:{port}" for port in others),
            "failover_seconds": LOST_SECONDS,
            "connect_timeout_seconds": 1.0,
        }
        | changes,
    )


async def up(client: BrokerClient) -> None:
    await eventually(lambda: client.healthy, timeout=PATIENCE)


async def up_at(client: BrokerClient, proxy: Proxy) -> None:
    await eventually(lambda: client.healthy and client.endpoint == proxy.where, timeout=PATIENCE)


async def garbage_server() -> asyncio.Server:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
        await reader.read()
        writer.close()

    return await asyncio.start_server(babble, "127.0.0.1", 0)


@pytest.mark.parametrize("first", ["refuses", "silent", "garbage", "no such name"])
async def test_start__first_cannot_be_used__the_second_is(log_home: Path, first: str) -> None:
    servers = {"silent": silent_server, "garbage": garbage_server}
    wrong = await servers[first]() if first in servers else None
    port = int(wrong.sockets[0].getsockname()[1]) if wrong else 1
    host = "nowhere.invalid" if first == "no such name" else "127.0.0.1"
    async with simulator() as server:
        wanted = several(port, server.port, host=host)
        async with client_of(wanted, log_home) as client:
            await up(client)
            assert client.endpoint == f"127.0.0.1:{server.port}"
            order = ticket()
            await client.place(order, SEND_SECONDS)
            placed = await SimulatorControl(server.control_port).orders()
            assert [each.remark for each in placed] == [order.remark]
    if wrong:
        wrong.close()


async def test_lost__again_and_again__one_placing_link_at_a_time_and_orders_as_intended(
    log_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    async with simulator() as server, proxies(server.port, 2) as (one, two):
        with counting("place", monkeypatch) as most:
            async with client_of(several(one.port, two.port), log_home) as client:
                for here, other in ((one, two), (two, one)):
                    await up_at(client, here)
                    await eventually(partial(shown, here, other))
                    sent.append(ticket())
                    await client.place(sent[-1], SEND_SECONDS)
                    await here.kill()
                    await up_at(client, other)
                    await here.listen()
        orders = await SimulatorControl(server.control_port).orders()
    assert [order.remark for order in orders] == [each.remark for each in sent]
    assert most() == 1


def shown(here: Proxy, other: Proxy) -> bool:
    """Whether the metrics say that both are up and which one is used."""
    gauges = (BROKER_ENDPOINT_UP, BROKER_ENDPOINT_USED)
    found = [gauge.labels(proxy.where)._value.get() for gauge in gauges for proxy in (here, other)]
    return found == [1, 1, 1, 0]


@contextmanager
def counting(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """The most lanes of a name that ever were at once, from their opening to their last word."""
    lanes: list[Lane] = []
    most = 0
    opening = Lane.open

    async def counted(lane: Lane, seconds: float) -> None:
        nonlocal most
        if lane.name == name:
            lanes.append(lane)
            most = max(most, sum(not each.ended.is_set() for each in lanes))
        await opening(lane, seconds)

    monkeypatch.setattr(Lane, "open", counted)
    yield lambda: most


async def test_lost__nobody_else_answers__stays_down_and_takes_whichever_comes_back(
    log_home: Path,
) -> None:
    async with (
        simulator() as server,
        proxies(server.port, 2) as (one, two),
        client_of(several(one.port, two.port), log_home) as client,
    ):
        await up_at(client, one)
        await two.kill()
        await one.kill()
        await eventually(lambda: not client.healthy)
        await raises(SourceUnavailable, client.orders())
        await two.listen()
        await up_at(client, two)


async def test_lost__the_next_one_lacks_the_account__goes_on_to_the_one_that_has_it(
    log_home: Path,
) -> None:
    from simulators.opend.options import AccountOptions
    from simulators.opend.orders import Env, Market

    other = (AccountOptions(77, Env.SIMULATE, (Market.US,)),)
    async with (
        simulator() as server,
        simulator(accounts=other) as stranger,
        proxies(server.port, 2) as (one, three),
        client_of(several(one.port, stranger.port, three.port), log_home) as client,
    ):
        await up_at(client, one)
        await one.kill()
        await up_at(client, three)
        await client.place(ticket(), SEND_SECONDS)
        assert await SimulatorControl(stranger.control_port).orders() == []


async def test_real__wrong_password__is_not_tried_on_the_next_one(
    tmp_path: Path, log_home: Path
) -> None:
    async with simulator() as server, proxies(server.port, 2) as (one, two):
        wrong = real_settings(
            one.port,
            tmp_path,
            "guess",
            standby=(two.where,),
            failover_seconds=0.2,
            connect_timeout_seconds=1.0,
        )
        async with client_of(wrong, log_home) as client:
            # The other one is up, and its turn has passed more than once.
            await eventually(lambda: client._endpoints.next() is not None)
            looked = BROKER_ENDPOINT_UP.labels(one.where)
            looked.set(1)
            await eventually(lambda: looked._value.get() == 0)
            looked.set(1)
            await eventually(lambda: looked._value.get() == 0)
            assert client.endpoint == one.where
        control = SimulatorControl(server.control_port)
        assert (await control.count("UnlockTrade")).received == 1


def test_settings__several_without_a_named_account__are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="BRONCO_BROKER_ACCOUNT_ID"):
        BrokerClient(several(1, 2, account_id=0), log_home=tmp_path)


@asynccontextmanager
async def office_behind(home: Path, log_home: Path) -> AsyncIterator[tuple[Office, Proxy, Proxy]]:
    url = f"sqlite:///{home}/bronco.db"
    await asyncio.to_thread(upgrade, url)
    store = Store(url, pool_size=4)
    with embedded_redis() as redis_url:
        flags = Flags(redis_url)
        async with (
            simulator() as server,
            proxies(server.port, 2) as (one, two),
            client_of(several(one.port, two.port), log_home) as client,
        ):
            await up_at(client, one)
            yield Office(_desk(server, client), store, flags), one, two
        await flags.close()
    store.close()


def _desk(server: OpenDServer, client: BrokerClient) -> Desk:
    return Desk(server, SimulatorControl(server.control_port), client)


async def lost_inside(office: Office, proxy: Proxy, other: Proxy) -> Customer:
    """A placement that was sent into an OpenD which froze, and the change to the other one."""
    customer = await office.admit()
    await office.claim(customer, timedelta(seconds=SEND_SECONDS))
    proxy.freeze()
    await raises(PlacementUnknown, office.desk.client.place(customer.ticket(), SEND_SECONDS))
    await up_at(office.desk.client, other)
    return customer


async def resolved(office: Office, customer: Customer) -> ResolveResult:
    resolving = ResolvingActivities(office.store, fence=FENCE)
    message = ResolveInput(request=customer.request, attempt=1, version=10**7 + 1)
    result: ResolveResult = await ActivityEnvironment().run(resolving.resolve_placement, message)
    return result


async def test_frozen__with_a_placement_inside__is_not_called_absent_and_is_found_on_thaw(
    tmp_path: Path, log_home: Path
) -> None:
    async with office_behind(tmp_path, log_home) as (office, one, two):
        customer = await lost_inside(office, one, two)
        async with office.watching():
            # Whole reads through the other OpenD, long after the fence, do not hold it.
            later = utc_now() + timedelta(seconds=SEND_SECONDS + 2)
            await eventually(lambda: office.store.book.read_since(later), timeout=PATIENCE)
            assert (await resolved(office, customer)).resolution is Resolution.WAIT
            assert await office.desk.placed(customer.ticket().remark) == []
            one.thaw()

            async def found() -> bool:
                return (await resolved(office, customer)).resolution is Resolution.FOUND

            await eventually(found, timeout=PATIENCE)
        assert len(await office.desk.placed(customer.ticket().remark)) == 1


async def test_gone__with_a_placement_inside__is_proven_absent(
    tmp_path: Path, log_home: Path
) -> None:
    async with office_behind(tmp_path, log_home) as (office, one, two):
        customer = await lost_inside(office, one, two)
        await one.kill()
        async with office.watching():

            async def absent() -> bool:
                return (await resolved(office, customer)).resolution is Resolution.ABSENT

            await eventually(absent, timeout=PATIENCE)
        assert await office.desk.placed(customer.ticket().remark) == []
