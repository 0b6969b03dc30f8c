"""Publishing what reserves there are: the statement is checked against own reads, then signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from eth_account.signers.local import LocalAccount

from clients.agreeing import AgreeingVault
from clients.reserve_file import AttestedReserves, ReserveFolder, attested, really_attested
from clients.roles import ATTESTOR_ROLE, only_has_role
from clients.shares import ShareReader
from clients.store import Store
from models.errors import Conflict, SourceUnavailable
from models.reserves import Reserves

Holdings = Callable[[], Awaitable[Mapping[str, int]]]
"""Whole shares by symbol, as the broker answers whoever vouches for them."""
_OLDEST = timedelta(minutes=3)


class Publisher:
    """Signs what it has seen itself, never what it was merely told."""

    def __init__(
        self, store: Store, vault: AgreeingVault, folder: ReserveFolder, holdings: Holdings
    ) -> None:
        self._store = store
        self._vault = vault
        self._folder = folder
        self._holdings = holdings

    async def publish(self, account: LocalAccount) -> AttestedReserves:
        """Sign the newest statement and write it down. The same one twice is one file.

        Raises:
            SourceUnavailable: there is no fresh whole statement, or a source does not answer.
            Conflict: chain or broker say otherwise.
        """
        statement = await self._store.reserves.latest()
        fresh = _fresh(statement, datetime.now(UTC))
        await check_chain(self._vault, fresh)
        await self._check_broker(fresh)
        made = attested(fresh, account)
        await asyncio.to_thread(self._folder.write, made)
        return made

    async def _check_broker(self, statement: Reserves) -> None:
        """Held now is held then, unless an order moves it."""
        now = await self._holdings()
        for one in statement.shares:
            held = now.get(one.symbol, 0)
            moves = max(one.in_flight, 0)
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
    books, money = await vault.books(at), statement.usdt
    said = (money.vault_units, money.escrow_units, money.claimable_units, money.owed_units)
    true = (books.balance, books.escrow, books.claimable, books.owed)
    if said != true:
        words = f"the vault's balance, escrow, claimable and owed are {true}, stated are {said}"
        raise Conflict("statement", str(at.number), words)
    for one in statement.shares:
        minted = await ShareReader(vault.rpc).supply(one.token, at)
        if minted != one.issued_units:
            words = f"{minted} units of {one.symbol} are minted, stated are {one.issued_units}"
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
