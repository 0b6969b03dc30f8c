"""A share reference as it stands: the feed behind it, what was posted, and within what bounds."""

from typing import Any

from eth_utils.address import to_checksum_address

from clients.abi import ContractAbi
from clients.oracle import FEED
from clients.rpc import Call, Reader, RpcRefused
from clients.splits import REFERENCE
from models.errors import SourceUnavailable
from models.reference import Reference
from models.requests import BlockRef
from models.splits import NextSplit, SharesPerToken

_ONE_WORD = (
    *("decimals", "heartbeat", "maxAge", "maxMoveBps", "posted", "postedAt"),
    *("lastGood", "lastGoodAt", "NOTED_FOR"),
)
_MOST = 2**127 - 1
"""ShareReference takes a larger answer for none."""


class ReferenceReader:
    """Reads references through one endpoint, or several that must agree, at a block."""

    def __init__(self, rpc: Reader) -> None:
        self._rpc = rpc

    async def read(self, address: str, at: BlockRef) -> Reference:
        """All of one reference.

        Raises:
            SourceUnavailable: it cannot be asked, endpoints disagree, or it is no reference.
        """
        views = (*_ONE_WORD, "primary", "sharesPerToken", "nextSplit")
        answers = await self._rpc.batch([_call(REFERENCE, address, at, view) for view in views])
        found = {
            view: _decoded(REFERENCE, view, answer)
            for view, answer in zip(views, answers, strict=True)
        }
        word = {view: int(found[view][0]) for view in _ONE_WORD}
        price, time = await self._word(FEED, str(found["primary"][0]), at)
        answer, answered_at = await self._word(REFERENCE, address, at)
        upcoming = NextSplit(*found["nextSplit"])
        return Reference(
            now=at.timestamp,
            decimals=word["decimals"],
            heartbeat=word["heartbeat"],
            max_age=word["maxAge"],
            max_move_bps=word["maxMoveBps"],
            feed_price=price,
            feed_time=time,
            feed_ratio=await self._ratio(address, at, "ratioAt", time),
            posted=word["posted"],
            posted_at=word["postedAt"],
            last_good=word["lastGood"],
            last_good_at=word["lastGoodAt"],
            noted_for=word["NOTED_FOR"],
            ratio=await self._ratio(address, at, "sharesPerToken"),
            upcoming=upcoming if upcoming.at else None,
            answer=answer,
            answered_at=answered_at,
        )

    async def _word(self, abi: ContractAbi, address: str, at: BlockRef) -> tuple[int, int]:
        """Price and time of an answer; 0 for a price that is none, twice 0 for no answer at all."""
        method, params = _call(abi, address, at, "latestRoundData")
        try:
            answer = await self._rpc.call(method, *params)
        except RpcRefused as refused:
            if refused.data or "revert" in refused.text.lower():
                return 0, 0
            raise
        try:
            _, price, _, time, _ = abi.decode_result("latestRoundData", answer)
        except (ValueError, TypeError):
            return 0, 0
        return (int(price) if 0 < price <= _MOST else 0), int(time)

    async def _ratio(self, address: str, at: BlockRef, view: str, *args: int) -> SharesPerToken:
        method, params = _call(REFERENCE, address, at, view, *args)
        found = _decoded(REFERENCE, view, await self._rpc.call(method, *params))
        return SharesPerToken(numerator=found[0], denominator=found[1], epoch=found[2])


def _call(abi: ContractAbi, address: str, at: BlockRef, view: str, *args: Any) -> Call:
    target = {"to": to_checksum_address(address), "data": abi.calldata(view, *args)}
    # https://eips.ethereum.org/EIPS/eip-1898
    return "eth_call", (target, {"blockHash": at.hash, "requireCanonical": True})


def _decoded(abi: ContractAbi, view: str, answer: str) -> tuple[Any, ...]:
    try:
        return abi.decode_result(view, answer)
    except (ValueError, TypeError) as error:
        # Also what a plain feed answers.
        raise SourceUnavailable("oracle", f"reading {view} of a reference", str(error)) from error
