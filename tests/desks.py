"""The whole stacks that test files share, at most one at a time: one that idles takes CPU, too."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.sharing import desk_of

if TYPE_CHECKING:
    from tests.e2e.desk import Desk


class Desks:
    """Keeps the desk that was asked for last."""

    def __init__(self, home: pytest.TempPathFactory) -> None:
        self._home = home
        self._leaving = AsyncExitStack()
        self._kept: tuple[str, Desk] | None = None

    async def get(self, name: str, *, embedded: bool = False) -> "Desk":
        """The desk of this name: the one that is up, or else a new one in its place."""
        if self._kept is None or self._kept[0] != name:
            await self.close()
            self._kept = name, await self._open(name, embedded)
        return self._kept[1]

    async def _open(self, name: str, embedded: bool) -> "Desk":
        # Not at the top: unit tests load this file, too, and need none of it.
        from bronco.stack import stack
        from tests.e2e.desk import opened, options

        chosen = options(self._home.mktemp(name))
        if embedded:
            chosen = replace(chosen, server_database=False, real_redis=False)
        running = await self._leaving.enter_async_context(stack(chosen))
        return await self._leaving.enter_async_context(opened(running))

    async def close(self) -> None:
        """End the desk that is up, if any."""
        self._kept = None
        await self._leaving.aclose()


@pytest_asyncio.fixture(scope="session")
async def desks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desks]:
    kept = Desks(tmp_path_factory)
    yield kept
    await kept.close()


@pytest_asyncio.fixture(scope="module")
async def alone(request: pytest.FixtureRequest, desks: Desks) -> None:
    """End the shared desk before a file that has none of it."""
    of_file = (item for item in request.session.items if item.path == request.path)
    if not any(desk_of(item) for item in of_file):
        await desks.close()
