"""Whose signature counts: checked as the vault will check it, before anything is stored."""

import pytest
from pydantic import ValidationError

from bronco.devchain import dev_address
from clients.approvals import case_data
from models.approvals import ApprovalGiven, approver_of, plainly_by
from models.errors import InvalidInput
from models.records import ItemKind
from tests.approving import APPROVERS, STRANGER, approval_case, signature

CASE = approval_case()
FIRST, SECOND, _ = APPROVERS
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SETTLE = approval_case(
    kind=ItemKind.SETTLE, code="BAND", taken=190, out=10**18, fee=1, fill_hash="0x" + "ab" * 32
)
OTHERS = {
    "chain_id": 1,
    "vault": "0x" + "11" * 20,
    "n": 8,
    "request_id": "0x" + "cd" * 32,
    "epoch": 2,
    "deadline": 4_000_000_001,
}
OTHERS_OF_A_REFUND = OTHERS | {"reason_code": 4}
OTHERS_OF_A_SETTLEMENT = OTHERS | {
    "taken": 191,
    "out": 2 * 10**18,
    "fee": 2,
    "fill_hash": "0x" + "ac" * 32,
}


@pytest.mark.parametrize("index", APPROVERS)
def test_approver__signed_the_case__is_told_by_the_signature(index: int) -> None:
    for case in (CASE, SETTLE):
        assert approver_of(case, signature(case, index)) == dev_address(index)


@pytest.mark.parametrize("field", OTHERS_OF_A_REFUND)
def test_signature__of_a_refund_that_differs_in_one_field__is_refused(field: str) -> None:
    other = approval_case(None, **{field: OTHERS_OF_A_REFUND[field]})
    with pytest.raises(InvalidInput, match="no approver of epoch 1, or it is of other terms"):
        approver_of(CASE, signature(other, FIRST))


@pytest.mark.parametrize("field", OTHERS_OF_A_SETTLEMENT)
def test_signature__of_a_settlement_that_differs_in_one_field__is_refused(field: str) -> None:
    changes = {field: OTHERS_OF_A_SETTLEMENT[field], "digest": ""}
    other = approval_case(None, **SETTLE.model_copy(update=changes).model_dump())
    with pytest.raises(InvalidInput, match="or it is of other terms"):
        approver_of(SETTLE, signature(other, FIRST))


def test_signature__of_a_stranger__is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=dev_address(STRANGER)):
        approver_of(CASE, signature(CASE, STRANGER))


def test_signature__of_somebody_who_has_signed__is_refused() -> None:
    signed = CASE.model_copy(update={"signed": (dev_address(FIRST),)})
    with pytest.raises(InvalidInput, match="has signed"):
        approver_of(signed, signature(signed, FIRST))
    with pytest.raises(InvalidInput, match="has signed"):
        approver_of(CASE, signature(CASE, SECOND), [dev_address(SECOND)])


def test_signature__written_in_another_way__is_refused() -> None:
    """The vault takes neither a high s nor v 0 and 1: such a one would be stored for nothing."""
    raw = bytes.fromhex(signature(CASE, FIRST).signature[2:])
    s = _CURVE_ORDER - int.from_bytes(raw[32:64], "big")
    high = raw[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - raw[64]])
    for malleable in (high, raw[:64] + bytes([raw[64] - 27])):
        with pytest.raises(InvalidInput, match="s in the lower half"):
            approver_of(CASE, ApprovalGiven(signature="0x" + malleable.hex()))


@pytest.mark.parametrize("raw", ["00" * 64 + "1b", "ff" * 32 + "00" * 31 + "011b"])
def test_signature__that_no_key_can_make__is_refused(raw: str) -> None:
    with pytest.raises(InvalidInput, match="no signature of any key"):
        approver_of(CASE, ApprovalGiven(signature="0x" + raw))


@pytest.mark.parametrize("text", ["", "0x", "0x" + "1" * 129, "0x" + "g" * 130, "1" * 130])
def test_given__not_65_bytes_of_hex__is_none(text: str) -> None:
    with pytest.raises(ValidationError):
        ApprovalGiven(signature=text)


def test_case__whose_digest_is_not_its_own__is_not_shown_to_sign() -> None:
    """Who is shown one thing and signs another would approve anything."""
    with pytest.raises(InvalidInput, match="sign nothing"):
        case_data(CASE.model_copy(update={"reason_code": 4}))


def test_case__counts_what_is_missing() -> None:
    one = CASE.model_copy(update={"signed": (dev_address(FIRST),)})
    assert (CASE.missing, one.missing) == (2, 1)
    assert one.words == "RETURN_LIMIT: 1 of 2 approvals"


def test_given__of_a_contract__is_any_length_to_2048_bytes_and_names_its_signer() -> None:
    signer = dev_address(APPROVERS[0])
    for length in (0, 65, 2048):
        assert ApprovalGiven(signature="0x" + "ab" * length, signer=signer)
    for signature_, named in (("0x" + "ab" * 2049, signer), ("0xabc", signer), ("0x12", "")):
        with pytest.raises(ValidationError):
            ApprovalGiven(signature=signature_, signer=named)


def test_signature__plainly_of_its_named_signer__needs_no_contract() -> None:
    case = approval_case()
    one, two = APPROVERS[:2]
    given = signature(case, one)
    assert plainly_by(dev_address(one), case.digest, given.signature)
    assert not plainly_by(dev_address(two), case.digest, given.signature)
    assert not plainly_by(dev_address(one), case.digest, "0x1234")
    # Named or not, it is the same one's.
    named = given.model_copy(update={"signer": dev_address(one).lower()})
    assert approver_of(case, named) == approver_of(case, given) == dev_address(one)
