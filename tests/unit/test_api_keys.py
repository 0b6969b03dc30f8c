from api.access import ACCESS, MAY, Need, door_of
from bronco.logs import Redaction
from clients.api_keys import digest_of, fits, key_id_of, new_key
from models.access import Role


def test_new_key__its_text__tells_its_id_and_fits_its_digest_alone() -> None:
    made, other = new_key(), new_key()
    assert key_id_of(made.text) == made.key_id
    assert fits(made.text, (other.digest, made.digest)) == made.digest
    assert fits(made.text, (other.digest,)) == ""
    assert fits(made.text, ()) == ""
    assert made.text not in (made.digest, digest_of(other.text))


def test_key_id__not_of_our_making__is_none() -> None:
    text = new_key().text
    for other in ("", "key-of-the-desk", text[:-1], text + "A", text.upper(), f" {text}"):
        assert key_id_of(other) is None


def test_log__a_key_turns_up__only_its_id_is_written() -> None:
    made = new_key()
    line = Redaction().text(f"header X-API-Key: {made.text}, twice {made.text}")
    assert made.text[-43:] not in line
    assert line.count(made.key_id) == 2


def test_door__fixed_word_and_parameter__fixed_word_wins() -> None:
    found = {path: door_of(path) for path in ("/orders", "/orders/7", "/orders/7/approval")}
    paths = {path: door.path for path, door in found.items() if door}
    assert paths == {
        "/orders": "/orders",
        "/orders/7": "/orders/{key}",
        "/orders/7/approval": "/orders/{key}/approval",
    }
    for nowhere in ("/", "/orders/", "/orders//approval", "/orders/7/x", "/ordersx", "/docs/x"):
        assert door_of(nowhere) is None


def test_access__roles__do_not_do_each_others_work() -> None:
    may = {role: {need for need in Need if role in MAY[need]} for role in Role}
    reading = {Need.NOTHING, Need.READING}
    assert may == {
        Role.VIEWER: reading,
        Role.OPERATOR: reading | {Need.OPERATING},
        Role.APPROVER: reading | {Need.APPROVING},
        Role.ADMIN: set(Need),
    }


def test_access__what_changes_something__needs_more_than_reading() -> None:
    signing = {"POST /dashboard/sign-in", "POST /dashboard/sign-out"}
    changing = [
        need
        for route, need in ACCESS.items()
        if not route.startswith("GET ") and route not in signing
    ]
    assert changing
    assert not {Need.NOTHING, Need.READING} & set(changing)
