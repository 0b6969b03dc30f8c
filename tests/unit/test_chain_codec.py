"""Encoding and decoding without a chain: the numbers here come from the contracts' own rules."""

import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_utils.crypto import keccak

from clients.abi import load_contract
from clients.sender import gas_limit_for, vault_events
from clients.vault import VAULT, settle_calldata, terms_of
from models.chain import (
    REJECTION_KINDS,
    RefundItem,
    Rejection,
    SettleItem,
    VaultEvent,
)

ID = "0x" + "1f" * 32
ITEM = SettleItem(n=7, request_id=ID, taken=951_900_000, out=5 * 10**18, fee=1_900_000)
REFUND = RefundItem(n=8, request_id=ID, reason=255)
ADDRESS = "0x" + "11" * 20


def test_settle_calldata__decoded__is_what_went_in() -> None:
    function, (items, refunds) = VAULT.decode_call(settle_calldata([ITEM], [REFUND]))

    raw = bytes.fromhex(ID[2:])
    assert function == "settle"
    assert items == ((7, raw, 951_900_000, 5 * 10**18, 1_900_000, b"\0" * 32),)
    assert refunds == ((8, raw, 255),)


def test_settle_calldata__same_items__same_bytes() -> None:
    copy = ITEM.model_copy()

    assert settle_calldata([ITEM], [REFUND]) == settle_calldata([copy], [REFUND.model_copy()])
    assert settle_calldata([ITEM], []) != settle_calldata([], [REFUND])


@pytest.mark.parametrize(
    "changes", [{"taken": -1}, {"taken": 2**128}, {"out": 2**128}, {"fee": 2**256}, {"n": -1}]
)
def test_settle_calldata__number_that_does_not_fit__is_never_cut(changes: dict[str, int]) -> None:
    with pytest.raises(EncodingError):
        settle_calldata([ITEM.model_copy(update=changes)], [])


@pytest.mark.parametrize("changes", [{"taken": 1}, {"out": 1}, {"fee": 1}, {"fill_hash": ID}])
def test_terms_of__any_term_differs__another_hash(changes: dict[str, object]) -> None:
    assert len(terms_of(ITEM)) == 2 + 12
    assert terms_of(ITEM.model_copy(update=changes)) != terms_of(ITEM)
    assert terms_of(ITEM.model_copy(update={"n": 9})) == terms_of(ITEM)


def log(**changes: object) -> dict[str, object]:
    plain = {
        "address": ADDRESS,
        "topics": [VAULT.topic("SettlementRejected"), f"0x{7:064x}", ID],
        "data": f"0x{int(Rejection.BAND):064x}",
        "transactionHash": "0x" + "44" * 32,
        "blockNumber": "0x5",
        "blockHash": "0x" + "55" * 32,
    }
    return {**plain, **changes}


def test_vault_events__a_rejection__carries_number_id_and_code() -> None:
    (event,) = vault_events([log()], ADDRESS)

    assert isinstance(event, VaultEvent)
    assert (event.name, event.n, event.request_id) == ("SettlementRejected", 7, ID)
    assert event.rejection is Rejection.BAND


def test_vault_events__a_list_of_approvers__is_read_as_text() -> None:
    data = encode(("uint8", "address[]"), (2, [ADDRESS, "0x" + "12" * 20])).hex()
    topics = [VAULT.topic("ApproversConfigured"), f"0x{3:064x}"]

    (event,) = vault_events([log(topics=topics, data="0x" + data)], ADDRESS)

    signers = f"{ADDRESS},0x{'12' * 20}"
    assert event.args == {"epoch": 3, "threshold": 2, "signers": signers}


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "0x" + "12" * 20},
        {"topics": []},
        {"topics": ["0x" + "99" * 32]},
        {"topics": [VAULT.topic("SettlementRejected"), f"0x{7:064x}"]},
        {"data": "0x"},
        {"data": "0x12"},
        {"removed": True},
    ],
)
def test_vault_events__another_contract_or_wrong_fields__is_no_event(
    changes: dict[str, object],
) -> None:
    assert vault_events([log(**changes)], ADDRESS) == []


def test_rejections__numbers_and_kinds__match_the_contract() -> None:
    event = next(e for e in VAULT.abi if e.get("name") == "SettlementRejected")
    assert event["inputs"][2]["internalType"] == "enum VaultTypes.Rejection"
    assert set(REJECTION_KINDS) == set(Rejection) - {Rejection.NONE}


def test_gas_limit__grows_by_item__and_leaves_the_reserve() -> None:
    one = gas_limit_for([ITEM], [])

    assert gas_limit_for([ITEM], [REFUND]) - one == one - gas_limit_for([], [])
    assert gas_limit_for([], []) >= 400_000 + 21_000
    # https://eips.ethereum.org/EIPS/eip-7825
    assert gas_limit_for([ITEM] * 100, []) <= 2**24


def test_load_contract__each_one_we_ship__is_there() -> None:
    for name in (
        "BroncoVault",
        "ShareToken",
        "EligibilityList",
        "ShareReference",
        "SupplyMonitor",
        "Timelock",
        "DevUSDT",
        "DevFeed",
    ):
        assert len(load_contract(name).bytecode) > 1000


def test_decode_error__a_custom_error__is_told_with_its_arguments() -> None:
    # cast sig "WithdrawalTooLarge(uint256,uint256)"
    selector = keccak(text="WithdrawalTooLarge(uint256,uint256)")[:4].hex()

    found = VAULT.decode_error(f"0x{selector}{5:064x}{4:064x}")

    assert str(found) == "WithdrawalTooLarge(amount=5, available=4)"
    assert VAULT.decode_error("0x") is None
    assert VAULT.decode_error(VAULT.calldata("reclaim", 1)) is None
    assert VAULT.decode_error(f"0x{selector}{5:064x}") is None
