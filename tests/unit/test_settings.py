import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bronco.sections import TemporalSettings
from bronco.settings import (
    Settings,
    environment,
    example,
    load_section,
    section_types,
    variable,
)
from bronco.signing import TargetSettings
from models.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
ADDRESS = "0x" + "1a" * 20
ASSETS = f'[{{"symbol": "AAPL", "token": "{ADDRESS}", "feed": "{ADDRESS}", "tick": "0.01"}}]'
COMPLETE: Mapping[str, str] = {
    "BRONCO_CHAIN_RPC_URLS": "http://one.example/v3/s3cret-a, http://two.example/v3/s3cret-b",
    "BRONCO_CHAIN_VAULT": ADDRESS,
    "BRONCO_CHAIN_USDT": ADDRESS,
    "BRONCO_CHAIN_ASSETS": ASSETS,
    "BRONCO_KEY_DEV_KEY": "0xs3cret-key",
    "BRONCO_DATABASE_URL": "mysql+pymysql://bronco:s3cret-pw@db/bronco",
    "BRONCO_REDIS_URL": "redis://:s3cret-redis@cache:6379/1",
}


def load(**changes: str) -> Settings:
    return Settings.load({**COMPLETE, **changes})


def test_load__complete__reads_every_kind_of_value() -> None:
    settings = load(
        BRONCO_ORDERS_TRY_PAUSE_SECONDS="0.5",
        BRONCO_API_READ_NEEDS_KEY="false",
        BRONCO_API_KEY_HASHES="a" * 64 + "," + "b" * 64,
    )
    assert settings.chain.endpoints == (
        "http://one.example/v3/s3cret-a",
        "http://two.example/v3/s3cret-b",
    )
    assert settings.chain.asset_book.of_token(ADDRESS).symbol == "AAPL"
    assert settings.orders.policy.try_pause == 0.5
    assert settings.api.read_needs_key is False
    assert settings.api.accepted_hashes == ("a" * 64, "b" * 64)
    assert settings.broker.place_window == (15, 30.0, 0.02)


def test_load__its_own_environment__gives_the_same_settings() -> None:
    settings = load(BRONCO_API_KEY_HASHES="a" * 64, BRONCO_LOG_LEVEL="DEBUG")
    assert Settings.load(settings.environment()) == settings


def test_confirmations__one_number_or_tiers__tiers_decide() -> None:
    simple = load(BRONCO_CHAIN_CONFIRMATIONS="5").chain.confirmation_policy
    assert [simple.needed(value, 6) for value in (1, None)] == [5, 5]
    tiers = load(
        BRONCO_CHAIN_CONFIRMATIONS="5", BRONCO_CHAIN_CONFIRMATION_TIERS="1000:2,*:final"
    ).chain.confirmation_policy
    assert [tiers.needed(value, 6) for value in (1, None)] == [2, None]


def test_load__real_money_and_a_dev_chain__are_refused_together() -> None:
    real = {"BRONCO_BROKER_ENVIRONMENT": "REAL", "BRONCO_CHAIN_USDT_FEED": ADDRESS}
    with pytest.raises(ConfigurationError, match=r"BRONCO_BROKER_ENVIRONMENT.*31337"):
        load(**real)
    assert load(**real, BRONCO_CHAIN_ID="1").broker.environment.value == "REAL"


def test_settings__printed__show_no_secret() -> None:
    settings = load()
    assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BRONCO_CHAIN_VAULT", "", "is missing"),
        ("BRONCO_CHAIN_VAULT", "0x12", "40 hex digits"),
        ("BRONCO_CHAIN_ID", "main", "integer"),
        ("BRONCO_CHAIN_RPC_URLS", "", "is missing"),
        ("BRONCO_CHAIN_CONFIRMATION_TIERS", "1000:2", "must be for the rest"),
        ("BRONCO_CHAIN_ASSETS", "[{]", "property name"),
        ("BRONCO_CHAIN_ASSETS", "[]", "at least 1"),
        ("BRONCO_CHAIN_ASSETS", '[{"symbol": "AAPL"}]', "token"),
        ("BRONCO_SIGNER_ADDRESS", "0x12", "40 hex digits"),
        ("BRONCO_SIGNER_URL", "unix:", "write https://host:port"),
        ("BRONCO_SIGNER_URL", "http://signer:9000", "only to this machine"),
        ("BRONCO_SIGNER_URL", "http://127.0.0.1.example:9000", "only to this machine"),
        ("BRONCO_SIGNER_CA_FILE", "/nowhere/ca.pem", "does not point to a file"),
        ("BRONCO_KEY_VAULT_URL", "http://vault:8200", "only to this machine"),
        ("BRONCO_KEY_WEB3SIGNER_URL", "ftp://keys:9000", "write https://host:port"),
        ("BRONCO_KEY_BACKEND", "PAPER", "KEYSTORE"),
        ("BRONCO_LIMITS_HOUR_USDT", "1999999", "that one would never pass"),
        ("BRONCO_DATABASE_URL", "", "is missing"),
        ("BRONCO_BROKER_ENVIRONMENT", "PAPER", "SIMULATE"),
        ("BRONCO_ORDERS_TRIES", "0", "greater than 0"),
        ("BRONCO_ORDERS_REFERENCE_BAND_BPS", "10000", "less than 10000"),
        ("BRONCO_API_PORT", "70000", "65535"),
        ("BRONCO_API_KEY_HASHES", "hunter2", "SHA-256"),
    ],
)
def test_load__missing_or_wrong__names_the_setting_and_the_remedy(
    name: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: value})
    assert raised.value.setting == name
    assert says in raised.value.problem
    assert "hunter2" not in str(raised.value)


def test_load__misspelt__suggests_the_right_name() -> None:
    with pytest.raises(ConfigurationError, match="did you mean BRONCO_TEMPORAL_ADDRESS"):
        load(BRONCO_TEMPORAL_ADRESS="x:1")


def test_load__one_endpoint_on_a_real_chain__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two endpoints") as raised:
        load(BRONCO_CHAIN_ID="1", BRONCO_CHAIN_RPC_URLS="http://one")
    assert raised.value.setting == "BRONCO_CHAIN_RPC_URLS"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"BRONCO_SIGNER_URL": "https://signer:9000"}, "BRONCO_SIGNER_TOKEN_FILE"),
        ({"BRONCO_SIGNER_URL": "http://127.0.0.1:9000"}, "BRONCO_SIGNER_TOKEN_FILE"),
        ({"BRONCO_KEY_VAULT_ROLE_ID": "settler"}, "BRONCO_KEY_VAULT_SECRET_ID_FILE"),
        ({"BRONCO_KEY_TLS_KEY_FILE": "/key.pem"}, "BRONCO_KEY_TLS_KEY_FILE"),
    ],
)
def test_load__half_of_what_belongs_together__is_refused(
    given: dict[str, str], missing: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(**given)
    assert raised.value.setting == missing


def test_load_section__a_part_of_one__reads_that_part_alone() -> None:
    """The signer is told neither endpoints nor their keys."""
    given = {"BRONCO_CHAIN_ID": "1", "BRONCO_CHAIN_VAULT": ADDRESS}
    target = load_section(TargetSettings, given, section="chain")
    assert (target.id, target.vault) == (1, ADDRESS)
    with pytest.raises(ConfigurationError, match="BRONCO_CHAIN_VAULT: is missing"):
        load_section(TargetSettings, {}, section="chain")


def test_load_section__nothing_else_set__still_works() -> None:
    temporal = load_section(TemporalSettings, {"BRONCO_TEMPORAL_ADDRESS": "there:7233"})
    assert (temporal.address, temporal.namespace) == ("there:7233", "default")


def test_key_hashes__from_file__joins_the_list(tmp_path: Path) -> None:
    listed = tmp_path / "keys"
    listed.write_text(f"# the desk\n{'c' * 64}  # ada\n\n")
    settings = load(BRONCO_API_KEY_HASHES="a" * 64, BRONCO_API_KEY_HASHES_FILE=str(listed))
    assert settings.api.accepted_hashes == ("a" * 64, "c" * 64)


def test_key_hashes__file_with_a_plain_key__is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "keys"
    listed.write_text("hunter2\n")
    with pytest.raises(ConfigurationError, match="SHA-256") as raised:
        load(BRONCO_API_KEY_HASHES_FILE=str(listed))
    assert raised.value.setting == "BRONCO_API_KEY_HASHES_FILE"
    assert "hunter2" not in str(raised.value)


def test_environment__both_set__process_wins_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BRONCO_TEMPORAL_ADDRESS=a:1\nBRONCO_TEMPORAL_NAMESPACE=n\n")
    code = (
        "from bronco.settings import TemporalSettings, load_section as load;"
        "import sys; sys.stdout.write(str(load(TemporalSettings)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "BRONCO_TEMPORAL_ADDRESS": "b:2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "address='b:2' namespace='n'"
    assert environment(tmp_path / "absent").get("BRONCO_TEMPORAL_NAMESPACE") is None


def test_load__no_usdt_feed_on_a_real_chain__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="broken peg") as raised:
        load(BRONCO_CHAIN_ID="1")
    assert raised.value.setting == "BRONCO_CHAIN_USDT_FEED"


def test_settings__each__is_read_somewhere() -> None:
    """A setting that nobody reads is a promise that nobody keeps."""
    folders = ("bronco", "workers", "api", "clients", "activities")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    fields = {field for _, kind in section_types() for field in kind.model_fields}
    unread = [
        field
        for field in sorted(fields)
        if not any(re.search(rf"\.{field}\b", source) for source in sources)
    ]
    assert unread == []


def test_example__committed__is_in_step_and_complete() -> None:
    committed = (ROOT / ".env.example").read_text()
    assert committed == example(), "run: bronco settings > .env.example"
    for section, kind in section_types():
        for field, info in kind.model_fields.items():
            assert info.description, f"{section}.{field} has no description"
            assert f"{variable(section, field)}=" in committed
