"""What a played sequence needs of a chain, on anvil and in process."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from bronco.deployment import DevChain
from clients.abi import load_contract
from clients.vault import VAULT
from clients.wallet import ERC20
from models.chain import Rejection, VaultBooks
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.desk import Desk, rejections
from tests.integration.vault.revm import Reverted, Revm

FEED = load_contract("DevFeed")
_REJECTED = VAULT.topic("SettlementRejected")
_WORD = 32
_STATUS = {status.value: status for status in VaultStatus}
_USDT_BALANCES, _SHARE_BALANCES = 1, 0
"""Storage slots of the mappings; `told_balances` shows when they move."""
_BALANCE = 2**248 - 1


class Sent(NamedTuple):
    """What a transaction did. n: of the first event that names a request."""

    ok: bool
    n: int = 0
    rejections: tuple[tuple[int, Rejection], ...] = ()


class Books(NamedTuple):
    """As in VaultBooks, what a play compares."""

    balance: int
    escrow: int
    claimable: int
    free: int
    owed: int
    fees: int


class PlayChain(Protocol):
    """The chain under a play."""

    dev: DevChain
    share: str
    feed: str

    async def now(self) -> int: ...
    async def warp_to(self, timestamp: int) -> None: ...
    async def send(self, who: str, to: str, data: str, gas: int) -> Sent: ...
    async def request(self, n: int) -> VaultRequest: ...
    async def books(self) -> "Books | VaultBooks": ...
    async def caps(self) -> tuple[int, ...]: ...
    async def supply(self) -> int: ...
    async def states(self, numbers: Sequence[int]) -> list[tuple[VaultStatus, int]]: ...
    async def balances(self, keys: Sequence[tuple[str, str]]) -> list[int]: ...


class OnAnvil:
    """Slow, and what users' wallets speak to."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.dev = desk.chain
        self.share = desk.share
        self.feed = desk.feed

    async def now(self) -> int:
        return (await self._desk.head()).timestamp

    async def warp_to(self, timestamp: int) -> None:
        await self._desk.warp_to(timestamp)

    async def send(self, who: str, to: str, data: str, gas: int) -> Sent:
        receipt = await self._desk.send_as(who, to, data, gas)
        n = receipt.events[0].n if receipt.events else 0
        return Sent(receipt.ok, n, tuple(rejections(receipt)))

    async def request(self, n: int) -> VaultRequest:
        return await self._desk.request(n)

    async def books(self) -> VaultBooks:
        return await self._desk.books()

    async def caps(self) -> tuple[int, ...]:
        call = {"to": self.dev.vault, "data": VAULT.calldata("capsNow")}
        return _caps(bytes.fromhex((await self._desk.rpc.call("eth_call", call, "latest"))[2:]))

    async def supply(self) -> int:
        return await self._desk.supply()

    async def states(self, numbers: Sequence[int]) -> list[tuple[VaultStatus, int]]:
        states = await self._desk.vault.states(numbers, await self._desk.head())
        return [(state.status, state.owed) for state in states]

    async def balances(self, keys: Sequence[tuple[str, str]]) -> list[int]:
        found = await self._desk.rpc.batch(
            [
                ("eth_call", ({"to": t, "data": ERC20.calldata("balanceOf", who)}, "latest"))
                for t, who in keys
            ]
        )
        return [int(value, 16) for value in found]


class OnRevm:
    """Fast: calls in process, and answers cut out of the bytes where that is safe to do."""

    def __init__(self, revm: Revm) -> None:
        self.revm = revm
        self.dev = revm.chain
        self.share = revm.chain.shares["AAPL"]
        self.feed = revm.chain.feeds["AAPL"]
        self._calls: dict[object, bytes] = {}
        self._slots: dict[tuple[str, str], int] = {}
        self._requests: dict[bytes, VaultRequest] = {}
        """By the bytes they were decoded from: sequences that begin alike ask alike."""
        books = next(e for e in VAULT.abi if e.get("name") == "books")
        named = [part["name"] for part in books["outputs"][0]["components"]]
        self._books = [named.index(name) for name in Books._fields]
        entry = next(e for e in VAULT.abi if e.get("name") == "requestsOf")
        parts = [part["name"] for part in entry["outputs"][0]["components"]]
        self._size, self._status, self._owed = (
            len(parts),
            parts.index("status"),
            parts.index("owed"),
        )

    async def now(self) -> int:
        return self.revm.now

    async def warp_to(self, timestamp: int) -> None:
        self.revm.warp_to(timestamp)

    async def send(self, who: str, to: str, data: str, gas: int) -> Sent:
        try:
            logs = self.revm.transact(who, to, data, gas)
        except Reverted:
            return Sent(ok=False)
        mine = [log for log in logs if log.address == self.dev.vault]
        named = [log.topics for log in mine if len(log.topics) > 1]
        refused = [
            (int(log.topics[1], 16), Rejection(int.from_bytes(log.data[1])))
            for log in mine
            if log.topics[0] == _REJECTED
        ]
        return Sent(True, int(named[0][1], 16) if named else 0, tuple(refused))

    async def request(self, n: int) -> VaultRequest:
        answer = self._view(self.dev.vault, "request", n)
        if answer not in self._requests:
            self._requests[answer] = await self.revm.request(n)
        return self._requests[answer]

    async def books(self) -> Books:
        answer = _words(self._view(self.dev.vault, "books"))
        return Books(*(answer[index] for index in self._books))

    async def caps(self) -> tuple[int, ...]:
        return _caps(self._view(self.dev.vault, "capsNow"))

    async def supply(self) -> int:
        return _words(self._view(self.share, "totalSupply"))[0]

    async def states(self, numbers: Sequence[int]) -> list[tuple[VaultStatus, int]]:
        answer = self._view(self.dev.vault, "requestsOf", *numbers)
        # Two words before the entries; of each only what is asked for is looked at.
        starts = range(2 * _WORD, len(answer), self._size * _WORD)
        return [
            (
                _STATUS[_word(answer, start + self._status * _WORD)],
                _word(answer, start + self._owed * _WORD),
            )
            for start in starts
        ]

    async def balances(self, keys: Sequence[tuple[str, str]]) -> list[int]:
        return [self.revm.word(token, self._slot(token, who)) & _BALANCE for token, who in keys]

    async def told_balances(self, keys: Sequence[tuple[str, str]]) -> list[int]:
        """As `balances`, by asking the tokens."""
        return [_words(self._view(token, "balanceOf", who))[0] for token, who in keys]

    def _slot(self, token: str, who: str) -> int:
        slot = self._slots.get((token, who))
        if slot is None:
            base = _USDT_BALANCES if token == self.dev.usdt else _SHARE_BALANCES
            slot = int.from_bytes(keccak(encode(("address", "uint256"), (who, base))))
            self._slots[token, who] = slot
        return slot

    def _view(self, to: str, function: str, *args: int | str) -> bytes:
        data = self._calls.get((function, *args))
        if data is None:
            abi = VAULT if to == self.dev.vault else ERC20
            shaped = [list(args)] if function == "requestsOf" else args
            data = bytes.fromhex(abi.calldata(function, *shaped)[2:])
            self._calls[(function, *args)] = data
        return self.revm.view(to, data)


def _caps(answer: bytes) -> tuple[int, ...]:
    """Caps and window, what of them is used, the return limit; not the time of the answer."""
    minted, paid, window, used_minted, used_paid, _, limit = _words(answer)
    return minted, paid, window, used_minted, used_paid, limit


def _word(answer: bytes, at: int) -> int:
    return int.from_bytes(answer[at : at + _WORD])


def _words(answer: bytes) -> list[int]:
    return [int.from_bytes(answer[i : i + _WORD]) for i in range(0, len(answer) - _WORD + 1, _WORD)]
