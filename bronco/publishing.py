"""Publishing what reserves there are: the statement is checked against own reads, then signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from eth_account.signers.local import LocalAccount

from clients.agreeing import AgreeingVault
from clients.reserve_file import AttestedReserves, ReserveFolder, attested, really_attested
from clients.roles import ATTESTOR_ROLE, only_has_role
from clients.shares import ShareReader
from clients.splits import SplitReader
from clients.store import Store
from models.assets import Asset
from models.errors import Conflict, SourceUnavailable
from models.money import units_minted
from models.requests import BlockRef
from models.reserves import Reserves, ShareReserve, money_of

_OLDEST = timedelta(minutes=3)
DESKS_WORD = "house, bought and sold, gaps, dollars at the broker, in flight, forecast, prices"
"""What a statement says that only the desk knows: no attestor has checked it."""


class BrokerWord(NamedTuple):
    """What the broker answers whoever vouches for it, whole shares by symbol.

    today: the quantities of the orders it lists, which is the most that may have moved of late.
    """

    held: Mapping[str, int]
    today: Mapping[str, int]


AskBroker = Callable[[], Awaitable[BrokerWord]]


class Publisher:
    """Signs what it has seen itself, never what it was merely told."""

    def __init__(
        self,
        store: Store,
        vault: AgreeingVault,
        folder: ReserveFolder,
        assets: Sequence[Asset],
        ask_broker: AskBroker,
    ) -> None:
        """assets: as the attestor knows them; those that the vault lists must all be stated."""
        self._store = store
        self._vault = vault
        self._folder = folder
        self._assets = assets
        self._ask_broker = ask_broker

    async def publish(self, account: LocalAccount) -> AttestedReserves:
        """Sign the newest statement and write it down. The same one twice is one file.

        Raises:
            SourceUnavailable: there is no fresh whole statement, or a source does not answer.
            Conflict: chain or broker say otherwise.
        """
        statement = await self._store.reserves.latest()
        fresh = _fresh(statement, datetime.now(UTC))
        await check_chain(self._vault, fresh)
        await self._check_listed(fresh)
        await self._check_broker(fresh)
        made = attested(fresh, account)
        await asyncio.to_thread(self._folder.write, made)
        return made

    async def _check_listed(self, statement: Reserves) -> None:
        """No token is left out, and none is stated that is not the vault's."""
        at = statement.block
        listed = [each for each in self._assets if await self._vault.asset(each.token, at)]
        wanted = {(each.symbol, each.token.lower()) for each in listed}
        stated = [(one.symbol, one.token.lower()) for one in statement.shares]
        if sorted(stated) != sorted(wanted):
            names = sorted({symbol for symbol, _ in wanted ^ {*stated}}) or "one of them twice"
            raise Conflict("statement", str(at.number), f"it states other tokens: {names}")

    async def _check_broker(self, statement: Reserves) -> None:
        """Held now is held then, unless an order moves it: one that the broker lists, too."""
        now = await self._ask_broker()
        for one in statement.shares:
            held = now.held.get(one.symbol, 0)
            moves = min(max(one.in_flight, 0), now.today.get(one.symbol, 0))
            if one.held is None or abs(held - one.held) > moves:
                said = f"{one.held} {one.symbol} are stated, the broker holds {held} now"
                raise Conflict("statement", str(statement.block.number), said)


def _fresh(statement: Reserves | None, now: datetime) -> Reserves:
    doing = "reading the newest statement of the reserves"
    if statement is None:
        raise SourceUnavailable("database", doing, "there is none: does reconcile run?")
    age = now - statement.taken_at.replace(tzinfo=UTC)
    if age > _OLDEST:
        raise SourceUnavailable("database", doing, f"it is {age.total_seconds():.0f} s old")
    if statement.problems:
        said = "; ".join(statement.problems)
        raise SourceUnavailable("database", doing, f"not all of it was measured: {said}")
    return statement


async def check_chain(vault: AgreeingVault, statement: Reserves) -> None:
    """Compare what a statement says of the chain with the chain, at its own block.

    Raises:
        Conflict: the chain says otherwise, or has another block there.
        SourceUnavailable: no two endpoints keep the state of that block.
    """
    at = statement.block
    same = (statement.chain_id, statement.vault.lower()) == (vault.chain_id, vault.address.lower())
    if not same:
        raise Conflict("statement", str(at.number), "it is of another chain or vault")
    if await vault.block(at.number) != at:
        raise Conflict("statement", str(at.number), "the chain has another block there")
    money, true = statement.usdt, money_of(await vault.books(at), (await vault.usdt(at))[1])
    if money != true:
        other = [
            f"{name} {there}, stated {getattr(money, name)}"
            for name, there in true
            if getattr(money, name) != there
        ]
        raise Conflict("statement", str(at.number), f"the vault's are: {'; '.join(other)}")
    if statement.float.usdt_units != money.free_units - money.owed_units:
        raise Conflict("statement", str(at.number), "its float is not free less owed")
    for one in statement.shares:
        await _check_share(vault, one, at)


async def _check_share(vault: AgreeingVault, one: ShareReserve, at: BlockRef) -> None:
    """Raises Conflict: tokens, ratio or what the shares stand for are others."""
    minted = await ShareReader(vault.rpc).supply(one.token, at)
    if minted != one.issued_units:
        words = f"{minted} units of {one.symbol} are minted, stated are {one.issued_units}"
        raise Conflict("statement", str(at.number), words)
    listed = await vault.asset(one.token, at)
    if listed is None:
        raise Conflict("statement", str(at.number), f"{one.symbol} is not listed")
    ratio = await SplitReader(vault.rpc).ratio(listed.feed, at)
    if ratio != one.shares_per_token:
        words = f"a token of {one.symbol} is {ratio} shares, stated are {one.shares_per_token}"
        raise Conflict("statement", str(at.number), words)
    most = units_minted(max(0, one.held or 0), ratio)
    if one.held_units > most:
        words = f"{one.held} {one.symbol} stand for {most} units, stated are {one.held_units}"
        raise Conflict("statement", str(at.number), words)


async def verify(found: AttestedReserves, vault: AgreeingVault | None) -> list[tuple[str, str]]:
    """Each check and what is wrong; "" where it holds. Without a vault only the signature.

    Raises:
        SourceUnavailable: the chain could not be asked.
    """
    signed = "" if really_attested(found) else f"it is not the signature of {found.attestor}"
    checks = [("signature", signed)]
    if vault is None or signed:
        return checks
    head = await vault.head()
    may = await only_has_role(vault.rpc, vault.address, ATTESTOR_ROLE, found.attestor, head)
    checks.append(("attestor", "" if may else f"{found.attestor} may attest no more"))
    try:
        await check_chain(vault, found.statement)
    except Conflict as error:
        checks.append(("chain", str(error)))
    else:
        checks.append(("chain", ""))
    return checks
