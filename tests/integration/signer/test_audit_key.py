"""The audit key in the signer's process: it vouches for heads, and is not the settler's."""

from pathlib import Path

import pytest

from bronco.devchain import AUDITOR, dev_key
from bronco.settings import load_section
from bronco.signing import KeySettings, TargetSettings
from clients.auditing import really_signed
from clients.keystore import create_keystore
from clients.private import write_private
from clients.wire import HEAD_PATH
from models.drafts import AuditHead
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable
from tests.auditing import AUDITOR_ADDRESS
from tests.integration.signer.rig import PASSWORD, running
from tests.signing import ADDRESS, KEY, OTHER, VAULT_ADDRESS
from workers.signer import auditor_of

HEAD = AuditHead(12, "ab" * 32)


def keystore(home: Path, key: str) -> dict[str, str]:
    """Settings of an audit key in this folder."""
    write_private(home / "audit.json", create_keystore(key, PASSWORD, work=2), "keystore")
    write_private(home / "audit-password", PASSWORD, "password")
    return {
        "BRONCO_KEY_AUDIT_KEYSTORE_FILE": str(home / "audit.json"),
        "BRONCO_KEY_AUDIT_KEYSTORE_PASSWORD_FILE": str(home / "audit-password"),
    }


async def test_audit_key__asked_for_a_head__signs_it_for_its_own_vault(tmp_path: Path) -> None:
    async with running(tmp_path, **keystore(tmp_path, dev_key(AUDITOR))) as rig:
        remote = rig.remote()
        signed = await remote.sign_head(HEAD, AUDITOR_ADDRESS)
        assert (signed.head, signed.chain_id, signed.vault) == (HEAD, 31337, VAULT_ADDRESS)
        assert really_signed(signed)
        with pytest.raises(SourceUnavailable, match="it signed another head, or as"):
            await remote.sign_head(HEAD, OTHER)
        await remote.close()
        for spoilt in ({"seq": 0}, {"hash": "AB" * 32}, {"time": 5}):
            body = {"version": 1, "seq": 12, "hash": HEAD.hash, **spoilt}
            answer = await rig.ask("POST", HEAD_PATH, body)
            assert answer.status_code == 400, spoilt
        assert (await rig.ask("POST", HEAD_PATH, {}, headers={})).status_code == 401


async def test_audit_key__none_is_set__heads_are_refused_with_the_setting(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        remote = rig.remote()
        with pytest.raises(SigningRefused, match="BRONCO_KEY_AUDIT_KEYSTORE_FILE"):
            await remote.sign_head(HEAD, AUDITOR_ADDRESS)
        await remote.close()


def test_audit_key__the_settlers_own__is_refused(tmp_path: Path) -> None:
    settings = load_section(KeySettings, keystore(tmp_path, KEY))
    with pytest.raises(ConfigurationError, match="who settles must not vouch"):
        auditor_of(settings, TargetSettings(vault=VAULT_ADDRESS), ADDRESS)
