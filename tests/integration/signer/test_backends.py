"""Keys that are kept elsewhere: HashiCorp Vault gives one out, web3signer keeps it."""

import asyncio
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bronco.processes import free_port
from clients.hashicorp import KeyPlace, vault_key
from clients.keys import GuardedSigner, UnsignedTx, plain_key
from clients.private import write_private
from clients.web3signer import Web3SignerKey
from models.errors import BroncoError, ConfigurationError, SigningRefused, SourceUnavailable
from tests.integration.signer.rig import question, running
from tests.integration.signer.servers import (
    ROLE_ID,
    SECRET_ID,
    VAULT_TOKEN,
    FakeVault,
    FakeWeb3Signer,
    served,
)
from tests.integration.signer.tls import authority
from tests.signing import ADDRESS, KEY, OTHER, POLICY, tx


@pytest.fixture
def place(tmp_path: Path) -> KeyPlace:
    """As the operator sets it, but for the url."""
    write_private(tmp_path / "vault-token", VAULT_TOKEN + "\n", "token")
    write_private(tmp_path / "secret-id", SECRET_ID + "\n", "secret id")
    write_private(tmp_path / "wrong", "s." + "x" * 24, "token")
    return KeyPlace(
        url="",
        mount="secret",
        path="bronco/settler",
        field="private_key",
        token_file=tmp_path / "vault-token",
    )


async def fetch(place: KeyPlace) -> Any:
    return await asyncio.to_thread(vault_key, place)


async def test_vault__token__gives_the_key(place: KeyPlace) -> None:
    vault = FakeVault()
    async with served(vault.app()) as url:
        key = await fetch(replace(place, url=url))
    assert key.address == ADDRESS
    assert await key.sign(tx()) == await plain_key(KEY, 31337).sign(tx())
    assert vault.asked == ["/v1/secret/data/bronco/settler"]  # and never again


async def test_vault__approle__gives_the_key(place: KeyPlace, tmp_path: Path) -> None:
    place = replace(place, token_file=None, secret_id_file=tmp_path / "secret-id")
    async with served(FakeVault().app()) as url:
        assert (await fetch(replace(place, url=url, role_id=ROLE_ID))).address == ADDRESS
        with pytest.raises(SourceUnavailable, match="InvalidRequest"):
            await fetch(replace(place, url=url, role_id="somebody"))


async def test_vault__over_tls__is_verified(place: KeyPlace, tmp_path: Path) -> None:
    own, other = authority(tmp_path / "own"), authority(tmp_path / "other")
    vault = FakeVault()
    async with served(vault.app(), own) as url:
        assert (await fetch(replace(place, url=url, ca_file=own.cert))).address == ADDRESS
        for ca_file in (other.cert, None):
            with pytest.raises(SourceUnavailable, match="SSLError"):
                await fetch(replace(place, url=url, ca_file=ca_file))
    assert len(vault.asked) == 1


@pytest.mark.parametrize(
    ("vault", "changes", "says"),
    [
        (FakeVault(secret=None), {}, "InvalidPath"),
        (FakeVault(status=503), {}, "VaultDown"),
        (FakeVault(status=500), {}, "InternalServerError"),
        (FakeVault(), {"token_file": "wrong"}, "Forbidden"),
        (FakeVault(), {"token_file": None}, "BRONCO_KEY_VAULT_TOKEN_FILE"),
        (FakeVault(), {"token_file": "absent"}, "cannot be read"),
        (FakeVault(), {"field": "key"}, "no text field key"),
        (FakeVault(), {"path": "bronco/other"}, "InvalidPath|UnexpectedError"),
        (FakeVault(secret={"private_key": "0x12"}), {}, "not 32 bytes"),
        (FakeVault(secret={"private_key": {"hex": KEY}}), {}, "no text field"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_vault__something_is_wrong__says_what_and_no_secret(
    place: KeyPlace, tmp_path: Path, vault: FakeVault, changes: dict[str, Any], says: str
) -> None:
    if isinstance(changes.get("token_file"), str):
        changes = {**changes, "token_file": tmp_path / changes["token_file"]}
    async with served(vault.app()) as url:
        with pytest.raises(BroncoError, match=says) as wrong:
            await fetch(replace(place, url=url, **changes))
    for secret in (KEY[2:], VAULT_TOKEN, "s.xxx"):
        assert secret not in "".join(traceback.format_exception(wrong.value))


async def test_vault__not_there__is_said(place: KeyPlace) -> None:
    with pytest.raises(SourceUnavailable, match="ConnectionError"):
        await fetch(replace(place, url=f"http://127.0.0.1:{free_port()}"))


async def test_vault__a_token_in_the_environment__is_not_used(
    place: KeyPlace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only the settings say where the key comes from and who asks for it."""
    monkeypatch.setenv("VAULT_TOKEN", VAULT_TOKEN)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with served(FakeVault().app()) as url:
        with pytest.raises(SourceUnavailable, match="Forbidden"):
            await fetch(replace(place, url=url, token_file=tmp_path / "wrong"))


async def test_vault__signer_process__signs_with_its_key(place: KeyPlace, tmp_path: Path) -> None:
    async with served(FakeVault().app()) as url:
        given = {"BACKEND": "VAULT", "VAULT_URL": url, "VAULT_TOKEN_FILE": str(place.token_file)}
        settings = {f"BRONCO_KEY_{name}": value for name, value in given.items()}
        async with running(tmp_path, **settings) as rig:
            assert (await rig.ask(body=question())).status_code == 200


async def test_web3signer__asked__gives_exactly_what_was_asked() -> None:
    remote = FakeWeb3Signer()
    async with served(remote.app()) as url:
        key = await Web3SignerKey.open(url, ADDRESS)
        signer = GuardedSigner(key, POLICY)
        assert await signer.sign(tx()) == await plain_key(KEY, 31337).sign(tx())
        with pytest.raises(SigningRefused):
            await signer.sign(tx(to=OTHER))
        await key.close()
    methods = [call["method"] for call in remote.asked]
    assert methods == ["eth_accounts", "eth_signTransaction"]  # it is not asked what is refused


SPOILT: dict[str, Any] = {
    "chain_id": 1,
    "to": OTHER,
    "nonce": 8,
    "gas": 1_000_001,
    "max_fee": 41 * 10**9,
    "max_priority_fee": 0,
    "data": "0x",
}


@pytest.mark.parametrize("field", SPOILT)
async def test_web3signer__signs_something_else__is_not_believed(field: str) -> None:
    def spoil(asked: UnsignedTx) -> UnsignedTx:
        return asked.model_copy(update={field: SPOILT[field]})

    async with served(FakeWeb3Signer(spoil=spoil).app()) as url:
        key = await Web3SignerKey.open(url, ADDRESS)
        with pytest.raises(SourceUnavailable, match="another transaction's"):
            await key.sign(tx())
        await key.close()


@pytest.mark.parametrize(
    "instead",
    [
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}},
        {"jsonrpc": "2.0", "id": 1, "result": None},
        {"jsonrpc": "2.0", "id": 1, "result": ["0x02"]},
        {"jsonrpc": "2.0", "id": 1, "result": "0x"},
        {"jsonrpc": "2.0", "id": 1, "result": "0x02f8"},
        {"jsonrpc": "2.0", "id": 1, "result": "not hex"},
        ["0x02"],
        "0x02",
    ],
    ids=str,
)
async def test_web3signer__answers_with_anything_else__is_no_signature(instead: Any) -> None:
    async with served(FakeWeb3Signer(instead=instead).app()) as url:
        key = await Web3SignerKey.open(url, ADDRESS)
        with pytest.raises(SourceUnavailable):
            await key.sign(tx())
        await key.close()


async def test_web3signer__another_key_answers__is_not_believed() -> None:
    async with served(FakeWeb3Signer(key="0x" + "42" * 32).app()) as url:
        key = await Web3SignerKey.open(url, ADDRESS)
        with pytest.raises(SourceUnavailable, match="signed by"):
            await key.sign(tx())
        await key.close()


async def test_web3signer__without_our_key_or_not_there__is_said() -> None:
    async with served(FakeWeb3Signer(accounts=[OTHER]).app()) as url:
        with pytest.raises(ConfigurationError, match="has no key for"):
            await Web3SignerKey.open(url, ADDRESS)
    with pytest.raises(SourceUnavailable, match="eth_accounts"):
        await Web3SignerKey.open(f"http://127.0.0.1:{free_port()}", ADDRESS)


async def test_web3signer__signer_process__signs_with_its_key(tmp_path: Path) -> None:
    async with served(FakeWeb3Signer().app()) as url:
        settings = {"BRONCO_KEY_BACKEND": "WEB3SIGNER", "BRONCO_KEY_WEB3SIGNER_URL": url}
        async with running(tmp_path, **settings) as rig:
            assert (await rig.ask(body=question())).status_code == 200
            assert (await rig.ask(body=question(to=OTHER))).status_code == 403
