"""What a dev chain consists of, as an ordered list of transactions of its first account.

Addresses follow from the nonces, so everything is known before anything is sent; who sends it, and
to what, is not decided here.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from eth_account import Account
from eth_utils.crypto import keccak
from web3.types import Nonce
from web3.utils import get_create_address

from clients.abi import load_contract
from clients.keys import account_of

# https://getfoundry.sh/anvil/overview#default-accounts
MNEMONIC = "test test test test test test test test test test test junk"
ADMIN, SETTLER, GUARDIAN, TREASURER, FIRST_USER = 0, 1, 2, 3, 4
USDT_UNIT = 10**6
_ANSWER = 10**8
"""Feeds for US dollars have 8 decimals: https://docs.chain.link/data-feeds/price-feeds"""
_CONTRACTS = ("BroncoVault", "ShareToken", "DevUSDT", "DevFeed")


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
            "BRONCO_CHAIN_DEV_KEY": dev_key(SETTLER),
        }

    def save(self, path: Path) -> None:
        """Write `to_json` to a file."""
        path.write_text(self.to_json() + "\n", "utf-8")


@cache
def dev_key(index: int) -> str:
    """Private key of the mnemonic's account `index`, 0x hex."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return "0x" + str(account.key.hex())


@cache
def dev_address(index: int) -> str:
    """Address of the mnemonic's account `index`."""
    return str(account_of(dev_key(index)).address)


class Step(NamedTuple):
    """One transaction of the first account. to: "" creates a contract. data: 0x hex."""

    what: str
    to: str
    data: str


class Deployment:
    """The steps of one plan, from the nonce that the first account is at."""

    def __init__(self, chain_id: int, plan: DevChainPlan, nonce: int) -> None:
        self._plan = plan
        self._nonce = nonce
        self._contracts = {name: load_contract(name) for name in _CONTRACTS}
        self.steps: list[Step] = []
        self.chain = self._foretell(chain_id)

    def _foretell(self, chain_id: int) -> DevChain:
        plan = self._plan
        usdt = self._create("DevUSDT")
        feeds = {s: self._create("DevFeed", f"{s} / USD", 8, p) for s, p in plan.stocks.items()}
        feeds["USDT"] = self._create("DevFeed", "USDT / USD", 8, _ANSWER)
        vault = self._create("BroncoVault", self._terms(usdt))
        shares = {s: self._create("ShareToken", f"{s} share", s, vault) for s in plan.stocks}
        users = tuple(dev_address(FIRST_USER + i) for i in range(plan.users))
        self._configure(vault, shares, feeds)
        self._give_money(usdt, vault, users)
        return DevChain(
            chain_id=chain_id,
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
        return (usdt, dev_address(ADMIN), *clocks, plan.min_deposit, plan.fee_bps, plan.floor)

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

    def _create(self, contract: str, *args: object) -> str:
        address = str(get_create_address(account_of(dev_key(ADMIN)).address, Nonce(self._at)))
        self._enqueue("", self._contracts[contract].creation(*args), contract)
        return address

    def _call(self, contract: str, to: str, function: str, *args: object) -> None:
        data = self._contracts[contract].calldata(function, *args)
        self._enqueue(to, data, f"{contract}.{function}")

    @property
    def _at(self) -> int:
        return self._nonce + len(self.steps)

    def _enqueue(self, to: str, data: str, what: str) -> None:
        self.steps.append(Step(what, to, data))
