"""temporal-dev.yml and the Dockerfile say what the code and the lock files say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.validators import validator_for

from bronco.services.temporal import DYNAMIC_CONFIG, PRAGMAS, SEARCH_ATTRIBUTES
from bronco.settings import Settings
from clients.keys import plain_key
from tests.alerting import FOLDER, loaded
from tests.compose import ROOT, compose, ours, services
from tools.bootstrap import temporal, toolchains

HEALTHY, DONE = "service_healthy", "service_completed_successfully"
ONE_SHOT = {"migrate", "devchain"}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def problems(document: dict[str, Any]) -> list[str]:
    schema = get_builtin_schema("vendor.compose-spec")
    validator = validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_compose__against_its_schema__is_valid() -> None:
    assert problems(compose()) == []


def test_compose__misspelt_key__fails_the_schema() -> None:
    document = compose()
    document["services"]["api"]["depend_on"] = {}
    assert len(problems(document)) == 1


def test_ports__of_every_service__are_open_to_this_machine_alone() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert len(published) >= 4
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_dependencies__wait_for_health_or_for_the_end() -> None:
    known = services()
    for service in known.values():
        for needed, how in service.get("depends_on", {}).items():
            expected = DONE if needed in ONE_SHOT else HEALTHY
            assert how["condition"] == expected, needed
            assert (expected == DONE) == ("healthcheck" not in known[needed]), needed


@pytest.mark.parametrize("name", ["worker", "watcher", "api"])
def test_dependencies__of_what_works__reach_everything_it_talks_to(name: str) -> None:
    needed = set(services()[name]["depends_on"])
    reached = needed | {
        deeper for one in needed for deeper in services()[one].get("depends_on", {})
    }
    assert reached >= {"temporal", "redis", "opend", "mysql", "anvil", "signer"} | ONE_SHOT


def test_volumes__used__are_declared_and_the_other_way_round() -> None:
    used = {
        volume.partition(":")[0]
        for service in services().values()
        for volume in service.get("volumes", ())
        if not volume.startswith("./")
    }
    assert used == set(compose()["volumes"])


def test_folders__of_ours_that_are_mounted__are_there_and_read_only() -> None:
    mounted = [
        volume
        for service in services().values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert len(mounted) >= 3
    for volume in mounted:
        folder, _, rights = volume.split(":")
        assert (ROOT / folder).is_dir()
        assert rights == "ro"


def test_prometheus__of_compose__scrapes_what_runs_there() -> None:
    jobs = loaded(FOLDER / "prometheus.yml")["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    worker = services()["worker"]["environment"]
    for name in ("worker", "watcher"):
        assert f"{name}:{worker['BRONCO_METRICS_PORT']}" in targets["bronco-worker"]
        assert f"{name}:{worker['BRONCO_METRICS_TEMPORAL_PORT']}" in targets["bronco-sdk"]
    assert targets["bronco-api"] == [f"api:{services()['api']['environment']['BRONCO_API_PORT']}"]


@pytest.mark.parametrize("name", ["worker", "watcher", "api", "shell"])
def test_settings__of_our_services__load(name: str) -> None:
    environment = services()[name]["environment"] | {"BRONCO_API_KEY_HASHES": ""}
    settings = Settings.load(environment)
    assert settings.chain.is_dev
    assert [asset.symbol for asset in settings.chain.assets] == ["AAPL"]
    hosts = {settings.temporal.address.partition(":")[0], settings.broker.host}
    hosts |= {re.split(r"[/:]+", url)[1] for url in settings.chain.endpoints}
    assert hosts <= set(services())


def test_signer__alone__has_the_key_and_reaches_nobody() -> None:
    key = "BRONCO_KEY_DEV_KEY"
    secret = services()["signer"]["environment"][key]
    named = [name for name, service in services().items() if secret in str(service)]
    assert named == ["signer"]
    assert services()["signer"]["network_mode"] == "none"
    assert "ports" not in services()["signer"]


@pytest.mark.parametrize("name", ["worker", "shell"])
def test_signer__and_who_asks_it__mean_the_same(name: str) -> None:
    signer, asks = services()["signer"], services()[name]
    ours = signer["environment"]
    for setting in ("CHAIN_ID", "CHAIN_VAULT", "SIGNER_ADDRESS", "SIGNER_URL"):
        assert ours[f"BRONCO_{setting}"] == asks["environment"][f"BRONCO_{setting}"]
    assert "signing:/run/bronco" in signer["volumes"]
    assert "signing:/run/bronco" in asks["volumes"]
    assert plain_key(ours["BRONCO_KEY_DEV_KEY"], 31337).address == ours["BRONCO_SIGNER_ADDRESS"]
    assert "/run/bronco" in DOCKERFILE


def test_our_services__run_without_rights() -> None:
    for name, service in ours().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "user" not in service, name  # the image's own, which is not root


def test_temporal__of_compose__is_tuned_as_ours() -> None:
    service = services()["temporal"]
    flags = [argument.partition("=")[::2] for argument in service["command"][2:]]

    def given(flag: str) -> set[str]:
        return {value for name, value in flags if name == flag}

    assert given("--search-attribute") == {f"{name}=Keyword" for name in SEARCH_ATTRIBUTES}
    wanted = {f"{key}={value}" for key, value in DYNAMIC_CONFIG.items()}
    assert given("--dynamic-config-value") == wanted
    assert given("--sqlite-pragma") == set(PRAGMAS)


def test_versions__of_images__are_those_we_test_with() -> None:
    cli, _ = temporal.pinned((ROOT / "tools" / "temporal" / "go.mod").read_text())
    chain = json.loads((ROOT / "contracts" / "package.json").read_text())
    (anvil,) = chain["optionalDependencies"].values()
    assert services()["temporal"]["image"].endswith(f":{cli}")
    assert services()["anvil"]["image"].endswith(f":v{anvil}")
    assert f"/uv:{toolchains.UV} " in DOCKERFILE


def test_image__last_stage__is_no_root_and_knows_no_secret() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER bronco$", last, re.MULTILINE)
    assert last.index("USER bronco") < last.index('ENTRYPOINT ["bronco"]')
    assert "BRONCO_" not in DOCKERFILE
    assert re.search(r"^(ARG|ADD)\b", DOCKERFILE, re.MULTILINE) is None


def test_ignore_file__lets_in_what_the_image_copies_and_no_more() -> None:
    listed = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in listed if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {Path(name).name for line in copies for name in line.split()}
    assert "*" in listed
    assert allowed == copied
