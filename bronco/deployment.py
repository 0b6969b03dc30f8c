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
from models.money import SHARE_SCALE

# https://getfoundry.sh/anvil/overview#default-accounts
MNEMONIC = "test test test test test test test test test test test junk"
ADMIN, SETTLER, GUARDIAN, TREASURER, FIRST_USER = 0, 1, 2, 3, 4
AUDITOR = 2**31 - 1
"""Far behind all users."""
USDT_UNIT = 10**6
_ANSWER = 10**8
"""Feeds for US dollars have 8 decimals: https://docs.chain.link/data-feeds/price-feeds"""
_LIBRARIES = ("Approvals", "AssetChecks", "VaultViews")
_CONTRACTS = (
    *(*_LIBRARIES, "BroncoVault", "ShareToken", "ShareReference", "SupplyMonitor"),
    *("DevUSDT", "DevFeed", "Timelock"),
)


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
    post_age_seconds: int = 14_400
    """For which a posted price stands in for a stale feed; by no more than post_move_bps."""
    post_move_bps: int = 3_000
    split_notice_seconds: int = 0
    attestation_seconds: int = 86_400
    """For which an attestation of what backs a token is fresh."""
    settle_grace_seconds: int = 7 * 86_400
    min_lifetime_seconds: int = 600
    max_lifetime_seconds: int = 30 * 86_400
    admin_delay_seconds: int = 0
    mint_cap: int = 2**96 - 1
    pay_cap: int = 2**96 - 1
    cap_window_seconds: int = 86_400
    return_limit: int = 2**128 - 1
    timelock_seconds: int = 0
    """Above 0: a timelock with this delay is the vault's admin and configures it."""


@dataclass(frozen=True)
class DevChain:
    """Addresses of what was deployed, by symbol where there are several.

    feeds: prices per share, "USDT" being the peg's. references: what the vault lists, per token.
    """

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
    timelock: str = ""
    """Admin of the vault where the plan has one; "": the admin account itself."""
    references: dict[str, str] = field(default_factory=dict)
    monitor: str = ""

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
            f'{{"symbol": "{symbol}", "token": "{token}", "feed": "{self.references[symbol]}", '
            '"exchange": ""}'
            for symbol, token in self.shares.items()
        )
        return {
            "BRONCO_CHAIN_ID": str(self.chain_id),
            "BRONCO_CHAIN_VAULT": self.vault,
            "BRONCO_CHAIN_USDT": self.usdt,
            "BRONCO_CHAIN_USDT_FEED": self.feeds["USDT"],
            "BRONCO_CHAIN_ASSETS": f"[{assets}]",
            "BRONCO_CHAIN_MONITOR": self.monitor,
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
        # They ask the vault, which comes after them, for roles.
        vault = self._foretold(1 + len(plan.stocks))
        monitor = self._create("SupplyMonitor", vault, plan.attestation_seconds)
        references = self._list_references(feeds)
        # What the vault calls may come after it: its address is known, and nobody calls it before.
        after = 1 + len(plan.stocks)
        libraries = {name: self._foretold(after + i) for i, name in enumerate(_LIBRARIES)}
        timelock = self._foretold(after + len(_LIBRARIES)) if plan.timelock_seconds else ""
        terms = self._terms(usdt, timelock or dev_address(ADMIN))
        vault = self._create("BroncoVault", terms, libraries=libraries)
        shares = {s: self._create("ShareToken", f"{s} share", s, vault) for s in plan.stocks}
        for name in _LIBRARIES:
            self._create(name)
        self._govern(timelock, vault, self._settings(shares, references, timelock))
        users = tuple(dev_address(FIRST_USER + i) for i in range(plan.users))
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
            timelock=timelock,
            references=references,
            monitor=monitor,
        )

    def _list_references(self, feeds: dict[str, str]) -> dict[str, str]:
        """What the vault lists for each stock; roles they ask of the vault, which comes next."""
        plan = self._plan
        vault = self._foretold(len(plan.stocks))
        bounds = (plan.heartbeat_seconds, plan.post_age_seconds, plan.split_notice_seconds)
        terms = (vault, (*bounds, plan.post_move_bps), 1, 1)
        return {s: self._create("ShareReference", feeds[s], *terms) for s in plan.stocks}

    def _terms(self, usdt: str, admin: str) -> tuple[object, ...]:
        plan = self._plan
        lifetimes = (plan.min_lifetime_seconds, plan.max_lifetime_seconds)
        clocks = (plan.admin_delay_seconds, plan.settle_grace_seconds, *lifetimes)
        return (usdt, admin, *clocks, plan.min_deposit, plan.fee_bps, plan.floor)

    def _settings(
        self, shares: dict[str, str], references: dict[str, str], timelock: str
    ) -> list[tuple[str, tuple[object, ...]]]:
        """Calls of the vault's admin: roles, assets, caps."""
        holders = {"SETTLER": SETTLER, "GUARDIAN": GUARDIAN, "TREASURER": TREASURER}
        roles = {name: dev_address(index) for name, index in holders.items()}
        roles["CONFIG"] = timelock or dev_address(ADMIN)
        roles["AUDITOR"] = dev_address(AUDITOR)
        roles["REFERENCE"] = roles["ATTESTOR"] = dev_address(ADMIN)
        plan, calls = self._plan, list[tuple[str, tuple[object, ...]]]()
        for role, holder in roles.items():
            calls.append(("grantRole", (keccak(text=f"{role}_ROLE"), holder)))
        for symbol, token in shares.items():
            terms = (plan.heartbeat_seconds, plan.band_bps, plan.gap_bps, True, SHARE_SCALE)
            calls.append(("configureAsset", (token, references[symbol], *terms)))
        caps = (plan.mint_cap, plan.pay_cap, plan.cap_window_seconds)
        calls.append(("configureCaps", (caps, plan.return_limit)))
        return calls

    def _govern(
        self, timelock: str, vault: str, calls: list[tuple[str, tuple[object, ...]]]
    ) -> None:
        """Make the calls, through the timelock if there is one; its delay begins after them."""
        if not timelock:
            for function, args in calls:
                self._call("BroncoVault", vault, function, *args)
            return
        admin = dev_address(ADMIN)
        self._create("Timelock", 0, [admin], [admin])
        abi, own = self._contracts["BroncoVault"], self._contracts["Timelock"]
        data = [bytes.fromhex(abi.calldata(function, *args)[2:]) for function, args in calls]
        delay = own.calldata("updateDelay", self._plan.timelock_seconds)
        data.append(bytes.fromhex(delay[2:]))
        targets = [vault] * len(calls) + [timelock]
        batch = (targets, [0] * len(data), data, bytes(32), bytes(32))
        self._call("Timelock", timelock, "scheduleBatch", *batch, 0)
        self._call("Timelock", timelock, "executeBatch", *batch)

    def _give_money(self, usdt: str, vault: str, users: tuple[str, ...]) -> None:
        plan = self._plan
        if plan.float_usdt:
            self._call("DevUSDT", usdt, "mint", vault, plan.float_usdt)
        for user in users:
            self._call("DevUSDT", usdt, "mint", user, plan.user_usdt)

    def _create(self, contract: str, *args: object, libraries: dict[str, str] | None = None) -> str:
        address = self._foretold(0)
        self._enqueue("", self._contracts[contract].creation(*args, libraries=libraries), contract)
        return address

    def _call(self, contract: str, to: str, function: str, *args: object) -> None:
        data = self._contracts[contract].calldata(function, *args)
        self._enqueue(to, data, f"{contract}.{function}")

    def _foretold(self, steps: int) -> str:
        """Address of the contract that is created so many steps from here."""
        nonce = self._nonce + len(self.steps) + steps
        return str(get_create_address(account_of(dev_key(ADMIN)).address, Nonce(nonce)))

    def _enqueue(self, to: str, data: str, what: str) -> None:
        self.steps.append(Step(what, to, data))
