"""One sequence of calls, on a chain and in the model at once."""

import random
from collections.abc import Awaitable, Callable
from functools import lru_cache

from bronco.deployment import FIRST_USER, dev_address
from clients.approvals import (
    Approval,
    Signing,
    ascending,
    digest,
    refund_data,
    settlement_data,
)
from clients.sender import gas_limit_for
from clients.vault import VAULT, settle_calldata
from clients.wallet import ERC20, USDT
from models.chain import RefundItem, Rejection, SettleItem
from models.money import MARKET_BUY_LIMIT
from models.requests import Side, VaultRequest, VaultStatus
from tests.integration.vault import model as m
from tests.integration.vault.chains import FEED, PlayChain, Sent
from tests.integration.vault.quick import quickly_signed

DOLLAR = 10**6
SHARE = 10**18
MOST = 2**96 - 1
APPROVERS = sorted((FIRST_USER + 10 + i for i in range(3)), key=lambda i: int(dev_address(i), 16))
OUTSIDER = FIRST_USER

Args = tuple[int, int, int]
WEIGHTS = {
    **{"deposit": 5, "redeem": 8, "settle": 10, "refund": 3, "reclaim": 4, "cancel": 1},
    **{"block": 3, "unblock": 2, "claim": 4, "pay_owed": 3, "withdraw": 4, "fund": 2},
    **{"later": 2, "price": 2, "stale": 1, "pause": 1},
    **{"caps": 2, "approve": 3, "approve_refund": 1, "approvers": 1},
}


def sequence(seed: int, length: int) -> list[tuple[str, Args]]:
    """Steps in which much goes on; a shorter length gives the beginning of the same."""
    dice = random.Random(seed)
    kinds = dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=60)
    numbers = [(dice.randrange(8), dice.randrange(8), dice.randrange(8)) for _ in kinds]
    return list(zip(kinds, numbers, strict=True))[:length]


@lru_cache(maxsize=50_000)
def _calldata(function: str, *args: object) -> str:
    """Remembered: sequences that begin alike ask alike."""
    return VAULT.calldata(function, *args)


class Run:
    """One sequence on the chain and in the model at once."""

    def __init__(self, chain: PlayChain) -> None:
        self.chain = chain
        self.users = list(chain.dev.users[:3])
        self.people = [*self.users, chain.dev.treasurer]
        self.model = m.Model(chain.dev.usdt, chain.share, {})
        self.paused = False
        self.now = 0

    async def begin(self) -> None:
        self.model.balances = await self.balances()
        self.now = self.model.now = await self.chain.now()
        await self.approvers((1, 0, 0))
        for user in self.users:
            approve = ERC20.calldata("approve", self.chain.dev.vault, 2**255)
            assert (await self.send(user, self.chain.dev.usdt, approve)).ok
            assert (await self.send(user, self.chain.share, approve)).ok
        for i in range(3):
            await self.deposit((i, 4, 0))
            await self.settle((0, 0, 0))

    async def step(self, kind: str, args: Args) -> None:
        action: Callable[[Args], Awaitable[None]] = getattr(self, kind)
        await action(args)
        await self.compare()

    # --- steps; each takes three small numbers

    async def deposit(self, args: Args) -> None:
        who, size, limit = args
        amount = (3, 200, 1000, 1001, 5000, 190, 191, 777)[size] * DOLLAR + size
        price = MARKET_BUY_LIMIT if limit < 5 else 200 * DOLLAR
        await self.ask("deposit", who, amount, price, legal=amount >= 10 * DOLLAR)

    async def redeem(self, args: Args) -> None:
        who, size, limit = args
        user = self.users[who % 3]
        amount = SHARE * (size // 2 + 1) + (-1, 0, 0, 7)[size % 4]
        enough = amount >= SHARE and self.model.balances[self.chain.share, user] >= amount
        price = 0 if limit < 5 else 150 * DOLLAR
        await self.ask("redeem", who, amount, price, legal=enough)

    async def ask(self, function: str, who: int, amount: int, price: int, *, legal: bool) -> None:
        user, recipient = self.users[who % 3], self.users[(who // 2) % 3]
        asks_money = function == "deposit" and self.model.blocked & {user, m.VAULT}
        args = (self.chain.share, amount, price, self.now + 3600, recipient)
        receipt = await self.vault_call(user, function, *args)
        assert receipt.ok is (legal and not self.paused and not asks_money)
        if receipt.ok:
            self.model.request(await self.chain.request(receipt.n))

    async def settle(self, args: Args) -> None:
        items = [self.item(args[0] + i * args[2], args[1] + i) for i in range(args[2] % 3 + 1)]
        await self.batch([item for item in items if item is not None], [])

    async def refund(self, args: Args) -> None:
        request = self.pick(args[0])
        if request is None:
            return
        swapped = "0x" + "00" * 32 if args[1] == 7 else request.request_id
        wrong_n = 50 if args[1] == 6 else 0
        item = RefundItem(n=request.n + wrong_n, request_id=swapped, reason=args[2])
        also = self.item(args[2], args[1])
        await self.batch([also] if also and args[2] > 4 else [], [item])

    async def batch(self, items: list[SettleItem], refunds: list[RefundItem]) -> None:
        data, gas = settle_calldata(items, refunds), gas_limit_for(items, refunds)
        receipt = await self.send(self.chain.dev.settler, self.chain.dev.vault, data, gas)
        assert receipt.ok
        await self.at()
        verdicts = [(i.n, self.model.settle(i)) for i in items]
        verdicts += [(r.n, self.model.refund(r)) for r in refunds]
        self.model.pay_owed(3)
        assert list(receipt.rejections) == [v for v in verdicts if v[1] is not Rejection.NONE]
        await self.compare_caps()

    async def caps(self, args: Args) -> None:
        """What settlers may do alone: mostly all, now and then little or nothing."""
        window = (3600, 86_400)[args[1] % 2]
        minted = (MOST, MOST, MOST, MOST, 950, 1900, 5000, 0)[args[0]]
        paid = (MOST, MOST, MOST, MOST, 190, 379, 1000, 0)[args[1]]
        back = (m.NO_LIMIT, m.NO_LIMIT, m.NO_LIMIT, m.NO_LIMIT, 1000, 190, 50, 0)[args[2]]
        minted, paid, back = (n if n >= MOST else n * DOLLAR for n in (minted, paid, back))
        terms = ((minted, paid, window), back)
        assert (await self.vault_call(self.chain.dev.admin, "configureCaps", *terms)).ok
        now = await self.at()
        self.model.minted.change(minted, window, now)
        self.model.paid.change(paid, window, now)
        self.model.return_limit = back
        await self.compare_caps()

    async def approvers(self, args: Args) -> None:
        """Named anew, which makes void what they signed; now and then nobody."""
        threshold = (0, 2, 2, 2, 1, 3, 2, 2)[args[0]]
        signers = tuple(dev_address(i) for i in APPROVERS) if threshold else ()
        named = await self.vault_call(
            self.chain.dev.admin, "configureApprovers", signers, threshold
        )
        assert named.ok
        self.model.epoch += 1
        self.model.threshold = threshold

    async def approve(self, args: Args) -> None:
        item = self.item(args[0], args[1])
        if item is None:
            return
        hashes = (bytes.fromhex(text[2:]) for text in (item.request_id, item.fill_hash))
        request_id, fill_hash = hashes
        terms = (item.n, request_id, item.taken, item.out, item.fee, fill_hash)
        signing, approvals, right = self.signatures(args[2], lambda s: settlement_data(item, s))
        call = (terms, signing.deadline, approvals)
        sent = await self.vault_call(self.users[0], "settleWithApprovals", *call)
        assert sent.ok is (right and self.model.settle(item, approved=True) is Rejection.NONE)

    async def approve_refund(self, args: Args) -> None:
        request = self.pick(args[0])
        if request is None:
            return
        item = RefundItem(n=request.n, request_id=request.request_id, reason=args[1])
        signing, approvals, right = self.signatures(args[2], lambda s: refund_data(item, s))
        terms = (item.n, bytes.fromhex(item.request_id[2:]), item.reason)
        call = (terms, signing.deadline, approvals)
        sent = await self.vault_call(self.users[0], "refundWithApprovals", *call)
        assert sent.ok is (right and self.model.refund(item, approved=True) is Rejection.NONE)

    def signatures(
        self, way: int, data: Callable[[Signing], dict[str, object]]
    ) -> tuple[Signing, tuple[Approval, ...], bool]:
        """Who signed, and whether that is right; the ways below 4 are, if these are enough."""
        first, second, third = APPROVERS
        signers = {0: [first, second], 1: [first, second, third], 2: [first], 3: [second, third]}
        wrong = {6: [first, OUTSIDER], 7: [first, first]}
        named = signers.get(way) or wrong.get(way) or [first, second, third]
        # Signed for the approvers before these, or to be used by yesterday.
        epoch = self.model.epoch - (way == 4)
        deadline = self.now - 1 if way == 5 else self.now + 3600
        signing = Signing(self.chain.dev.chain_id, self.chain.dev.vault, epoch, deadline)
        hashed = digest(data(signing))
        approvals = tuple(ascending([quickly_signed(hashed, index) for index in named]))
        enough = 0 < self.model.threshold <= len(named)
        return signing, approvals, way < 4 and enough

    async def reclaim(self, args: Args) -> None:
        request = self.pick(args[0])
        if request is None:
            return
        caller = self.users[args[1] % 3] if args[1] > 5 else request.owner
        receipt = await self.vault_call(caller, "reclaim", request.n)
        due = await self.chain.now() >= request.reclaim_at
        legal = caller == request.owner and due and request.n not in self.model.ended
        assert receipt.ok is legal
        if receipt.ok:
            self.model.give_back(request, VaultStatus.RECLAIMED)

    async def cancel(self, args: Args) -> None:
        request = self.pick(args[0])
        if request is not None:
            await self.vault_call(request.owner, "requestCancel", request.n)

    async def block(self, args: Args) -> None:
        # The vault itself is blocked now and then: nothing can be delivered to anybody.
        who = m.VAULT if args[0] == 7 else self.users[args[0] % 3]
        self.model.blocked.add(who)
        await self.mark(who, blocked=True)

    async def unblock(self, _: Args) -> None:
        for who in sorted(self.model.blocked):
            await self.mark(who, blocked=False)
        self.model.blocked.clear()

    async def mark(self, who: str, *, blocked: bool) -> None:
        account = self.chain.dev.vault if who == m.VAULT else who
        data = USDT.calldata("setBlocked", account, blocked)
        assert (await self.send(self.chain.dev.admin, self.chain.dev.usdt, data)).ok

    async def claim(self, args: Args) -> None:
        who, to = self.users[args[0] % 3], self.users[args[1] % 3]
        receipt = await self.vault_call(who, "claim", self.chain.dev.usdt, to)
        has = self.model.claims.get((self.chain.dev.usdt, who), 0) > 0
        assert receipt.ok is (has and not self.model.blocked & {to, m.VAULT})
        if receipt.ok:
            self.model.claim(self.chain.dev.usdt, who, to)

    async def pay_owed(self, args: Args) -> None:
        assert (await self.vault_call(self.users[0], "payOwed", args[0])).ok
        self.model.pay_owed(args[0])

    async def withdraw(self, args: Args) -> None:
        most = max(self.model.free - self.model.debt, 0)
        amount = (most, most + 1, most // 2, most, most - 1, 0, 1, most + DOLLAR)[args[0]]
        if amount < 0:
            return
        to = self.chain.dev.treasurer
        receipt = await self.vault_call(to, "withdraw", to, amount)
        assert receipt.ok is (amount <= most and m.VAULT not in self.model.blocked)
        if receipt.ok:
            self.model.move(self.chain.dev.usdt, m.VAULT, to, amount)

    async def fund(self, args: Args) -> None:
        user, amount = self.users[args[0] % 3], (args[1] + 1) * 97 * DOLLAR
        receipt = await self.vault_call(user, "fund", amount)
        assert receipt.ok is not bool(self.model.blocked & {user, m.VAULT})
        if receipt.ok:
            self.model.move(self.chain.dev.usdt, user, m.VAULT, amount)

    async def later(self, args: Args) -> None:
        await self.chain.warp_to(self.now + (60, 3601, 86_400, *[8 * 86_400] * 5)[args[0]])
        await self.price((3, 0, 0))

    async def price(self, args: Args) -> None:
        dollars = (150, 170, 180, 190, 190, 200, 230, 140)[args[0]]
        self.model.price = dollars * DOLLAR
        await self.feed("setAnswer", dollars * 10**8)

    async def stale(self, _: Args) -> None:
        self.model.price = None
        await self.feed("setRound", 190 * 10**8, 1)

    async def pause(self, _: Args) -> None:
        self.paused = not self.paused
        who = self.chain.dev.guardian if self.paused else self.chain.dev.admin
        assert (await self.vault_call(who, "pause" if self.paused else "unpause")).ok

    # --- building blocks

    def pick(self, index: int) -> VaultRequest | None:
        """Mostly an open request, now and then one that has ended."""
        known = list(self.model.requests.values())
        pool = known if index == 7 else self.model.open or known
        return pool[index % len(pool)] if pool else None

    def item(self, index: int, tweak: int) -> SettleItem | None:
        """A fill of the request: mostly sound, by the tweak a unit or a world off."""
        request = self.pick(index)
        if request is None:
            return None
        price = (190, 189, 190, 201, 149, 190, 190, 260)[tweak % 8] * DOLLAR
        buying = request.side is Side.BUY
        shares = request.amount // (price + DOLLAR) if buying else request.amount // SHARE
        gross = shares * price
        fee = gross * request.fee_bps // 10_000 + (1 if tweak == 6 else 0)
        money = gross + fee if buying else gross - fee
        units = shares * SHARE + (1 if tweak == 5 else 0)
        taken, out = (money, units) if buying else (units, money)
        if (request.n, tweak % 2) in ((1, 0), (2, 0)) and request.n in self.model.settled_as:
            return self.model.settled_as[request.n]
        fill_hash = f"0x{request.n:064x}"
        return SettleItem(
            n=request.n,
            request_id=request.request_id,
            taken=max(taken, 0),
            out=max(out, 0),
            fee=max(fee, 0),
            fill_hash=fill_hash,
        )

    async def compare(self) -> None:
        """The invariants of DESIGN.md, and every balance to the unit."""
        model = self.model
        self.now = await self.chain.now()
        books = await self.chain.books()
        assert books.balance >= books.escrow + books.claimable + min(books.owed, books.free)
        assert (books.escrow, books.claimable) == (model.escrow, model.claimable)
        assert (books.free, books.owed, books.fees) == (model.free, model.debt, model.fees)
        assert await self.balances() == {key: model.balances[key] for key in self.keys()}
        assert await self.chain.supply() == model.supply
        owed = {n: amount for n, _, amount in model.owed}
        assert await self.chain.states(list(model.requests)) == [
            (model.ended.get(n, VaultStatus.OPEN), owed.get(n, 0)) for n in model.requests
        ]

    async def at(self) -> int:
        """When the last call happened."""
        self.model.now = await self.chain.now()
        return self.model.now

    async def compare_caps(self) -> None:
        model, now = self.model, self.model.now
        used = (model.minted.used_at(now), model.paid.used_at(now))
        limits = (model.minted.most, model.paid.most, model.minted.window)
        assert await self.chain.caps() == (*limits, *used, model.return_limit)

    def keys(self) -> list[tuple[str, str]]:
        holders = [*self.people, m.VAULT]
        return [(t, who) for t in (self.chain.dev.usdt, self.chain.share) for who in holders]

    async def balances(self) -> dict[tuple[str, str], int]:
        found = await self.chain.balances(self.accounts())
        return dict(zip(self.keys(), found, strict=True))

    def accounts(self) -> list[tuple[str, str]]:
        vault = self.chain.dev.vault
        return [(token, vault if who == m.VAULT else who) for token, who in self.keys()]

    async def feed(self, function: str, *args: int) -> None:
        data = FEED.calldata(function, *args)
        assert (await self.send(self.chain.dev.admin, self.chain.feed, data)).ok

    async def vault_call(self, who: str, function: str, *args: object) -> Sent:
        return await self.send(who, self.chain.dev.vault, _calldata(function, *args))

    async def send(self, who: str, to: str, data: str, gas: int = 900_000) -> Sent:
        return await self.chain.send(who, to, data, gas)
