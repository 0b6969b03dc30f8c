"""`bronco webhook`, as an operator types it."""

import secrets
import stat
from pathlib import Path

import pytest

from clients.private import write_private
from clients.store import Store
from clients.webhooks import Secrets
from tests.shell import Inline, Shell

SHOP = "https://127.0.0.1:9/hooks"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_private(tmp_path / "webhook.key", secrets.token_urlsafe(32), "key")
    return tmp_path / "webhook.key"


@pytest.fixture
def bronco(url: str, key_file: Path, tmp_path: Path) -> Shell:
    environment = {
        "BRONCO_DATABASE_URL": url,
        "BRONCO_WEBHOOK_KEY_FILE": str(key_file),
        "BRONCO_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    return Inline(tmp_path, environment)


async def test_webhook__made_rotated_ended__shows_each_secret_once(
    bronco: Shell, url: str, key_file: Path, tmp_path: Path
) -> None:
    keys = Secrets.of_file(key_file)
    made = await bronco("webhook", "create", SHOP, "--description", "the shop")
    secret, _, line = made.out.strip().partition("\n")
    shop = line.split()[0]
    assert (made.code, line.split()[1], secret) == (0, SHOP, keys.of(shop, 1))

    file = tmp_path / "shop.secret"
    rotated = await bronco("webhook", "rotate", shop, "--out", str(file), "-r", "it leaked")
    assert (rotated.code, rotated.out, rotated.error) == (0, "", "")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (keys.of(shop, 2) + "\n", 0o600)

    assert (await bronco("webhook", "disable", shop, "-r", "they asked")).code == 0
    assert "disabled: they asked" in (await bronco("webhook", "list")).out
    assert (await bronco("webhook", "enable", shop)).code == 0
    replayed = await bronco("webhook", "replay", shop, "--since", "2026-01-05T14:30:00Z")
    assert (replayed.code, "2026-01-05 14:30:00Z" in replayed.out) == (0, True)
    (listed,) = (await bronco("webhook", "list", "--json")).json["webhooks"]
    assert (listed["endpoint_id"], listed["active"]) == (shop, True)
    assert (await bronco("webhook", "deliveries", shop, "--json")).json["deliveries"] == []
    assert (await bronco("webhook", "delete", shop)).code == 0
    assert (await bronco("webhook", "list", "--json")).json["webhooks"] == []

    store = Store(url, pool_size=2)
    try:
        told = [(entry.action, entry.actor) for entry in await store.audit.latest()]
    finally:
        store.close()
    verbs = ("created", "rotated", "disabled", "enabled", "replayed", "deleted")
    assert told[::-1] == [(f"webhook.{verb}", "grace") for verb in verbs]


async def test_webhook__cannot_be_done__one_line_and_nothing_is_made(
    bronco: Shell, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    kept = await bronco("webhook", "create", SHOP, "--out", str(taken))
    inward = await bronco("webhook", "create", "https://10.0.0.1/hooks")
    missing = await bronco("webhook", "rotate", "wh_nobody")
    keyless = await bronco("webhook", "create", SHOP, BRONCO_WEBHOOK_KEY_FILE="")
    for ran, says in (
        (kept, "is there already"),
        (inward, "10.0.0.1"),
        (missing, "wh_nobody"),
        (keyless, "BRONCO_WEBHOOK_KEY_FILE"),
    ):
        assert (ran.code, ran.out) == (1, "")
        assert says in ran.error
        assert len(ran.error.strip().splitlines()) == 1
    assert taken.read_text() == "precious"
    assert (await bronco("webhook", "list", "--json")).json["webhooks"] == []
