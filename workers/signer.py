"""The signer process: holds one key, decides by itself, answers workers on a socket.

It imports neither Temporal nor web3 nor the database: it starts fast and offers little to attack.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from eth_utils.address import to_checksum_address
from prometheus_client import start_http_server

from bronco.foreground import stay
from bronco.logs import logger
from bronco.metrics import REGISTRY
from bronco.sections import MetricsSettings
from bronco.signing import (
    KeyBackend,
    KeySettings,
    LimitSettings,
    SignerSettings,
    TargetSettings,
)
from clients.auditing import Auditor
from clients.keys import GuardedSigner, Key, plain_key
from clients.keystore import keystore_account, keystore_key
from clients.ledger import HourLimits, SigningLedger
from clients.policy import SettlePolicy
from clients.private import read_token
from models.errors import ConfigurationError
from models.money import SHARE_SCALE
from workers.signing_app import Door, signing_app
from workers.signing_socket import listening

# https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
_PR_SET_DUMPABLE = 4
_GOODBYE_SECONDS = 5.0
_log = logger(__name__)


async def serve(
    target: TargetSettings,
    where: SignerSettings,
    key: KeySettings,
    limits: LimitSettings,
    metrics: MetricsSettings,
    state: Path,
) -> None:
    """Sign until told to end. state: folder of what was signed in the last hour.

    Raises:
        ConfigurationError: a setting or a file does not fit, or another signer is at work.
        SourceUnavailable: what keeps the key does not answer.
    """
    address = expected_address(where)
    async with _opened(key, target, address) as opened:
        if opened.address != address:
            problem = f"is {address}, but the key is that of {opened.address}"
            raise ConfigurationError("BRONCO_SIGNER_ADDRESS", problem)
        auditor = auditor_of(key, target, address)
        policy, hour = policy_of(target, limits), hour_of(limits)
        ledger = SigningLedger(state / f"signer-{target.id}-{address.lower()}.db", hour)
        try:
            signer = GuardedSigner(opened, policy, ledger)
            await _answer(signer, policy, ledger, hour, where, key, metrics, auditor)
        finally:
            ledger.close()


async def _answer(
    signer: GuardedSigner,
    policy: SettlePolicy,
    ledger: SigningLedger,
    hour: HourLimits,
    where: SignerSettings,
    key: KeySettings,
    metrics: MetricsSettings,
    auditor: Auditor | None,
) -> None:
    name = "BRONCO_SIGNER_TOKEN_FILE"
    token = read_token(where.token_file, name) if where.token_file else ""
    door = Door(token, frozenset(key.peer_uids), is_socket=where.is_socket)
    app = signing_app(signer, policy, ledger, hour, door, where.timeout_seconds, auditor)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
    await runner.setup()
    with listening(where, key) as (sock, tls):
        try:
            await web.SockSite(runner, sock, ssl_context=tls).start()
            if metrics.port:
                start_http_server(metrics.port, metrics.host, registry=REGISTRY)
            said = {"address": signer.address, "chain": policy.chain_id, "vault": policy.vault}
            _log.info("signer_ready", url=where.url, backend=key.backend.value, **said)
            await stay()
        finally:
            _log.info("signer_stopping", signed=signer.signed, refused=signer.refused)
            await runner.cleanup()


def expected_address(where: SignerSettings) -> str:
    """The address all of it is about. Raises ConfigurationError."""
    if where.address is None:
        problem = "is missing (address whose key signs; bronco signer new-keystore prints one)"
        raise ConfigurationError("BRONCO_SIGNER_ADDRESS", problem)
    return to_checksum_address(where.address)


def auditor_of(key: KeySettings, target: TargetSettings, settler: str) -> Auditor | None:
    """What vouches for the audit log; None where no key for it is set.

    Raises:
        ConfigurationError: a file is missing or does not fit, or it is the settler's own key.
    """
    keyfile, password = key.audit_keystore_file, key.audit_keystore_password_file
    if keyfile is None or password is None:
        return None
    account = keystore_account(keyfile, password)
    if str(account.address) == settler:
        problem = "is the settler's key: who settles must not vouch for what is written about it"
        raise ConfigurationError("BRONCO_KEY_AUDIT_KEYSTORE_FILE", problem)
    return Auditor(account, chain_id=target.id, vault=target.vault)


def policy_of(target: TargetSettings, limits: LimitSettings) -> SettlePolicy:
    """Limits of one transaction, in units."""
    usdt = 10**limits.usdt_decimals
    return SettlePolicy(
        chain_id=target.id,
        vault=target.vault,
        max_cost=limits.max_cost_wei,
        max_fee=limits.max_fee_wei,
        max_gas=limits.max_gas,
        max_items=limits.max_items,
        max_usdt=limits.max_usdt * usdt,
        max_shares=limits.max_shares * SHARE_SCALE,
        lowest_price=max(1, usdt // 100),
        highest_price=limits.max_share_price * usdt,
    )


def hour_of(limits: LimitSettings) -> HourLimits:
    """Limits of an hour, in units."""
    return HourLimits(
        usdt=limits.hour_usdt * 10**limits.usdt_decimals,
        shares=limits.hour_shares * SHARE_SCALE,
        batches=limits.hour_batches,
        cost=limits.hour_cost_wei,
    )


@asynccontextmanager
async def _opened(key: KeySettings, target: TargetSettings, address: str) -> AsyncIterator[Key]:
    opened = await _open(key, target, address)
    try:
        yield opened
    finally:
        await opened.close()


async def _open(key: KeySettings, target: TargetSettings, address: str) -> Key:
    """The key, from where it is kept. What one backend needs is imported for it alone."""
    if key.backend is KeyBackend.PLAIN:
        secret = key.dev_key.get_secret_value() if key.dev_key else ""
        return plain_key(secret, target.id)
    if key.backend is KeyBackend.VAULT:
        return await asyncio.to_thread(_from_vault, key)
    if key.backend is KeyBackend.WEB3SIGNER:
        from clients.web3signer import Web3SignerKey

        return await Web3SignerKey.open(key.web3signer_url, address, key.web3signer_ca_file)
    if key.keystore_file is None or key.keystore_password_file is None:
        problem = "is missing, or BRONCO_KEY_KEYSTORE_PASSWORD_FILE is: see bronco signer --help"
        raise ConfigurationError("BRONCO_KEY_KEYSTORE_FILE", problem)
    return keystore_key(key.keystore_file, key.keystore_password_file)


def _from_vault(key: KeySettings) -> Key:
    from clients.hashicorp import KeyPlace, vault_key

    place = KeyPlace(
        url=key.vault_url,
        mount=key.vault_mount,
        path=key.vault_path,
        field=key.vault_field,
        token_file=key.vault_token_file,
        role_id=key.vault_role_id,
        secret_id_file=key.vault_secret_id_file,
        ca_file=key.vault_ca_file,
    )
    return vault_key(place)


def keep_memory_private() -> None:
    """No core dump, and no other program of our own user may read this process's memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
