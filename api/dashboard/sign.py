"""Signing in and out, and the files that pages are made of."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from api.dashboard.forms import Form
from api.dashboard.pages import HOME, Pages
from api.dashboard.session import PREFIX, Entrance, forget, token_of
from models.errors import NotFound, Unauthorized

_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "md": "text/plain"}
_KEPT = "public, max-age=31536000, immutable"
_NAME = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9.-]*\.(css|js|svg)$")]


def routes(pages: Pages, entrance: Entrance) -> APIRouter:
    """The routes that need no key."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"{PREFIX}/sign-in")
    async def ask(request: Request) -> Response:
        return pages.sign_in(request, HTTPStatus.OK, "", PREFIX)

    @router.post(f"{PREFIX}/sign-in")
    async def enter(request: Request, form: Form) -> Response:
        following = _inside(form.get("next", ""))
        try:
            token = await entrance.begin(form.get("key", ""))
        except Unauthorized:
            said = "This is not a key that opens anything: mistyped, revoked or expired."
            return pages.sign_in(request, HTTPStatus.UNAUTHORIZED, said, following)
        answer = RedirectResponse(following, HTTPStatus.SEE_OTHER)
        entrance.keep(request, answer, token)
        return answer

    @router.post(f"{PREFIX}/sign-out")
    async def leave(request: Request, form: Form) -> Response:
        answer = RedirectResponse(f"{PREFIX}/sign-in", HTTPStatus.SEE_OTHER)
        if token := token_of(request):
            try:
                who = (await entrance.caller(token)).name
            except Unauthorized:
                who = "nobody any more"
            await entrance.end(token, who)
        forget(request, answer)
        return answer

    @router.get(f"{PREFIX}/static/{{name}}")
    async def file(name: _NAME) -> Response:
        return _file(name)

    @router.get(f"{PREFIX}/static/vendor/{{name}}")
    async def vendored(name: _NAME) -> Response:
        return _file(f"vendor/{name}")

    return router


def _file(name: str) -> Response:
    path = HOME / "static" / name
    if not path.is_file():
        raise NotFound("file", name)
    headers = {"Cache-Control": _KEPT, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=_KINDS[path.suffix[1:]], headers=headers)


def _inside(path: str) -> str:
    """Where to go on: a page of ours and nothing else, whatever the form says."""
    inside = path == PREFIX or path.startswith((f"{PREFIX}/", f"{PREFIX}?"))
    return path if inside and path.isprintable() and "\\" not in path else PREFIX
