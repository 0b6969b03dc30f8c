"""Every request of the vault that is open or not finally ended, without reading all each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.lookup import read_requests
from models.requests import BlockRef, VaultRequest, VaultStatus

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault

_PAGE = 1_000


class RequestIndex:
    """Remembers what is not final. It is only a cache: a new one reads the vault from number 1."""

    def __init__(self, vault: AgreeingVault) -> None:
        self._vault = vault
        self._known: dict[int, VaultRequest] = {}
        self._next = 1

    async def refresh(self, head: BlockRef, final: BlockRef | None) -> list[VaultRequest]:
        """All requests that are open at `head`, or ended after `final`, by number."""
        count = await self._vault.count(head)
        self._known = {n: request for n, request in self._known.items() if n <= count}
        # After a reorganisation numbers are given out again.
        self._next = min(self._next, count + 1)
        await self._look_again(head)
        for first in range(self._next, count + 1, _PAGE):
            last = min(first + _PAGE - 1, count)
            found = await read_requests(self._vault, first, last, head)
            self._known |= {request.n: request for request in found}
        self._next = count + 1
        unfinished = [self._known[n] for n in sorted(self._known)]
        if final is not None:
            await self._forget_final(final)
        return unfinished

    async def _look_again(self, head: BlockRef) -> None:
        numbers = sorted(self._known)
        for start in range(0, len(numbers), _PAGE):
            page = numbers[start : start + _PAGE]
            for state in await self._vault.states(page, head):
                known = self._known[state.n]
                if state.request_id != known.request_id:
                    await self._replace(state.n, head)
                elif state.status is not known.status:
                    changed = known.model_copy(update={"status": state.status})
                    self._known[state.n] = changed

    async def _replace(self, n: int, head: BlockRef) -> None:
        """The number has other terms now."""
        request = await self._vault.request(n, head)
        if request is None:
            del self._known[n]
        else:
            self._known[n] = request

    async def _forget_final(self, final: BlockRef) -> None:
        ended = [n for n, known in self._known.items() if known.status is not VaultStatus.OPEN]
        for start in range(0, len(ended), _PAGE):
            for state in await self._vault.states(ended[start : start + _PAGE], final):
                known = self._known[state.n]
                if (state.request_id, state.status) == (known.request_id, known.status):
                    del self._known[state.n]
