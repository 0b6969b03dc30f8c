"""Signed heads on disk: added to, never rewritten, and a crash costs at most the newest one."""

from pathlib import Path

import pytest
from eth_keys.constants import SECPK1_N

from clients.auditing import really_signed
from clients.head_file import HeadFile
from models.drafts import AuditHead
from models.errors import SourceUnavailable
from tests.auditing import AUDITOR_ADDRESS, signed
from tests.contracts.builders import CHAIN, VAULT


def head(seq: int) -> AuditHead:
    return AuditHead(seq, f"{seq:064x}")


@pytest.fixture
def file(tmp_path: Path) -> HeadFile:
    return HeadFile(tmp_path / "kept", CHAIN, VAULT)


def test_head_file__nothing_written_yet__holds_no_heads(file: HeadFile) -> None:
    assert file.read() == ([], [])


def test_head_file__appended__reads_back_in_order_and_verifies(file: HeadFile) -> None:
    for seq in (3, 7):
        file.append(signed(head(seq)))
    kept = file.read()
    assert [one.head for one in kept.heads] == [head(3), head(7)]
    assert all(really_signed(one) and one.signer == AUDITOR_ADDRESS for one in kept.heads)


def test_head_file__line_cut_short_by_a_crash__never_counted_and_makes_way(file: HeadFile) -> None:
    file.append(signed(head(3)))
    whole = file.path.read_bytes()
    file.path.write_bytes(whole + whole[:-20])
    assert [one.seq for one in file.read().heads] == [3]
    file.append(signed(head(7)))
    kept = file.read()
    assert ([one.seq for one in kept.heads], kept.spoilt) == ([3, 7], [])
    assert file.path.read_bytes().startswith(whole)


def test_head_file__file_that_nobody_may_cut__goes_on_after_the_torn_line(
    file: HeadFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    file.append(signed(head(3)))
    file.path.write_bytes(file.path.read_bytes() + b'{"chain_id":')
    monkeypatch.setattr("os.ftruncate", refused)
    file.append(signed(head(7)))
    kept = file.read()
    assert ([one.seq for one in kept.heads], kept.spoilt) == ([3, 7], [2])


def test_head_file__only_line_cut_short__starts_anew(file: HeadFile) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(b'{"chain_id":' + b"1" * 9000)
    file.append(signed(head(1)))
    assert [one.seq for one in file.read().heads] == [1]


def test_head_file__line_that_is_no_head__is_named(file: HeadFile) -> None:
    for seq in (3, 7):
        file.append(signed(head(seq)))
    first, second = file.path.read_text().splitlines()
    file.path.write_text(f"{first}\n{second.replace('7', 'x')}\n")
    assert file.read().spoilt == [2]


def test_head_file__folder_that_cannot_be_made__is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SourceUnavailable, match="file of signed heads"):
        HeadFile(tmp_path / "taken" / "kept", CHAIN, VAULT).append(signed(head(1)))


def test_signed_head__any_field_changed__is_not_really_signed() -> None:
    whole = signed(head(3))
    changes = {"seq": 4, "hash": "f" * 64, "time": whole.time + 1, "chain_id": 1}
    changes |= {"vault": "0x" + "1" * 40, "signer": "0x" + "2" * 40}
    r, s, v = whole.signature[2:66], whole.signature[66:130], whole.signature[130:]
    mirrored = f"{SECPK1_N - int(s, 16):064x}"
    changes |= {"signature": f"0x{r}{mirrored}{'1b' if v == '1c' else '1c'}"}
    for name, value in changes.items():
        assert not really_signed(whole.model_copy(update={name: value})), name
