"""`bronco api-key`, as an admin types it."""

import json
import stat
from pathlib import Path

import pytest

from api.auth import KeyRing
from clients.api_keys import key_id_of
from clients.store import Store
from models.access import Role
from models.errors import Unauthorized
from tests.shell import Inline, Shell


@pytest.fixture
def bronco(url: str, tmp_path: Path) -> Shell:
    return Inline(tmp_path, {"BRONCO_DATABASE_URL": url})


async def test_api_key__made_rotated_revoked__opens_while_it_is_valid(
    bronco: Shell, url: str, tmp_path: Path
) -> None:
    made = await bronco("api-key", "create", "ada", "--role", "operator")
    first = made.out.strip()
    assert (made.code, made.error, key_id_of(first) is not None) == (0, "", True)
    file = tmp_path / "ada.key"
    rotated = await bronco("api-key", "rotate", "ada", "--out", str(file))
    second = file.read_text().strip()
    assert rotated.code == 0
    assert second not in rotated.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    store = Store(url, pool_size=2)
    ring = KeyRing((), store.api_keys)
    try:
        for text in (first, second):
            caller = await ring.caller(text)
            assert (caller.name, caller.role) == ("ada", Role.OPERATOR)
        revoked = await bronco("api-key", "revoke", key_id_of(first) or "", "-r", "rotated")
        assert revoked.code == 0
        with pytest.raises(Unauthorized, match="revoked"):
            await ring.caller(first)
        await ring.caller(second)
        actors = {entry.actor for entry in await store.audit.latest()}
    finally:
        store.close()
    assert actors == {"grace"}

    shown = await bronco("api-key", "list")
    listed = (await bronco("api-key", "list", "--json")).json["keys"]
    assert [key["valid"] for key in listed] == [True, False]
    for text in (first, second):
        assert text not in shown.out + json.dumps(listed)
        assert (key_id_of(text) or "?") in shown.out


async def test_api_key__cannot_be_made__one_line_and_no_file(bronco: Shell, tmp_path: Path) -> None:
    file = tmp_path / "key"
    taken = tmp_path / "taken"
    taken.write_text("precious")
    out = ("--role", "viewer", "--out")
    bad_name = await bronco("api-key", "create", "Ada L", *out, str(file))
    kept = await bronco("api-key", "create", "ada", *out, str(taken))
    missing = await bronco("api-key", "rotate", "nobody", "--out", str(file))
    for ran, says in ((bad_name, "name="), (kept, "there already"), (missing, "no valid key")):
        assert ran.code == 1
        assert says in ran.error
        assert len(ran.error.strip().splitlines()) == 1
    assert not file.exists()
    assert taken.read_text() == "precious"
