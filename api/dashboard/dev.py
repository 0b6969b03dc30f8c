"""On a dev chain: handing in requests as a user, and breaking the simulated broker."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastapi import APIRouter, Request, Response

from api.dashboard.forms import Form
from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from bronco.counter import Typed
from models.errors import BroncoError, InvalidInput, NotFound
from models.requests import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.wallet import Requested

_LIFETIME_SECONDS = 3600
_MOST_VICTIMS = 100
_DIGITS = 6


class Account(NamedTuple):
    """A user of the dev chain. usdt: base units. shares: as people write them, by symbol."""

    user: int
    address: str
    usdt: int
    shares: Mapping[str, str]


class Fault(NamedTuple):
    """A fault of the simulator. kind: switch, action or armed (for the next ones)."""

    name: str
    says: str
    kind: str
    on: bool
    armed: int
    hits: int


class DevTools(Protocol):
    """What is given where the chain is a dev chain and the settings allow it."""

    async def accounts(self) -> "Sequence[Account]":
        """What each user has."""

    async def hand_in(self, user: int, typed: Typed) -> "Requested":
        """A user's deposit or redeem."""

    async def faults(self) -> "Sequence[Fault] | None":
        """Every fault; None: no simulator was named."""

    async def fault(self, name: str, *, on: bool, victims: int) -> None:
        """Arm, switch or perform one."""

    async def clear(self) -> None:
        """No fault any more."""

    async def market(self, state: str) -> None:
        """open, closed or auto."""


def routes(pages: Pages, tools: DevTools | None, symbols: "Sequence[str]") -> APIRouter:
    """The routes; without tools they lead nowhere."""
    router = APIRouter(include_in_schema=False)

    def given() -> DevTools:
        if tools is None:
            raise NotFound("page", "dev: it is for dev chains, and BRONCO_DASHBOARD_DEV_TOOLS")
        return tools

    async def page(request: Request, said: str = "", made: int = 0) -> Response:
        faults, problem = None, ""
        try:
            faults = await given().faults()
        except BroncoError as error:
            problem = str(error)
        return await pages.answer(
            request,
            "dev.html",
            accounts=await given().accounts(),
            faults=faults,
            problem=problem,
            symbols=symbols,
            said=said,
            made=made,
        )

    @router.get(f"{PREFIX}/dev")
    async def dev(request: Request) -> Response:
        given()
        return await page(request)

    @router.post(f"{PREFIX}/dev/wallet")
    async def wallet(request: Request, form: Form) -> Response:
        made = await given().hand_in(_count("user", form.get("user", ""), 0), _typed(form))
        return await page(request, f"Request {made.n} is in the vault.", made.n)

    @router.post(f"{PREFIX}/dev/fault")
    async def fault(request: Request, form: Form) -> Response:
        name, victims = form.get("name", ""), _count("victims", form.get("victims", "1"), 1)
        await given().fault(name, on=form.get("on", "yes") == "yes", victims=victims)
        return await page(request, f"The simulator was told: {name.replace('_', ' ')}.")

    @router.post(f"{PREFIX}/dev/calm")
    async def calm(request: Request, form: Form) -> Response:
        await given().clear()
        return await page(request, "All faults are cleared.")

    @router.post(f"{PREFIX}/dev/market")
    async def market(request: Request, form: Form) -> Response:
        await given().market(form.get("state", ""))
        return await page(request, f"The market is told to be {form.get('state', '')}.")

    return router


def _typed(form: Mapping[str, str]) -> Typed:
    side = form.get("side", "")
    if side not in list(Side):
        raise InvalidInput("side", side[:20], f"use one of {', '.join(Side)}")
    symbol, limit = form.get("symbol", "").upper(), form.get("limit", "")
    return Typed(Side(side), form.get("amount", ""), symbol, limit, _LIFETIME_SECONDS)


def _count(field: str, text: str, least: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else -1
    if not least <= number <= _MOST_VICTIMS:
        raise InvalidInput(field, text[:20], f"give a number from {least} to {_MOST_VICTIMS}")
    return number
