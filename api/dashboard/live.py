"""What happens, for pages that are looked at: that it did, not what; they load what they show."""

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.dashboard.session import PREFIX
from api.events import Stream
from api.happened import ALL_KINDS, Happened, wanted
from api.hub import Hub


def routes(hub: Hub) -> APIRouter:
    """The stream of a page."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"{PREFIX}/events", response_class=EventSourceResponse)
    async def events(
        order: str = Query("", max_length=160),
        last_event_id: str = Header("", pattern=r"^[0-9]{0,18}$"),
    ) -> Stream:
        def shown(change: Happened) -> ServerSentEvent | None:
            if not wanted(change, ALL_KINDS, order.lower()):
                return None
            place = None if change.place is None else str(change.place)
            return ServerSentEvent("changed", event=change.kind.value, id=place, sep="\n")

        return Stream(await hub.join(int(last_event_id) if last_event_id else None), shown)

    return router
