"""The vault as a reader sees it: everything at one block, named by its hash.

Reading at a hash (EIP-1898) means that an endpoint on another fork, or behind, answers with an
error instead of with something plausible.
"""

import re
from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from clients.abi import load_contract
from clients.rpc import AnswerForged, Call, Rpc, RpcGarbled, quantity
from clients.shared import Shared
from models.chain import (
    Approvers,
    AssetTerms,
    RefundItem,
    RequestState,
    SettleItem,
    SettlerState,
    VaultBooks,
)
from models.errors import ConfigurationError
from models.requests import BlockRef, Side, VaultRequest, VaultStatus

VAULT = load_contract("BroncoVault")
PAGE = 200
"""Requests per eth_call: about 15k gas each, far below any endpoint's limit for a call."""
_PAGES_AT_ONCE = 20
_HASH = re.compile(r"^0x[0-9a-fA-F]{64}$")
SETTLER_ROLE = "0x" + keccak(text="SETTLER_ROLE").hex()
_SIDES = (Side.BUY, Side.SELL)
_ID_TYPES = (
    *("uint256", "address", "uint256", "address", "address"),
    *("uint8", "address", "uint128", "uint128", "uint256", "uint16"),
)


class VaultClient:
    """Reads one vault through one endpoint."""

    def __init__(self, rpc: Rpc, *, chain_id: int, address: str, page: int = PAGE) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self.address = to_checksum_address(address)
        self._page = page
        self._head = Shared(self._read_head)

    async def check(self) -> None:
        """Refuse to work with the wrong chain or with an address that holds no vault.

        Raises:
            ConfigurationError: the endpoint serves another chain, or there is no code.
        """
        chain_id, code = await self.rpc.batch(
            [("eth_chainId", ()), ("eth_getCode", (self.address, "latest"))]
        )
        served = quantity(self.rpc.name, "eth_chainId", chain_id)
        if served != self.chain_id:
            problem = f"{self.rpc.name} serves chain {served}, not {self.chain_id}"
            raise ConfigurationError("chain id", problem)
        if code in ("0x", "", None):
            raise ConfigurationError("vault address", f"no contract at {self.address}")

    async def deployed(self, at: BlockRef) -> bool:
        """Whether the vault's code was there at a block; before that nothing of it can be read."""
        # https://eips.ethereum.org/EIPS/eip-1898
        block = {"blockHash": at.hash, "requireCanonical": True}
        code = await self.rpc.call("eth_getCode", self.address, block)
        return code not in ("0x", "", None)

    async def head(self) -> BlockRef:
        """The newest block, read after this was asked; one read serves all who wait for it."""
        return await self._head.get()

    async def _read_head(self) -> BlockRef:
        return block_ref(await self.rpc.call("eth_getBlockByNumber", "latest", False), "latest")

    async def finalized(self) -> BlockRef:
        """The newest finalized block."""
        found = await self.rpc.call("eth_getBlockByNumber", "finalized", False)
        return block_ref(found, "finalized")

    async def block(self, number: int) -> BlockRef | None:
        """The block with this number; None when the endpoint has not come that far."""
        found = await self.rpc.call("eth_getBlockByNumber", hex(number), False)
        if found is None:
            return None
        block = block_ref(found, str(number))
        if block.number != number:
            detail = f"block {number} was asked for, {block.number} came"
            raise AnswerForged(self.rpc.name, "reading a block", detail)
        return block

    async def count(self, at: BlockRef) -> int:
        """Number of the newest request at a block; they are numbered from 1 without gaps."""
        return int((await self._view(at, "count"))[0])

    async def request(self, n: int, at: BlockRef) -> VaultRequest | None:
        """Request n as it was at a block; None when the vault had no such request there."""
        return self._request(n, (await self._view(at, "request", n))[0])

    async def requests(self, first: int, last: int, at: BlockRef) -> list[VaultRequest]:
        """Requests first to last, both included, as far as they existed at a block."""
        pages = range(max(first, 1), last + 1, self._page)
        calls = [self._call(at, "requests", n, min(n + self._page - 1, last)) for n in pages]
        answers: list[Any] = []
        for i in range(0, len(calls), _PAGES_AT_ONCE):
            answers += await self.rpc.batch(calls[i : i + _PAGES_AT_ONCE])
        entries = [e for a in answers for e in self._decoded("requests", a)[0]]
        found = [self._request(n, entry) for n, entry in enumerate(entries, max(first, 1))]
        return [request for request in found if request is not None]

    async def states(self, numbers: Sequence[int], at: BlockRef) -> list[RequestState]:
        """How far each request is, in the order asked; status NONE where there is none."""
        found = (await self._view(at, "requestsOf", list(numbers)))[0]
        if len(found) != len(numbers):
            detail = f"{len(found)} came of {len(numbers)}"
            raise AnswerForged(self.rpc.name, "reading states", detail)
        return [self._state(n, entry) for n, entry in zip(numbers, found, strict=True)]

    async def books(self, at: BlockRef) -> VaultBooks:
        """What the vault holds and owes at a block."""
        raw = (await self._view(at, "books"))[0]
        return VaultBooks(
            **{key: raw[key] for key in ("count", "balance", "escrow", "claimable", "free")},
            **{key: raw[key] for key in ("owed", "floor", "fees", "paused")},
            min_deposit=raw["minDeposit"],
            fee_bps=raw["feeBps"],
        )

    async def asset(self, token: str, at: BlockRef) -> AssetTerms | None:
        """How the vault treats an asset; None when it is not listed."""
        raw = (await self._view(at, "assetOf", token))[0]
        if int(raw["token"], 16) == 0:
            return None
        return AssetTerms(
            token=raw["token"],
            feed=raw["feed"],
            heartbeat=raw["heartbeat"],
            band_bps=raw["bandBps"],
            gap_bps=raw["gapBps"],
            feed_decimals=raw["feedDecimals"],
            open=raw["open"],
        )

    async def reference_price(self, token: str, at: BlockRef) -> int:
        """What the vault measures settlements against, USDT units per share; 0: no usable feed."""
        return int((await self._view(at, "referencePrice", token))[0])

    async def usdt(self, at: BlockRef) -> tuple[str, int]:
        """Address and decimals of the money token."""
        calls = [self._call(at, "usdt"), self._call(at, "usdtDecimals")]
        token, decimals = await self.rpc.batch(calls)
        return (
            str(self._decoded("usdt", token)[0]),
            int(self._decoded("usdtDecimals", decimals)[0]),
        )

    async def settler(self, address: str, at: BlockRef) -> SettlerState:
        """Whether this settler could settle: role at a block; gas money and nonces now."""
        account = to_checksum_address(address)
        role, balance, latest, pending = await self.rpc.batch(
            [
                self._call(at, "hasRole", bytes.fromhex(SETTLER_ROLE[2:]), account),
                ("eth_getBalance", (account, "latest")),
                ("eth_getTransactionCount", (account, "latest")),
                ("eth_getTransactionCount", (account, "pending")),
            ]
        )
        return SettlerState(
            address=account,
            has_role=bool(self._decoded("hasRole", role)[0]),
            balance=quantity(self.rpc.name, "eth_getBalance", balance),
            latest_nonce=quantity(self.rpc.name, "eth_getTransactionCount", latest),
            pending_nonce=quantity(self.rpc.name, "eth_getTransactionCount", pending),
        )

    async def approvers(self, at: BlockRef) -> Approvers:
        """Who may approve at a block, their epoch, and how many must."""
        epoch, threshold, signers = await self._view(at, "approvers")
        named = tuple(to_checksum_address(signer) for signer in signers)
        return Approvers(epoch=epoch, threshold=threshold, signers=named)

    async def _view(self, at: BlockRef, function: str, *args: Any) -> tuple[Any, ...]:
        method, params = self._call(at, function, *args)
        return self._decoded(function, await self.rpc.call(method, *params))

    def _call(self, at: BlockRef, function: str, *args: Any) -> Call:
        target = {"to": self.address, "data": VAULT.calldata(function, *args)}
        # https://eips.ethereum.org/EIPS/eip-1898
        return "eth_call", (target, {"blockHash": at.hash, "requireCanonical": True})

    def _decoded(self, function: str, result: str) -> tuple[Any, ...]:
        try:
            return VAULT.decode_result(function, result)
        except (ValueError, TypeError) as error:
            # Also what an address without code answers: empty data, no error.
            raise RpcGarbled(self.rpc.name, f"reading {function}", str(error)) from error

    def _state(self, n: int, raw: dict[str, Any]) -> RequestState:
        if raw["status"] not in set(VaultStatus):
            detail = f"request {n} has status {raw['status']}"
            raise AnswerForged(self.rpc.name, "reading states", detail)
        status = VaultStatus(raw["status"])
        known = status is not VaultStatus.NONE
        return RequestState(
            n=n,
            request_id=raw["id"] if known else "",
            status=status,
            terms=raw["terms"],
            owed=raw["owed"],
        )

    def _request(self, n: int, raw: dict[str, Any]) -> VaultRequest | None:
        if raw["status"] == VaultStatus.NONE:
            return None
        if raw["status"] not in set(VaultStatus) or raw["side"] not in range(len(_SIDES)):
            detail = f"request {n} has status {raw['status']} and side {raw['side']}"
            raise AnswerForged(self.rpc.name, "reading a request", detail)
        expected = request_id(self.chain_id, self.address, raw)
        if raw["n"] != n or raw["id"] != expected:
            detail = f"request {n} came as {raw['n']}, id {raw['id']}; its terms give {expected}"
            raise AnswerForged(self.rpc.name, "reading a request", detail)
        return VaultRequest(
            chain_id=self.chain_id,
            vault=self.address,
            n=raw["n"],
            request_id=raw["id"],
            owner=raw["owner"],
            recipient=raw["recipient"],
            side=_SIDES[raw["side"]],
            asset=raw["asset"],
            amount=raw["amount"],
            limit_price=raw["limitPrice"],
            deadline=raw["deadline"],
            reclaim_at=raw["reclaimAt"],
            fee_bps=raw["feeBps"],
            created_block=raw["createdBlock"],
            cancel_requested=raw["cancelRequested"],
            status=VaultStatus(raw["status"]),
            owed=raw["owed"],
        )


def request_id(chain_id: int, vault: str, terms: dict[str, Any]) -> str:
    """The id the vault gives to these terms (BroncoVault.idOf)."""
    fields = ("owner", "recipient", "side", "asset", "amount", "limitPrice", "deadline", "feeBps")
    values = (chain_id, vault, terms["n"], *(terms[field] for field in fields))
    return "0x" + keccak(encode(_ID_TYPES, values)).hex()


def terms_of(item: SettleItem) -> str:
    """The 6-byte hash under which the vault remembers a settlement; compare RequestState.terms."""
    values = (item.taken, item.out, item.fee, bytes.fromhex(item.fill_hash[2:]))
    return "0x" + keccak(encode(("uint128", "uint128", "uint128", "bytes32"), values))[:6].hex()


def settle_calldata(items: Sequence[SettleItem], refunds: Sequence[RefundItem]) -> str:
    """Calldata of one batch, 0x hex; the same items always give the same bytes."""
    return VAULT.calldata(
        "settle",
        [
            (i.n, _bytes32(i.request_id), i.taken, i.out, i.fee, _bytes32(i.fill_hash))
            for i in items
        ],
        [(r.n, _bytes32(r.request_id), r.reason) for r in refunds],
    )


def block_ref(found: Any, which: str) -> BlockRef:
    """A block as the endpoint gave it.

    Raises:
        SourceUnavailable: it gave none, or one that is not a block.
    """
    doing = f"reading block {which}"
    try:
        number, block_hash, time = found["number"], found["hash"], found["timestamp"]
    except (TypeError, KeyError) as error:
        raise RpcGarbled("chain", doing, "no such block") from error
    if not isinstance(block_hash, str) or not _HASH.match(block_hash):
        raise RpcGarbled("chain", doing, "its hash is none")
    return BlockRef(
        number=quantity("chain", doing, number),
        hash=block_hash.lower(),
        timestamp=quantity("chain", doing, time),
    )


def _bytes32(text: str) -> bytes:
    return bytes.fromhex(text[2:])
