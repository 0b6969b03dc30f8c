"""A node that lags must not have a live request dropped (hazard 6c)."""

from typing import cast

import pytest

from activities.lookup import read_request
from clients.agreeing import AgreeingVault
from models.errors import SourceUnavailable
from models.requests import BlockRef, VaultRequest
from tests.builders import order_request, request_id_of, vault_request


class OneBlock:
    """A vault at one head, with one request or none."""

    def __init__(self, head: int, found: VaultRequest | None) -> None:
        self._head, self._found = head, found

    async def head(self) -> BlockRef:
        return BlockRef(number=self._head, hash="0x" + "11" * 32, timestamp=1)

    async def request(self, n: int, at: BlockRef) -> VaultRequest | None:
        return self._found


def at(head: int, found: VaultRequest | None) -> AgreeingVault:
    return cast(AgreeingVault, OneBlock(head, found))


async def test_request__absent_at_a_head_before_its_block__cannot_be_told() -> None:
    with pytest.raises(SourceUnavailable, match="block 9 is before 10"):
        await read_request(at(9, None), order_request(1, created_block=10))


async def test_request__other_id_at_a_head_before_its_block__cannot_be_told() -> None:
    other = vault_request(1, request_id=request_id_of(1, 7))
    with pytest.raises(SourceUnavailable, match="block 9 is before 10"):
        await read_request(at(9, other), order_request(1, created_block=10))


async def test_request__absent_at_its_block__is_gone() -> None:
    terms, head = await read_request(at(10, None), order_request(1, created_block=10))
    assert terms is None
    assert head.number == 10


async def test_request__there_at_a_head_before_its_block__is_there() -> None:
    terms, _ = await read_request(at(9, vault_request(1)), order_request(1, created_block=10))
    assert terms is not None
