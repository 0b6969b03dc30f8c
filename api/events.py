"""GET /events: changes of orders and holds as they happen (server-sent events).

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from api.errors import described
from api.happened import ALL_KINDS, Happened, Kind, wanted
from api.hub import Hub, Reader
from bronco.logs import logger
from models.errors import InvalidInput

_HEARTBEAT_SECONDS = 15
_SEND_SECONDS = 10.0
_RETRY_MILLISECONDS = 1_000
_PLACE = r"^[0-9]{0,18}$"
_KINDS = r"^((order|control)(,(order|control))*)?$"
_log = logger("api")
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until the connection ends, which it does now and then: go on with "
        "the last `id`. `order`: an order as in GET /orders. `control`: as GET /status/pause, also "
        "at the beginning. `reset`: older events are forgotten, read GET /orders again. A comment "
        "comes every 15 s. An event may come twice; the last one counts.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 17\nevent: order\ndata: {"internal_id": 42, "stage": "PLACED"}\n\n',
            }
        },
    }
}


class Stream(EventSourceResponse):
    """One reader's stream; one that does not read for _SEND_SECONDS is cut, without an alarm.

    shown: the changes the reader asked for, as its events.
    """

    def __init__(self, reader: Reader, shown: Callable[[Happened], ServerSentEvent | None]) -> None:
        self._reader = reader
        super().__init__(
            _events(reader, shown),
            ping=_HEARTBEAT_SECONDS,
            ping_message_factory=self._heartbeat,
            send_timeout=_SEND_SECONDS,
            cleanup_timeout=5.0,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until either side ends it; whatever ends it ends the subscription."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            _log.info("stream_too_slow")
        finally:
            self._reader.leave()

    def _heartbeat(self) -> ServerSentEvent:
        """A comment; the place in it spares who asks for little to read all of it again."""
        return ServerSentEvent(comment="alive", id=_written(self._reader.place), sep="\n")


def routes(hub: Hub) -> APIRouter:
    """The route of events."""
    router = APIRouter(tags=["events"])
    errors = described(HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)

    @router.get("/events", responses=_STREAM | errors, response_class=EventSourceResponse)
    async def events(
        order: Annotated[
            str, Query(max_length=160, description="internal id, request id or workflow id")
        ] = "",
        kinds: Annotated[
            str, Query(pattern=_KINDS, description="order, control, or both with a comma")
        ] = "",
        after: Annotated[str, Query(pattern=_PLACE, description="id of the last event seen")] = "",
        last_event_id: Annotated[
            str, Header(description="as `after`; it wins, since browsers send it by themselves")
        ] = "",
    ) -> Stream:
        """Changes of orders and holds, within a second; from now on, or after the last `id`."""
        chosen = [Kind(each) for each in kinds.split(",") if each] or ALL_KINDS

        def shown(change: Happened) -> ServerSentEvent | None:
            return event_of(change) if wanted(change, chosen, order.lower()) else None

        # What cannot begin is a problem document, not a stream that ends at once.
        return Stream(await hub.join(_place(last_event_id or after)), shown)

    return router


async def _events(
    reader: Reader, shown: Callable[[Happened], ServerSentEvent | None]
) -> AsyncIterator[ServerSentEvent]:
    # An event without data is none, but tells the reader where it is.
    yield ServerSentEvent(retry=_RETRY_MILLISECONDS, id=_written(reader.starts_at), sep="\n")
    async for change in reader:
        if (event := shown(change)) is not None:
            yield event


def event_of(change: Happened) -> ServerSentEvent:
    """A change as it is sent."""
    data = json.dumps(change.data, separators=(",", ":"))
    return ServerSentEvent(data, event=change.kind.value, id=_written(change.place), sep="\n")


def _written(place: int | None) -> str | None:
    return None if place is None else str(place)


def _place(told: str) -> int | None:
    if not told:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= 18):
        raise InvalidInput("Last-Event-ID", told[:40], "send the id of an event, or leave it out")
    return int(told)
