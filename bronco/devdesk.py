"""What the dashboard may do on a dev chain alone: users' wallets, and the broker's faults.

Every key here is known to everybody; none of this exists where a chain holds real money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.dashboard.dev import Account, Fault
from bronco.counter import Typed, open_counter, plain
from bronco.devchain import FIRST_USER, dev_address, dev_key
from clients.rpc import Rpc
from clients.wallet import Requested, Wallet
from models.errors import InvalidInput, SourceUnavailable
from simulators.opend.control import SimulatorControl
from simulators.opend.ctl import fault_lines
from simulators.opend.errors import ControlError
from simulators.opend.faults import ACTIONS, SWITCHES

if TYPE_CHECKING:
    from bronco.settings import Settings

USERS = 4
_SHARE_DECIMALS = 18
_MARKET = ("open", "closed", "auto")


class DevDesk:
    """The dashboard's hand on a dev chain and on the simulator. Safe to share between requests."""

    def __init__(self, settings: Settings, simulator: SimulatorControl | None) -> None:
        self._chain = settings.chain
        self._simulator = simulator

    async def accounts(self) -> list[Account]:
        """What each user of the dev chain has.

        Raises:
            SourceUnavailable: the chain could not be asked.
        """
        rpc = Rpc(self._chain.endpoints[0], timeout_seconds=self._chain.call_timeout_seconds)
        try:
            return [await self._account(rpc, user) for user in range(USERS)]
        finally:
            await rpc.close()

    async def hand_in(self, user: int, typed: Typed) -> Requested:
        """A user's deposit or redeem, as `bronco deposit` makes it. Raises as Counter.hand_in."""
        if not 0 <= user < USERS:
            raise InvalidInput("user", user, f"use 0 to {USERS - 1}")
        async with open_counter(self._chain, user) as counter:
            return await counter.hand_in(typed)

    async def faults(self) -> list[Fault] | None:
        """Every fault of the simulator; None: no simulator was named.

        Raises:
            SourceUnavailable: it does not answer.
        """
        if self._simulator is None:
            return None
        said = await self._told("faults")
        hits, on = said.get("hits", {}), set(said.get("on", ()))
        armed = [each.get("name", "") for each in said.get("armed", ()) if isinstance(each, dict)]
        return [
            Fault(name, line, _kind(name), name in on, armed.count(name), int(hits.get(name, 0)))
            for name, line in sorted(fault_lines().items())
        ]

    async def fault(self, name: str, *, on: bool, victims: int) -> None:
        """Arm, switch or perform one. Raises InvalidInput: the simulator refuses it."""
        if name in SWITCHES:
            extra = {"drop": on} if name == "refuse" else {}
            await self._told("fault", name=name, on=on, **extra)
        elif name in ACTIONS:
            await self._told("fault", name=name)
        else:
            await self._told("fault", name=name, n=victims)

    async def clear(self) -> None:
        """No fault any more, and what was kept back goes on."""
        await self._told("clear", name=None)
        await self._told("fault", name="release_fills")

    async def market(self, state: str) -> None:
        """open, closed or auto."""
        if state not in _MARKET:
            raise InvalidInput("market", state[:20], f"use one of {', '.join(_MARKET)}")
        await self._told("set_market", state=state)

    async def _told(self, verb: str, **params: object) -> dict[str, Any]:
        if self._simulator is None:
            raise SourceUnavailable("simulator", verb, "BRONCO_DASHBOARD_SIMULATOR names none")
        try:
            return await self._simulator.call(verb, **params)
        except ControlError as error:
            raise InvalidInput("fault", str(params.get("name", verb)), str(error)) from error
        except (OSError, TimeoutError, ValueError) as error:
            raise SourceUnavailable("simulator", verb, str(error)) from error

    async def _account(self, rpc: Rpc, user: int) -> Account:
        key = dev_key(FIRST_USER + user)
        wallet = Wallet(
            rpc, key, chain_id=self._chain.id, vault=self._chain.vault, usdt=self._chain.usdt
        )
        shares = {
            asset.symbol: plain(await wallet.balance(asset.token), _SHARE_DECIMALS)
            for asset in self._chain.assets
        }
        usdt = await wallet.balance(self._chain.usdt)
        return Account(user, dev_address(FIRST_USER + user), usdt, shares)


def _kind(name: str) -> str:
    if name in SWITCHES:
        return "switch"
    return "action" if name in ACTIONS else "armed"
