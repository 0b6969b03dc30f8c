"""A thief in a worker asks the signer for everything but a batch: nothing is ever signed."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from clients.policy import ALLOWED, VAULT
from clients.vault import settle_calldata
from clients.wire import SIGN_PATH
from models.chain import ZERO_HASH, RefundItem, SettleItem
from tests.integration.signer.rig import TOKEN, SignerRig, question, running
from tests.signing import (
    ADDRESS,
    BATCH,
    FILLER,
    GWEI,
    OTHER,
    POLICY,
    VAULT_ADDRESS,
    back,
    batch,
    bought,
    request_id,
    sold,
    tx,
)

WORD = 64
ERC20_TRANSFER = "0xa9059cbb" + "0" * 24 + "77" * 20 + "f" * WORD
ERC20_APPROVE = "0x095ea7b3" + "0" * 24 + "77" * 20 + "f" * WORD
ONE = batch(bought(1))


@pytest_asyncio.fixture(scope="module")
async def signer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SignerRig]:
    """Asked for nothing good in its whole life."""
    async with running(tmp_path_factory.mktemp("thief")) as rig:
        yield rig


async def nothing_signed(signer: SignerRig, answer: Any, status: int, says: str) -> None:
    """No signature in the answer, and none by the signer's own count."""
    assert answer.status_code == status, answer.text
    assert says in answer.text
    for mark in ('"raw"', '"tx_hash"', "0x02f8", "0x02f9", TOKEN):
        assert mark not in answer.text
    found = await signer.status()
    assert found["signed"] == 0
    assert set(found["used"].values()) == {"0"}


def words(data: str) -> list[str]:
    """Calldata as its selector and words, to be taken apart."""
    body = data[10:]
    return [data[:10], *(body[at : at + WORD] for at in range(0, len(body), WORD))]


def word(value: int) -> str:
    return f"{value:0{WORD}x}"


def changed(data: str, at: int, value: str) -> str:
    """Calldata with one word replaced; word 1 is the first after the selector."""
    parts = words(data)
    parts[at] = value
    return "".join(parts)


def item(n: int = 1, **fields: Any) -> SettleItem:
    return bought(n).model_copy(update=fields)


def items(*settles: SettleItem) -> str:
    return settle_calldata(settles, [])


def refunds(*given: RefundItem) -> str:
    return settle_calldata([], given)


NOTHING = RefundItem(n=0, request_id=ZERO_HASH, reason=0)
# With one item: offsets of both lists, length 1, six words of the item, length 0.
N, ID, TAKEN, OUT, FEE = range(4, 9)

REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    # another place
    "mainnet": ({"chain_id": 1}, "chain 1 is not 31337"),
    "no chain, so any": ({"chain_id": 0}, "chain 0 is not"),
    "the chain next door": ({"chain_id": 31338}, "chain 31338 is not"),
    "another contract": ({"to": OTHER}, "is not the vault"),
    "a contract is made": ({"to": ""}, "creates a contract"),
    "nobody": ({"to": "0x" + "0" * 40}, "is not the vault"),
    "itself": ({"to": ADDRESS}, "is not the vault"),
    "a vault one digit off": ({"to": VAULT_ADDRESS[:-1] + "2"}, "is not the vault"),
    # another kind of transaction
    "a wei along": ({"value": 1}, "sends 1 wei along"),
    "all the ether there is": ({"value": 2**255}, "wei along"),
    "type 0": ({"type": 0}, "of type 0"),
    "type 1": ({"type": 1}, "of type 1"),
    "type 3": ({"type": 3}, "of type 3"),
    "type 4, which hands the account over": ({"type": 4}, "of type 4"),
    "an access list": (
        {"access_list": [{"address": VAULT_ADDRESS, "storageKeys": []}]},
        "access list",
    ),
    "a nonce no account has": ({"nonce": 2**64 - 1}, "no account has the nonce"),
    "a nonce out of this world": ({"nonce": 2**255}, "no account has the nonce"),
    # gas
    "gas above the limit": ({"gas": POLICY.max_gas + 1, "max_fee": GWEI}, "gas, allowed"),
    "gas of several blocks": ({"gas": 2**200, "max_fee": 1, "max_priority_fee": 1}, "gas, allowed"),
    "too little gas for any call": ({"gas": 20_999}, "that no transaction can have"),
    "fee above the limit": ({"max_fee": POLICY.max_fee + 1}, "wei per gas, allowed"),
    "fee beyond measure": ({"max_fee": 2**256 - 1}, "wei per gas, allowed"),
    "tip above the fee": ({"max_priority_fee": 41 * GWEI}, "tip is above"),
    "cost above the limit": ({"gas": 2_500_001}, "wei for gas, allowed"),
    # another call
    "no calldata": ({"data": "0x"}, "has the selector"),
    "half a selector": ({"data": "0xb0ea"}, "has the selector"),
    "an unknown selector": ({"data": "0x12345678"}, "has the selector"),
    "a transfer of tokens": ({"data": ERC20_TRANSFER}, "has the selector"),
    "an allowance without end": ({"data": ERC20_APPROVE}, "has the selector"),
    "the vault's pause": ({"data": VAULT.calldata("pause")}, "pause is no settlement"),
    "a role for the thief": (
        {"data": VAULT.calldata("grantRole", b"\1" * 32, OTHER)},
        "grantRole is no settlement",
    ),
    # not exactly one reading
    "a byte behind": ({"data": ONE + "00"}, "canonically"),
    "a word behind": ({"data": ONE + "0" * WORD}, "canonically"),
    "a byte short": ({"data": ONE[:-2]}, "do not decode"),
    "a selector alone": ({"data": ONE[:10]}, "do not decode"),
    "another order of the lists": (
        {"data": "".join([*words(ONE)[:1], word(0x60), word(0x40), word(0), *words(ONE)[3:10]])},
        "canonically",
    ),
    "both lists in one place": (
        {"data": changed(batch(), 2, word(0x40))[: 10 + 3 * WORD]},
        "canonically",
    ),
    "an offset out of the calldata": ({"data": changed(ONE, 1, word(2**40))}, "do not decode"),
    "an offset that wraps around": ({"data": changed(ONE, 1, "f" * WORD)}, "do not decode"),
    "a list longer than the calldata": ({"data": changed(ONE, 3, word(2))}, "do not decode"),
    "a list without end": ({"data": changed(ONE, 3, word(2**64))}, "do not decode"),
    "an amount with more than its bits": (
        {"data": changed(ONE, OUT, word(2**128 + 5))},
        "do not decode",
    ),
    "a fee with all bits": ({"data": changed(ONE, FEE, "f" * WORD)}, "do not decode"),
    "a reason with more than its bits": (
        {"data": changed(refunds(back(1)), 7, word(256))},
        "do not decode",
    ),
    # another batch
    "too many": ({"data": items(*(item(n) for n in range(1, 12)))}, "11 requests, allowed"),
    "too many refunds": ({"data": refunds(*(back(n) for n in range(1, 12)))}, "11 requests"),
    "a request twice": ({"data": items(item(), item())}, "more than once"),
    "a number twice": ({"data": items(item(1), item(1, request_id=request_id(2)))}, "more than"),
    "an id twice": ({"data": items(item(1), item(2, request_id=request_id(1)))}, "more than once"),
    "settled and refunded": ({"data": batch(bought(1), back(1))}, "more than once"),
    "request 0 settled": ({"data": items(item(0))}, "request 0"),
    "a request without id": ({"data": items(item(1, request_id=ZERO_HASH))}, "request 0"),
    "a filler beside an item": (
        {"data": settle_calldata([item()], [NOTHING])},
        "request 0, which does not exist",
    ),
    "two fillers": ({"data": refunds(NOTHING, NOTHING)}, "request 0"),
    "a filler with a reason": ({"data": refunds(NOTHING.model_copy(update={"reason": 1}))}, "0"),
    # too much
    "a unit of USDT too much": (
        {"data": items(sold(1, POLICY.max_usdt + 1))},
        f"{POLICY.max_usdt + 1} USDT units for request 1",
    ),
    "a unit of shares too much": (
        {"data": items(bought(1, POLICY.max_shares + 1))},
        f"{POLICY.max_shares + 1} share units for request 1",
    ),
    "too much USDT together": (
        {"data": items(*(sold(n, POLICY.max_usdt // 3 + 1) for n in (1, 2, 3)))},
        "USDT units, allowed",
    ),
    "too many shares together": (
        {"data": items(*(bought(n, POLICY.max_shares // 3 + 1) for n in (1, 2, 3)))},
        "share units, allowed",
    ),
    "shares for nothing": ({"data": items(item(taken=0, out=10**18))}, "USDT units for"),
    "shares for next to nothing": ({"data": items(item(taken=1, out=10**18))}, "for request 1"),
    "USDT for a speck of a share": ({"data": items(item(taken=10**9, out=10**11))}, "USDT units"),
    "all shares there can be": ({"data": items(item(out=2**128 - 1))}, "for request 1"),
    "a redeem as dear as numbers go": (
        {"data": items(item(taken=2**128 - 1, out=2**128 - 1))},
        "for request 1",
    ),
    "one hidden among good ones": (
        {"data": batch(bought(1), sold(2), back(3), sold(4, POLICY.max_usdt * 2))},
        "for request 4",
    ),
}

GOOD = json.dumps(question())
MALFORMED: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "no JSON"),
    "no JSON": (b"settle(everything)", "no JSON"),
    "half of it": (GOOD[:-1].encode(), "no JSON"),
    "two of it": ((GOOD * 2).encode(), "no JSON"),
    "no text": (b"\xff\xfe" + GOOD.encode(), "no JSON"),
    "a list": (f"[{GOOD}]".encode(), "malformed"),
    "null": (b"null", "malformed"),
    "a string": (json.dumps(GOOD).encode(), "malformed"),
    "nested without end": (b"[" * 100_000, "no JSON"),
    "a number without end": (GOOD.replace('"nonce": 7', f'"nonce": {"9" * 5000}').encode(), "no"),
    "a field twice": (GOOD.replace("{", f'{{"to": "{OTHER}", ', 1).encode(), "no JSON"),
    "not a number": (GOOD.replace('"value": 0', '"value": NaN').encode(), "value"),
    **{
        name: (json.dumps(question(**changes)).encode(), says)
        for name, changes, says in (
            ("nonce below 0", {"nonce": -1}, "nonce"),
            ("nonce as text", {"nonce": "7"}, "nonce"),
            ("nonce with a fraction", {"nonce": 7.0}, "nonce"),
            ("nonce true", {"nonce": True}, "nonce"),
            ("nonce null", {"nonce": None}, "nonce"),
            ("gas below 0", {"gas": -1}, "gas"),
            ("fee of 257 bits", {"max_fee": 2**256}, "max_fee"),
            ("tip below 0", {"max_priority_fee": -GWEI}, "max_priority_fee"),
            ("value below 0", {"value": -1}, "value"),
            ("another version", {"version": 2}, "version"),
            ("one field more", {"gas_price": 1}, "gas_price"),
            ("a key of its own", {"private_key": "0x" + "11" * 32}, "private_key"),
            ("an address too short", {"to": VAULT_ADDRESS[:-1]}, "to"),
            ("an address with a line", {"to": VAULT_ADDRESS + "\n"}, "to"),
            ("a name", {"to": "vault.eth"}, "to"),
            ("calldata without 0x", {"data": BATCH[2:]}, "data"),
            ("calldata with half a byte", {"data": BATCH[:-1]}, "data"),
            ("calldata with spaces", {"data": BATCH.replace("00", "0 0", 1)}, "data"),
            ("no access list", {"access_list": None}, "access_list"),
        )
    },
    "no type": (json.dumps({k: v for k, v in question().items() if k != "type"}).encode(), "type"),
    **{
        method: (
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode(),
            "",
        )
        for method in ("eth_sign", "eth_signTransaction", "eth_signTypedData", "personal_sign")
    },
}

UNKNOWN: Mapping[str, dict[str, str]] = {
    "no token": {},
    "an empty one": {"Authorization": "Bearer"},
    "a wrong one": {"Authorization": f"Bearer {TOKEN[:-1]}!"},
    "the beginning of it": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "more than it": {"Authorization": f"Bearer {TOKEN}x"},
    "by another scheme": {"Authorization": f"Basic {TOKEN}"},
    "in another header": {"X-API-Key": TOKEN},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_sign__not_a_batch_within_the_limits__is_refused(
    signer: SignerRig, name: str
) -> None:
    changes, says = REFUSED[name]
    answer = await signer.ask(body=question(**changes))
    await nothing_signed(signer, answer, 403, says)


@pytest.mark.parametrize("name", MALFORMED)
async def test_sign__no_question_at_all__is_refused(signer: SignerRig, name: str) -> None:
    body, says = MALFORMED[name]
    await nothing_signed(signer, await signer.ask(body=body), 400, says)


@pytest.mark.parametrize("name", UNKNOWN)
async def test_sign__without_the_token__is_refused(signer: SignerRig, name: str) -> None:
    answer = await signer.ask(body=question(), headers=UNKNOWN[name])
    await nothing_signed(signer, answer, 401, "token")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", SIGN_PATH, 405),
        ("PUT", SIGN_PATH, 405),
        ("POST", "/v2/sign", 404),
        ("POST", "/", 404),
        ("POST", "/v1/export", 404),
        ("GET", "/v1/status/../key", 404),
    ],
)
async def test_sign__at_another_place__is_refused(
    signer: SignerRig, method: str, path: str, status: int
) -> None:
    await nothing_signed(signer, await signer.ask(method, path, question()), status, "malformed")


async def test_sign__a_body_without_end__is_refused(signer: SignerRig) -> None:
    body = json.dumps(question(data="0x" + "00" * 200_000)).encode()
    await nothing_signed(signer, await signer.ask(body=body), 413, "malformed")


FUNCTIONS = [entry for entry in VAULT.abi if entry["type"] == "function"]
OTHERS = sorted({entry["name"] for entry in FUNCTIONS} - set(ALLOWED))


@pytest.mark.parametrize("function", OTHERS)
async def test_sign__any_other_function_of_the_vault__is_refused(
    signer: SignerRig, function: str
) -> None:
    """Also one that the vault gets tomorrow: nobody has said yet what it could do."""
    entry = next(entry for entry in FUNCTIONS if entry["name"] == function)
    data = VAULT.calldata(function, *(_zero(one) for one in entry["inputs"]))
    answer = await signer.ask(body=question(data=data))
    await nothing_signed(signer, answer, 403, f"{function} is no settlement")


async def test_thief__in_the_end__has_asked_often_enough_and_has_nothing(
    signer: SignerRig,
) -> None:
    asked = len(REFUSED) + len(MALFORMED) + len(UNKNOWN) + len(OTHERS) + 7
    for name in ("mainnet", "type 0"):  # alone, this test asks too
        await signer.ask(body=question(**REFUSED[name][0]))
    found = await signer.status()
    assert asked >= 60
    assert found["signed"] == 0
    assert found["refused"] >= 2
    refusals = [line for line in signer.log if line["event"] == "signing_refused"]
    assert len(refusals) == found["refused"]
    assert not [line for line in signer.log if line["event"] == "signed"]


async def test_the_same_question__unspoilt__is_signed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Else everything above would be refused for the wrong reason."""
    async with running(tmp_path_factory.mktemp("honest")) as rig:
        for unsigned in (tx(), tx(data=ONE, nonce=8), tx(data=FILLER, nonce=9)):
            answer = await rig.ask(body=question(unsigned))
            assert answer.status_code == 200, answer.text
        assert (await rig.status())["signed"] == 3


def _zero(entry: dict[str, Any]) -> Any:
    """Some value of an argument's type."""
    kind: str = entry["type"]
    if kind.endswith("]"):
        return []
    if kind == "tuple":
        return tuple(_zero(one) for one in entry["components"])
    if kind.startswith("bytes"):
        return b"\0" * int(kind.removeprefix("bytes") or 0)
    return {"address": OTHER, "bool": False, "string": ""}.get(kind, 0)
