"""Contracts and money on a dev chain: what the demo, the tests and the CLI's wallet stand on.

Everything uses anvil's published mnemonic, so all keys here are known to everybody.
"""

import asyncio
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from eth_account import Account
from eth_utils.crypto import keccak
from web3.types import Nonce
from web3.utils import get_create_address

from clients.abi import ContractAbi, load_contract
from clients.keys import UnsignedTx, account_of, sign_with
from clients.rpc import Call, Rpc
from clients.wallet import CallReverted
from models.chain import DEV_CHAIN_IDS
from models.errors import ConfigurationError, SourceUnavailable

# https://getfoundry.sh/anvil/overview#default-accounts
MNEMONIC = "test test test test test test test test test test test junk"
ADMIN, SETTLER, GUARDIAN, TREASURER, FIRST_USER = 0, 1, 2, 3, 4
USDT_UNIT = 10**6
_CREATE_GAS = 8_000_000
_CALL_GAS = 500_000
_MINED_SECONDS = 30
_NUDGE_TRIES = 40
_MAX_FEE = 100 * 10**9
_ANSWER = 10**8
"""Feeds for US dollars have 8 decimals: https://docs.chain.link/data-feeds/price-feeds"""


@dataclass(frozen=True)
class DevChainPlan:
    """What to deploy. Prices: dollars x 10^8. Money: USDT units. Ether: wei. Times: seconds."""

    stocks: dict[str, int] = field(default_factory=lambda: {"AAPL": 190 * _ANSWER})
    users: int = 4
    user_usdt: int = 1_000_000 * USDT_UNIT
    user_ether: int = 10 * 10**18
    float_usdt: int = 1_000_000 * USDT_UNIT
    min_deposit: int = 10 * USDT_UNIT
    fee_bps: int = 20
    floor: int = 0
    band_bps: int = 2_500
    gap_bps: int = 5_000
    heartbeat_seconds: int = 86_400
    settle_grace_seconds: int = 7 * 86_400
    min_lifetime_seconds: int = 600
    max_lifetime_seconds: int = 30 * 86_400
    admin_delay_seconds: int = 0


@dataclass(frozen=True)
class DevChain:
    """Addresses of what was deployed; shares and feeds by symbol, "USDT" being the peg's feed."""

    chain_id: int
    vault: str
    usdt: str
    shares: dict[str, str]
    feeds: dict[str, str]
    admin: str
    settler: str
    guardian: str
    treasurer: str
    users: tuple[str, ...]
    block_number: int

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "DevChain":
        """Back from `to_json`."""
        raw = json.loads(text)
        return cls(**{**raw, "users": tuple(raw["users"])})

    def variables(self) -> dict[str, str]:
        """What Bronco is told about it, by setting."""
        assets = ",".join(
            f'{{"symbol": "{symbol}", "token": "{token}", "feed": "{self.feeds[symbol]}"}}'
            for symbol, token in self.shares.items()
        )
        return {
            "BRONCO_CHAIN_ID": str(self.chain_id),
            "BRONCO_CHAIN_VAULT": self.vault,
            "BRONCO_CHAIN_USDT": self.usdt,
            "BRONCO_CHAIN_USDT_FEED": self.feeds["USDT"],
            "BRONCO_CHAIN_ASSETS": f"[{assets}]",
            "BRONCO_SIGNER_ADDRESS": self.settler,
        }

    def key_variables(self) -> dict[str, str]:
        """What the signer alone is told: the settler's key, which everybody knows."""
        return {"BRONCO_KEY_BACKEND": "PLAIN", "BRONCO_KEY_DEV_KEY": dev_key(SETTLER)}

    def save(self, path: Path) -> None:
        """Write `to_json` to a file."""
        path.write_text(self.to_json() + "\n", "utf-8")


@cache
def dev_key(index: int) -> str:
    """Private key of the mnemonic's account `index`, 0x hex."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return "0x" + str(account.key.hex())


def dev_address(index: int) -> str:
    """Address of the mnemonic's account `index`."""
    return str(account_of(dev_key(index)).address)


async def deploy(rpc: Rpc, plan: DevChainPlan | None = None) -> DevChain:
    """Deploy tokens, feeds and the vault, grant the roles, and give out money.

    Raises:
        ConfigurationError: the endpoint serves no dev chain.
        CallReverted: a step failed on chain.
    """
    return await _Deployment(rpc, await _dev_chain_id(rpc), plan or DevChainPlan()).run()


async def ensure_deployed(rpc: Rpc, plan: DevChainPlan | None = None) -> tuple[DevChain, bool]:
    """The contracts as the first thing on the chain, deployed unless there; and whether they were.

    block_number is 0 when they were there.

    Raises:
        ConfigurationError: it is no dev chain, or something else came first.
        CallReverted: a step failed on chain.
    """
    chain_id = await _dev_chain_id(rpc)
    deployment = _Deployment(rpc, chain_id, plan or DevChainPlan())
    sent = await _sent(rpc)
    if sent == 0:
        return await deployment.run(), False
    chain = deployment.foretell(0)
    code = await rpc.call("eth_getCode", chain.vault, "latest")
    if sent < deployment.steps or code == "0x":
        said = "holds transactions of its first account but not our contracts: use a fresh one"
        raise ConfigurationError("the dev chain", said)
    return chain, True


async def _dev_chain_id(rpc: Rpc) -> int:
    chain_id = await rpc.quantity("eth_chainId")
    if chain_id not in DEV_CHAIN_IDS:
        raise ConfigurationError("chain id", f"{chain_id} is no dev chain; nothing was deployed")
    return chain_id


async def _sent(rpc: Rpc) -> int:
    return await rpc.quantity("eth_getTransactionCount", dev_address(ADMIN), "latest")


class _Deployment:
    """Everything from the admin in one round trip: addresses follow from its nonces."""

    def __init__(self, rpc: Rpc, chain_id: int, plan: DevChainPlan) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._plan = plan
        self._key = account_of(dev_key(ADMIN))
        self._nonce = 0
        self._queue: list[tuple[str, str]] = []
        self._contracts = {
            name: load_contract(name)
            for name in ("BroncoVault", "ShareToken", "DevUSDT", "DevFeed")
        }

    async def run(self) -> DevChain:
        chain = self.foretell(await _sent(self._rpc))
        await self._give_ether(chain.users)
        return replace(chain, block_number=await self._flush())

    @property
    def steps(self) -> int:
        """Transactions that were foretold."""
        return len(self._queue)

    def foretell(self, nonce: int) -> DevChain:
        """What comes out when the admin has sent `nonce` transactions; queues the way there."""
        self._nonce, plan = nonce, self._plan
        usdt = self._create("DevUSDT")
        feeds = {s: self._create("DevFeed", f"{s} / USD", 8, p) for s, p in plan.stocks.items()}
        feeds["USDT"] = self._create("DevFeed", "USDT / USD", 8, _ANSWER)
        vault = self._create("BroncoVault", self._terms(usdt))
        shares = {s: self._create("ShareToken", f"{s} share", s, vault) for s in plan.stocks}
        users = tuple(dev_address(FIRST_USER + i) for i in range(plan.users))
        self._configure(vault, shares, feeds)
        self._give_money(usdt, vault, users)
        return DevChain(
            chain_id=self._chain_id,
            vault=vault,
            usdt=usdt,
            shares=shares,
            feeds=feeds,
            admin=dev_address(ADMIN),
            settler=dev_address(SETTLER),
            guardian=dev_address(GUARDIAN),
            treasurer=dev_address(TREASURER),
            users=users,
            block_number=0,
        )

    def _terms(self, usdt: str) -> tuple[object, ...]:
        plan = self._plan
        lifetimes = (plan.min_lifetime_seconds, plan.max_lifetime_seconds)
        clocks = (plan.admin_delay_seconds, plan.settle_grace_seconds, *lifetimes)
        return (usdt, self._key.address, *clocks, plan.min_deposit, plan.fee_bps, plan.floor)

    def _configure(self, vault: str, shares: dict[str, str], feeds: dict[str, str]) -> None:
        roles = {"SETTLER": SETTLER, "GUARDIAN": GUARDIAN, "TREASURER": TREASURER, "CONFIG": ADMIN}
        for role, index in roles.items():
            role_id = keccak(text=f"{role}_ROLE")
            self._call("BroncoVault", vault, "grantRole", role_id, dev_address(index))
        plan = self._plan
        for symbol, token in shares.items():
            terms = (plan.heartbeat_seconds, plan.band_bps, plan.gap_bps, True)
            self._call("BroncoVault", vault, "configureAsset", token, feeds[symbol], *terms)

    def _give_money(self, usdt: str, vault: str, users: tuple[str, ...]) -> None:
        plan = self._plan
        if plan.float_usdt:
            self._call("DevUSDT", usdt, "mint", vault, plan.float_usdt)
        for user in users:
            self._call("DevUSDT", usdt, "mint", user, plan.user_usdt)

    async def _give_ether(self, users: tuple[str, ...]) -> None:
        wanted = hex(self._plan.user_ether)
        staff = tuple(dev_address(index) for index in (SETTLER, GUARDIAN, TREASURER))
        calls: list[Call] = [("anvil_setBalance", (who, wanted)) for who in (*staff, *users)]
        await self._rpc.batch(calls)

    def _create(self, contract: str, *args: object) -> str:
        address = self._foretold()
        self._enqueue("", self._contracts[contract].creation(*args), contract)
        return address

    def _call(self, contract: str, to: str, function: str, *args: object) -> None:
        abi: ContractAbi = self._contracts[contract]
        self._enqueue(to, abi.calldata(function, *args), f"{contract}.{function}")

    def _foretold(self) -> str:
        return str(get_create_address(self._key.address, Nonce(self._nonce)))

    def _enqueue(self, to: str, data: str, what: str) -> None:
        tx = UnsignedTx(
            chain_id=self._chain_id,
            to=to,
            nonce=self._nonce,
            gas=_CALL_GAS if to else _CREATE_GAS,
            max_fee=_MAX_FEE,
            max_priority_fee=1,
            data=data,
        )
        self._nonce += 1
        self._queue.append((what, sign_with(self._key, tx).raw))

    async def _flush(self) -> int:
        """Send the queue in one round trip, wait for its blocks, and see that each call worked."""
        sends: list[Call] = [("eth_sendRawTransaction", (raw,)) for _, raw in self._queue]
        hashes = await self._rpc.batch(sends)
        receipts = await self._receipts(hashes)
        for (what, _), receipt in zip(self._queue, receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                raise CallReverted(what, f"transaction {receipt['transactionHash']} reverted")
        return max(int(receipt["blockNumber"], 16) for receipt in receipts)

    async def _receipts(self, hashes: list[str]) -> list[dict[str, str]]:
        reads: list[Call] = [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes]
        try:
            async with asyncio.timeout(_MINED_SECONDS):
                tries = 0
                while True:
                    tries += 1
                    receipts = await self._rpc.batch(reads)
                    if all(receipts):
                        return receipts
                    if tries % _NUDGE_TRIES == 0:
                        # Seen on a busy machine: anvil held all of them and mined none.
                        await self._rpc.call("evm_mine")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            detail = f"the contracts are in no block after {_MINED_SECONDS} s"
            raise SourceUnavailable(self._rpc.name, "deploying", detail) from error
