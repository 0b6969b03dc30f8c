"""Turning a template into a page: what every page knows, and what a browser may do with it."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.access import MAY, Need
from api.dashboard import words
from api.dashboard.session import PREFIX, csrf_of, reaches_us_safely, token_of
from api.errors import Problem
from models.access import Caller
from models.errors import SourceUnavailable

if TYPE_CHECKING:
    from bronco.settings import Settings

HOME = Path(__file__).parent
_EXPLORERS = {
    1: "https://etherscan.io",
    56: "https://bscscan.com",
    11_155_111: "https://sepolia.etherscan.io",
}
# Scripts and styles are our own files alone; nothing is framed, and no form leaves the site.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_THEMES = frozenset({"light", "dark"})
_NAV = (
    ("", "Overview", Need.READING),
    ("/orders", "Orders", Need.READING),
    ("/control", "Control", Need.READING),
    ("/approvals", "Approvals", Need.READING),
    ("/audit", "Audit", Need.READING),
)
_DEV = ("/dev", "Dev chain", Need.READING)


class Pages:
    """Renders templates. decimals: those of the vault's USDT, once somebody could be asked."""

    def __init__(
        self, settings: "Settings", decimals: Callable[[], Awaitable[int]], *, reading_open: bool
    ) -> None:
        self._decimals = decimals
        self._known: int | None = None
        self._reading_open = reading_open
        self.dev = settings.dashboard.dev_tools and settings.chain.is_dev
        self._chain_id = settings.chain.id
        explorer = settings.dashboard.explorer or _EXPLORERS.get(settings.chain.id, "")
        self._explorer = explorer.rstrip("/")
        self._temporal = settings.dashboard.temporal_ui.rstrip("/")
        self._namespace = settings.temporal.namespace
        self._env = Environment(
            loader=FileSystemLoader(HOME / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.globals |= {
            "w": words,
            "asset": _asset,
            "explorer": self._explorer_link,
            "temporal": self._temporal_link,
            "chain_id": self._chain_id,
            "dev_chain": settings.chain.is_dev,
            "Need": Need,
            "live_trigger": _live_trigger,
        }

    async def answer(
        self, request: Request, template: str, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """A page, with the decimals of USDT."""
        return self.rendered(request, template, status, decimals=await self.decimals(), **context)

    def rendered(
        self, request: Request, template: str, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """A page of nothing but what is given."""
        caller: Caller | None = getattr(request.state, "caller", None)
        theme = request.cookies.get("bronco_theme", "")
        shared: Mapping[str, Any] = {
            "request": request,
            "path": request.url.path,
            "person": caller,
            "nav": [item for item in self._nav() if self.may(caller, item[2])],
            "may": lambda need: self.may(caller, need),
            "csrf": csrf_of(token_of(request)),
            "theme": theme if theme in _THEMES else "",
            "prefix": PREFIX,
        }
        text = self._env.get_template(template).render({**shared, **context})
        return HTMLResponse(text, status, headers=_HEADERS)

    async def decimals(self) -> int | None:
        """Those of USDT; None: the chain could not be asked yet."""
        if self._known is None:
            try:
                self._known = await self._decimals()
            except SourceUnavailable:
                return None
        return self._known

    def may(self, caller: Caller | None, need: Need) -> bool:
        """Whether who looks may do this; what they may not is not shown."""
        if caller is None:
            return need is Need.NOTHING or (need is Need.READING and self._reading_open)
        return caller.role in MAY[need]

    def problem(self, request: Request, problem: Problem) -> Response | None:
        """A problem as a page, for whoever looks at the dashboard."""
        if not request.url.path.startswith(PREFIX):
            return None
        if problem.status == HTTPStatus.UNAUTHORIZED:
            answer = self.sign_in(request, problem.status, "", request.url.path)
        else:
            answer = self.rendered(request, "problem.html", problem.status, problem=problem)
        if request.headers.get("hx-request"):
            # What was loaded into a page cannot sign in: the page is loaded anew, and asks.
            answer.headers["HX-Refresh"] = "true"
        return answer

    def sign_in(self, request: Request, status: int, said: str, following: str) -> HTMLResponse:
        """The page that asks for a key."""
        safe = reaches_us_safely(request)
        return self.rendered(
            request, "sign_in.html", status, said=said, following=following, safe=safe
        )

    def _nav(self) -> list[tuple[str, str, Need]]:
        return [*_NAV, _DEV] if self.dev else list(_NAV)

    def _explorer_link(self, kind: str, what: str) -> str:
        return f"{self._explorer}/{kind}/{quote(what)}" if self._explorer and what else ""

    def _temporal_link(self, workflow_id: str) -> str:
        if not self._temporal or not workflow_id:
            return ""
        return (
            f"{self._temporal}/namespaces/{quote(self._namespace)}/workflows/{quote(workflow_id)}"
        )


def _live_trigger(*kinds: str, every: int) -> str:
    """When a part is loaded anew: as something happens, and now and then all the same."""
    return ", ".join([*(f"live:{kind} from:body" for kind in kinds), f"every {every}s"])


def _asset(name: str) -> str:
    """Where a file of ours is; another file has another address, so browsers may keep it."""
    return f"{PREFIX}/static/{name}?v={_digests()[name]}"


_FOUND: dict[str, str] = {}


def _digests() -> Mapping[str, str]:
    if not _FOUND:
        static = HOME / "static"
        for path in static.rglob("*.*"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            _FOUND[path.relative_to(static).as_posix()] = digest
    return _FOUND
