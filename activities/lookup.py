"""The vault's word on its requests, and when it counts that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import SourceUnavailable
from models.requests import BlockRef, OrderRequest, VaultRequest

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault


async def read_request(
    vault: AgreeingVault, request: OrderRequest
) -> tuple[VaultRequest | None, BlockRef]:
    """The request at the agreed head; a number that now carries another id is not ours.

    Raises:
        SourceUnavailable: also when the head is older than the block it was seen in: a node that
            lags would have a live request dropped.
    """
    head = await vault.head()
    terms = await vault.request(request.n, head)
    if terms is not None and terms.request_id == request.request_id:
        return terms, head
    if head.number < request.created_block:
        behind = f"block {head.number} is before {request.created_block}, where it was seen"
        raise SourceUnavailable("chain", f"reading request {request.n}", behind)
    return None, head


async def read_requests(
    vault: AgreeingVault, first: int, last: int, at: BlockRef
) -> list[VaultRequest]:
    """Requests first to last, all of which the vault counted at this block.

    Raises:
        SourceUnavailable: also when some are missing: whoever went on behind them would never look
            at them again.
    """
    found = await vault.requests(first, last, at)
    wanted = last - first + 1
    if len(found) != wanted:
        detail = f"{len(found)} came of {wanted} that the vault counts at block {at.number}"
        raise SourceUnavailable("chain", f"reading requests {first}-{last}", detail)
    return found
