"""Shares per token, as the asset's reference feed says; refused unless it plainly says it."""

from eth_utils.address import to_checksum_address
from pydantic import ValidationError

from clients.abi import load_contract
from clients.rpc import Reader
from models.errors import ConfigurationError, SourceUnavailable
from models.requests import BlockRef
from models.splits import NextSplit, SharesPerToken, SplitState

REFERENCE = load_contract("ShareReference")


class SplitReader:
    """Reads share references through one endpoint, or several that must agree, at a block."""

    def __init__(self, rpc: Reader) -> None:
        self._rpc = rpc

    async def state(self, feed: str, at: BlockRef, *, margin_seconds: float = 0.0) -> SplitState:
        """What the reference says about splits at a block.

        settled_epoch is the one in force `margin_seconds` before it.

        Raises:
            SourceUnavailable: it cannot be asked, endpoints disagree, or the feed is no reference
                and so nobody can say how many shares a token is.
        """
        before = max(0, at.timestamp - int(margin_seconds))
        ratio, upcoming, settled = await self._read(
            feed, at, ("sharesPerToken",), ("nextSplit",), ("ratioAt", before)
        )
        return SplitState(
            ratio=_ratio(feed, ratio),
            upcoming=NextSplit(*upcoming) if upcoming[2] else None,
            priced_epoch=await self._priced_epoch(feed, at),
            settled_epoch=_ratio(feed, settled).epoch,
        )

    async def _priced_epoch(self, feed: str, at: BlockRef) -> int | None:
        """Apart from the rest: a feed that has died must not hide a split that is near."""
        try:
            (price,) = await self._read(feed, at, ("latestRoundData",))
        except SourceUnavailable:
            return None
        (priced,) = await self._read(feed, at, ("ratioAt", price[3]))
        return _ratio(feed, priced).epoch

    async def ratio(self, feed: str, at: BlockRef) -> SharesPerToken:
        """Shares per token at a block. Raises as `state`."""
        (found,) = await self._read(feed, at, ("sharesPerToken",))
        return _ratio(feed, found)

    async def ratio_then(self, feed: str, moment: int, at: BlockRef) -> SharesPerToken:
        """Shares per token at a moment (Unix seconds), as known at a block. Raises as `state`."""
        (found,) = await self._read(feed, at, ("ratioAt", moment))
        return _ratio(feed, found)

    async def check_notice(self, feed: str, at: BlockRef, margin_seconds: float) -> None:
        """Refuse a reference whose splits may take effect before the margin around them begins.

        Raises:
            ConfigurationError: they may be scheduled at shorter notice than that.
            SourceUnavailable: as `state`.
        """
        ((notice,),) = await self._read(feed, at, ("minNotice",))
        if notice < margin_seconds:
            problem = (
                f"is {margin_seconds:g} s, but reference {feed} takes splits at {notice} s notice: "
                "orders would still work when one takes effect; deploy one with more"
            )
            raise ConfigurationError("BRONCO_ORDERS_SPLIT_MARGIN_SECONDS", problem)

    async def _read(
        self, feed: str, at: BlockRef, *views: tuple[str | int, ...]
    ) -> list[tuple[int, ...]]:
        address = to_checksum_address(feed)
        # https://eips.ethereum.org/EIPS/eip-1898
        where = {"blockHash": at.hash, "requireCanonical": True}
        named = [(str(name), args) for name, *args in views]
        calls = [
            ("eth_call", ({"to": address, "data": REFERENCE.calldata(name, *args)}, where))
            for name, args in named
        ]
        answers = await self._rpc.batch(calls)
        try:
            return [
                REFERENCE.decode_result(name, answer)
                for (name, _), answer in zip(named, answers, strict=True)
            ]
        except (ValueError, TypeError) as error:
            # Also what a plain feed answers, which knows nothing of splits.
            raise _unread(feed, str(error)) from error


def _ratio(feed: str, found: tuple[int, ...]) -> SharesPerToken:
    try:
        numerator, denominator, epoch = found
        return SharesPerToken(numerator=numerator, denominator=denominator, epoch=epoch)
    except (ValueError, ValidationError) as error:
        raise _unread(feed, f"{found} is no ratio") from error


def _unread(feed: str, problem: str) -> SourceUnavailable:
    return SourceUnavailable("oracle", f"reading shares per token from {feed}", problem)
