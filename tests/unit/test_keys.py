"""What the settler's key signs, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account

from clients.keys import (
    LocalSigner,
    SettlePolicy,
    UnsignedTx,
    create_keystore,
    keystore_signer,
    plain_signer,
)
from clients.vault import VAULT, settle_calldata
from models.chain import RefundItem, SettleItem
from models.errors import ConfigurationError, SigningRefused

# A published key of every dev chain: https://getfoundry.sh/anvil/overview#default-accounts
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
VAULT_ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
OTHER = "0x" + "77" * 20
ID = "0x" + "11" * 32
POLICY = SettlePolicy(chain_id=31337, vault=VAULT_ADDRESS, max_cost=10**17)
BATCH = settle_calldata(
    [SettleItem(n=1, request_id=ID, taken=5, out=6, fee=1)],
    [RefundItem(n=2, request_id=ID, reason=3)],
)
Change = Callable[[UnsignedTx], UnsignedTx]


def tx(**changes: object) -> UnsignedTx:
    fields: dict[str, object] = {
        "chain_id": 31337,
        "to": VAULT_ADDRESS,
        "nonce": 7,
        "gas": 1_000_000,
        "max_fee": 40 * 10**9,
        "max_priority_fee": 10**9,
        "data": BATCH,
    }
    return UnsignedTx.model_validate({**fields, **changes})


def test_sign__a_batch_for_the_vault__gives_the_same_bytes_every_time() -> None:
    signer = plain_signer(KEY, POLICY)

    first, again = signer.sign(tx()), signer.sign(tx())

    assert first == again
    assert signer.address == ADDRESS
    assert Account.recover_transaction(first.raw) == ADDRESS
    assert signer.sign(tx(nonce=8)).tx_hash != first.tx_hash


def test_sign__an_empty_batch__passes_to_close_a_gap() -> None:
    assert plain_signer(KEY, POLICY).sign(tx(data=settle_calldata([], []))).raw


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": 1},
        {"to": OTHER},
        {"to": ""},
        {"to": "0x12"},
        {"nonce": -1},
        {"gas": -1},
        {"max_fee": 10**9, "max_priority_fee": 10**9 + 1},
        {"max_fee": 10**11 + 1},
        {"data": "0x"},
        {"data": "0x12345678"},
        {"data": BATCH[:-2]},
        {"data": BATCH + "00"},
        {"data": BATCH[:10]},
        {"data": VAULT.calldata("grantRole", b"\1" * 32, OTHER)},
        {"data": VAULT.calldata("withdraw", OTHER, 10**12)},
        {"data": VAULT.calldata("claim", OTHER, OTHER)},
        {"data": VAULT.calldata("unpause")},
        {"data": VAULT.calldata("reclaim", 1)},
        {"data": "0xa9059cbb" + "00" * 12 + "77" * 20 + "ff" * 32},
    ],
)
def test_sign__anything_else__is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SigningRefused):
        plain_signer(KEY, POLICY).sign(tx(**changes))


def test_sign__lower_case_vault__is_the_same_vault() -> None:
    assert plain_signer(KEY, POLICY).sign(tx(to=VAULT_ADDRESS.lower())) == plain_signer(
        KEY, POLICY
    ).sign(tx())


def test_plain_signer__not_a_dev_chain__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="chain 1"):
        plain_signer(KEY, SettlePolicy(chain_id=1, vault=VAULT_ADDRESS))


def test_plain_signer__not_a_key__says_so_without_quoting_it() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        plain_signer("0xdeadbeefsecret", POLICY)

    assert "deadbeef" not in str(wrong.value)
    assert wrong.value.__cause__ is None


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key.json").write_text(create_keystore(KEY, "correct horse"))
    (folder / "password").write_text("correct horse\n")
    (folder / "wrong").write_text("battery staple\n")
    (folder / "broken.json").write_text("{}")
    return folder


def test_keystore__right_password__signs_as_the_key_would(keystore: Path) -> None:
    signer: LocalSigner = keystore_signer(keystore / "key.json", keystore / "password", POLICY)

    assert signer.sign(tx()) == plain_signer(KEY, POLICY).sign(tx())
    assert KEY[2:] not in (keystore / "key.json").read_text()


@pytest.mark.parametrize(
    ("keyfile", "password"),
    [
        ("key.json", "wrong"),
        ("broken.json", "password"),
        ("password", "password"),
        ("absent.json", "password"),
        ("key.json", "absent"),
    ],
)
def test_keystore__something_is_wrong__names_the_files_and_no_secret(
    keystore: Path, keyfile: str, password: str
) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        keystore_signer(keystore / keyfile, keystore / password, POLICY)

    assert keyfile in str(wrong.value) or password in str(wrong.value)
    assert "battery" not in str(wrong.value)
    assert "horse" not in str(wrong.value)
