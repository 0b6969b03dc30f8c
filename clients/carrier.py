"""One account that sends one call at a time and waits until it is mined."""

import asyncio
from collections.abc import Sequence

from eth_account.signers.local import LocalAccount

from clients.abi import ContractAbi
from clients.keys import UnsignedTx, sign_with
from clients.rpc import Rpc, RpcRefused
from clients.sender import ChainSender
from models.chain import BroadcastOutcome, TxReceipt
from models.errors import FinalError, SourceUnavailable

_POLL_SECONDS = 0.05


class CallReverted(FinalError):
    """A contract refused a call. error: name of its custom error, "" when it gave none we know."""

    def __init__(self, function: str, sentence: str, error: str = "") -> None:
        super().__init__(f"{function} was refused: {sentence}")
        self.function = function
        self.error = error


class Carrier:
    """Sends through one endpoint; calls of one carrier are made one after the other."""

    def __init__(
        self,
        rpc: Rpc,
        account: LocalAccount,
        *,
        chain_id: int,
        vault: str,
        declaring: Sequence[ContractAbi],
        patience_seconds: float = 30.0,
    ) -> None:
        """declaring: whose custom errors are known. patience_seconds: longest wait for a block."""
        self._rpc = rpc
        self._account = account
        self._chain_id = chain_id
        self._sender = ChainSender(rpc, vault=vault)
        self._declaring = declaring
        self._patience = patience_seconds
        self._lock = asyncio.Lock()
        self.address = str(account.address)

    async def transact(self, doing: str, to: str, data: str) -> TxReceipt:
        """Send calldata (to "": creation code) and wait until it is mined.

        Raises:
            CallReverted: the contract refuses it; nothing was sent, or it reverted when mined.
            SourceUnavailable: it could not be asked, or the transaction is not mined in time; the
                sentence names the transaction, which may still be.
        """
        async with self._lock:
            gas = await self._gas(doing, to, data)
            fees = await self._sender.fee_suggestion()
            tx = UnsignedTx(
                chain_id=self._chain_id,
                to=to,
                nonce=await self._sender.pending_nonce(self.address),
                gas=gas,
                max_fee=fees.max_fee,
                max_priority_fee=fees.max_priority_fee,
                data=data,
            )
            sent = await self._sender.broadcast(sign_with(self._account, tx).raw)
            if sent.outcome not in (BroadcastOutcome.ACCEPTED, BroadcastOutcome.ALREADY_KNOWN):
                raise SourceUnavailable(self._rpc.name, doing, sent.detail)
            return await self._mined(doing, sent.tx_hash)

    async def _gas(self, doing: str, to: str, data: str) -> int:
        call = {"from": self.address, "data": data} | ({"to": to} if to else {})
        try:
            estimate = await self._rpc.quantity("eth_estimateGas", call)
        except RpcRefused as refused:
            raise self._reverted(doing, refused) from refused
        return estimate * 5 // 4

    async def _mined(self, doing: str, tx_hash: str) -> TxReceipt:
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    receipt = await self._sender.receipt(tx_hash)
                    if receipt is not None:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            detail = f"transaction {tx_hash} is in no block after {self._patience:g} s"
            raise SourceUnavailable(self._rpc.name, doing, detail) from error
        if not receipt.ok:
            raise CallReverted(doing, f"transaction {tx_hash} reverted")
        return receipt

    def _reverted(self, doing: str, refused: RpcRefused) -> Exception:
        for abi in self._declaring:
            error = abi.decode_error(refused.data)
            if error is not None:
                return CallReverted(doing, str(error), error.name)
        if refused.data or "revert" in refused.text.lower():
            return CallReverted(doing, refused.text)
        return refused
