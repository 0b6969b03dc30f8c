"""The vault in a chain that lives inside this process: thousands of calls a second.

The same bytes, deployed by the same steps as on anvil, run by revm. There is one block for ever,
whose time and number tests set; each call is a transaction of its own.
"""

import re
from typing import Any, NamedTuple, cast

from pyrevm import EVM, AccountInfo, BlockEnv, CfgEnv, Env, JournalCheckpoint
from web3.types import Nonce
from web3.utils import get_create_address

from bronco.deployment import ADMIN, Deployment, DevChain, DevChainPlan, dev_address, dev_key
from clients.abi import ContractAbi, load_contract
from clients.keys import account_of
from clients.rpc import Rpc
from clients.vault import VAULT, VaultClient
from clients.wallet import ERC20, USDT
from models.requests import BlockRef, VaultRequest

CHAIN_ID = 31337
START = 1_800_000_000
GAS = 16_000_000
_OUTPUT = re.compile(r"output: 0x([0-9a-f]*)")
_DECLARING = (
    *(VAULT, ERC20, USDT),
    *(
        load_contract(name)
        for name in ("DevFeed", "EligibilityList", "ShareReference", "SupplyMonitor", "Timelock")
    ),
)


class Event(NamedTuple):
    """One event of the vault."""

    name: str
    args: dict[str, Any]


class Reverted(Exception):
    """A call changed nothing. name: of its custom error; "" when the chain itself refused."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Revm:
    """One deployed dev chain in process."""

    def __init__(self, plan: DevChainPlan | None = None) -> None:
        env = Env(cfg=CfgEnv(chain_id=CHAIN_ID))
        self._evm = EVM(env=env, spec_id="CANCUN", gas_limit=2**40)
        self._replaced: dict[str, AccountInfo] = {}
        self.now = START
        self.block = 1
        self._mine()
        deployment = Deployment(CHAIN_ID, plan or DevChainPlan(), 0)
        self.chain: DevChain = deployment.chain
        for step in deployment.steps:
            self.transact(dev_address(ADMIN), step.to, step.data)
        rpc = cast(Rpc, _InProcess(self))
        self.vault = VaultClient(rpc, chain_id=CHAIN_ID, address=self.chain.vault)

    # --- time

    def warp_to(self, timestamp: int) -> None:
        """Let the block have this time from now on."""
        self.now = timestamp
        self._mine()

    def _mine(self) -> None:
        self._evm.set_block_env(BlockEnv(number=self.block, timestamp=self.now, gas_limit=2**40))

    def snapshot(self) -> tuple[JournalCheckpoint, int, int]:
        """What `restore` goes back to, once."""
        return self._evm.snapshot(), self.now, self.block

    def restore(self, snapshot: tuple[JournalCheckpoint, int, int]) -> None:
        """Undo everything since; time as well."""
        checkpoint, self.now, self.block = snapshot
        self._evm.revert(checkpoint)
        for address, was in self._replaced.items():
            self._evm.insert_account_info(address, was)
        self._replaced.clear()
        self._mine()

    # --- contracts

    def create(self, contract: ContractAbi, *args: Any) -> str:
        """Deploy by the admin; its address."""
        nonce = Nonce(self.nonce(dev_address(ADMIN)))
        self.transact(dev_address(ADMIN), "", contract.creation(*args))
        return str(get_create_address(account_of(dev_key(ADMIN)).address, nonce))

    def replace_code(self, address: str, code: bytes) -> None:
        """Let the account run this code until `restore`."""
        self._replaced.setdefault(address, self._evm.basic(address))
        self._evm.insert_account_info(address, AccountInfo(nonce=1, code=code))

    # --- transactions

    def transact(self, who: str, to: str, data: str, gas: int = GAS) -> list[Any]:
        """Run one transaction and give its raw logs. Raises Reverted; nothing happened then."""
        raw = bytes.fromhex(data[2:])
        self._evm.reset_transient_storage()
        try:
            if to:
                self._evm.message_call(who, to, raw, gas=gas)
            else:
                self._evm.deploy(who, raw, gas=gas)
        except RuntimeError as error:
            raise _reverted(str(error)) from error
        result = self._evm.result
        assert result is not None
        return result.logs

    @property
    def gas_used(self) -> int:
        """Gas of the last transaction, its 21,000 and calldata included."""
        result = self._evm.result
        assert result is not None
        return result.gas_used

    def call(
        self, who: str, function: str, *args: Any, abi: ContractAbi = VAULT, to: str = ""
    ) -> list[Event]:
        """Call the vault, or another contract, and give the vault's events."""
        return self.events(
            self.transact(who, to or self.chain.vault, abi.calldata(function, *args))
        )

    def events(self, logs: list[Any]) -> list[Event]:
        """The vault's own among raw logs, decoded."""
        decoded = [
            VAULT.decode_log({"topics": log.topics, "data": log.data[1]})
            for log in logs
            if log.address.lower() == self.chain.vault.lower()
        ]
        return [Event(event.name, event.args) for event in decoded if event is not None]

    # --- reading

    def view(self, to: str, data: bytes) -> bytes:
        """Raw answer of a view."""
        return self._evm.message_call(dev_address(ADMIN), to, data)

    def nonce(self, who: str) -> int:
        """Transactions the account has sent."""
        return self._evm.basic(who).nonce

    def word(self, address: str, slot: int) -> int:
        """One word of a contract's storage."""
        return self._evm.storage(address, slot)

    def read(self, function: str, *args: Any, abi: ContractAbi = VAULT, to: str = "") -> Any:
        """A view's first answer, decoded."""
        data = bytes.fromhex(abi.calldata(function, *args)[2:])
        answer = self.view(to or self.chain.vault, data)
        return abi.decode_result(function, "0x" + answer.hex())[0]

    async def request(self, n: int) -> VaultRequest:
        """Request n as the client reads it."""
        found = await self.vault.request(n, BlockRef(number=1, hash="0x", timestamp=self.now))
        assert found is not None
        return found


class _InProcess:
    """As much of Rpc as a VaultClient needs for one read."""

    name = "revm"

    def __init__(self, evm: Revm) -> None:
        self._evm = evm

    async def call(self, _: str, target: dict[str, str], *__: object) -> str:
        return "0x" + self._evm.view(target["to"], bytes.fromhex(target["data"][2:])).hex()


def _reverted(text: str) -> Reverted:
    found = _OUTPUT.search(text)
    data = "0x" + found.group(1) if found else ""
    for abi in _DECLARING:
        error = abi.decode_error(data)
        if error is not None:
            return Reverted(error.name, str(error))
    return Reverted("", text)
