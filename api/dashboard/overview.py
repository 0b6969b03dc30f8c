"""The first page."""

from fastapi import APIRouter, Request, Response

from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX


def routes(pages: Pages) -> APIRouter:
    """The first page."""
    router = APIRouter(include_in_schema=False)

    @router.get(PREFIX)
    async def overview(request: Request) -> Response:
        return await pages.answer(request, "overview.html")

    return router
