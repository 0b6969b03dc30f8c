"""Keys: the same bytes every time, a policy before each, and no secret in what is said."""

import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.datatypes import PrivateKey
from pydantic import ValidationError

from clients.keys import (
    GuardedSigner,
    SettlePolicy,
    UnsignedTx,
    new_account,
    plain_key,
    plain_signer,
)
from clients.keystore import create_keystore, keystore_key
from clients.signed import SignedTx
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable
from tests.signing import ADDRESS, BATCH, KEY, OTHER, POLICY, VAULT_ADDRESS, tx


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="coincurve has no wheels for it yet")
def test_curve__is_libsecp256k1__whose_time_tells_nothing_of_the_key() -> None:
    """eth_keys falls back, without a word, to Python arithmetic: slower, and not constant-time."""
    assert type(PrivateKey(bytes.fromhex(KEY[2:])).backend).__name__ == "CoinCurveECCBackend"


async def test_sign__a_batch_for_the_vault__gives_the_same_bytes_every_time() -> None:
    signer = plain_signer(KEY, POLICY)

    first, again = await signer.sign(tx()), await signer.sign(tx())

    assert first == again
    assert signer.address == ADDRESS
    assert Account.recover_transaction(first.raw) == ADDRESS
    assert (await signer.sign(tx(nonce=8))).tx_hash != first.tx_hash
    assert (signer.signed, signer.refused) == (3, 0)


async def test_sign__lower_case_vault__is_the_same_vault() -> None:
    signer = plain_signer(KEY, POLICY)
    assert await signer.sign(tx(to=VAULT_ADDRESS.lower())) == await signer.sign(tx())


async def test_sign__refused__is_counted_and_reaches_no_key() -> None:
    class Untouched:
        address = ADDRESS

        async def sign(self, tx: UnsignedTx) -> SignedTx:
            raise AssertionError("the key was asked")

        async def close(self) -> None: ...

    signer = GuardedSigner(Untouched(), POLICY)
    with pytest.raises(SigningRefused):
        await signer.sign(tx(to=OTHER))
    assert (signer.signed, signer.refused) == (0, 1)


async def test_sign__the_key_answers_with_another_transaction__gives_nothing_out() -> None:
    class Confused:
        address = ADDRESS

        async def sign(self, tx: UnsignedTx) -> SignedTx:
            return await plain_key(KEY, 31337).sign(tx.model_copy(update={"nonce": tx.nonce + 1}))

        async def close(self) -> None: ...

    signer = GuardedSigner(Confused(), POLICY)
    with pytest.raises(SourceUnavailable, match="another transaction's"):
        await signer.sign(tx())
    assert signer.signed == 0


@pytest.mark.parametrize("data", [BATCH[2:], "0X" + BATCH[2:], BATCH[:-1], BATCH + " ", "0xzz", ""])
def test_transaction__data_that_can_be_read_two_ways__is_none(data: str) -> None:
    with pytest.raises(ValidationError):
        tx(data=data)


def test_plain_key__not_a_dev_chain__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="chain 1"):
        plain_signer(KEY, SettlePolicy(chain_id=1, vault=VAULT_ADDRESS))


def test_plain_key__not_a_key__says_so_without_quoting_it() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        plain_key("0xdeadbeefsecret", 31337)

    assert "deadbeef" not in str(wrong.value)
    assert wrong.value.__cause__ is None


@pytest.mark.parametrize("modules", ["clients.keys, clients.rpc", "clients.rpc, clients.keys"])
def test_import__of_what_brings_py_ecc__leaves_deep_json_an_error(modules: str) -> None:
    """It would end the process: a hostile endpoint could stop a worker with one answer."""
    code = f"import json, {modules}\ntry: json.loads('[' * 100_000)\nexcept RecursionError: pass"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_new_account__each_time__is_another() -> None:
    assert new_account().address != new_account().address


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    encrypted = create_keystore(KEY, "correct horse", work=2)
    files = {
        "key.json": encrypted,
        "password": "correct horse\n",
        "wrong": "battery staple\n",
        "two": "correct horse\nbattery staple\n",
        "broken.json": "{}",
        "list.json": "[]",
        "open.json": encrypted,
        "open": "correct horse\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o640 if name.startswith("open") else 0o600)
    return folder


async def test_keystore__right_password__signs_as_the_key_would(keystore: Path) -> None:
    key = keystore_key(keystore / "key.json", keystore / "password")

    assert await key.sign(tx()) == await plain_key(KEY, 31337).sign(tx())
    assert KEY[2:] not in (keystore / "key.json").read_text()


@pytest.mark.parametrize(
    ("keyfile", "password"),
    [
        ("key.json", "wrong"),
        ("key.json", "two"),
        ("broken.json", "password"),
        ("list.json", "password"),
        ("password", "password"),
        ("absent.json", "password"),
        ("key.json", "absent"),
        ("open.json", "password"),
        ("key.json", "open"),
    ],
)
def test_keystore__something_is_wrong__names_the_files_and_no_secret(
    keystore: Path, keyfile: str, password: str
) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        keystore_key(keystore / keyfile, keystore / password)

    assert keyfile in str(wrong.value) or password in str(wrong.value)
    assert "battery" not in str(wrong.value)
    assert "horse" not in str(wrong.value)
