"""A worker before a signer that lies: whatever it answers, no wrong byte gets out."""

import json
from typing import Any

import pytest
from aiohttp import web
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given, settings
from hypothesis import strategies as st

from bronco.processes import free_port
from clients.keys import account_of, plain_key, sign_with
from clients.signed import checked
from clients.signer import RemoteSigner
from clients.wire import MOST_BYTES
from models.errors import SigningRefused, SourceUnavailable
from tests.integration.signer.servers import served
from tests.signing import ADDRESS, KEY, OTHER, tx

GOOD = sign_with(account_of(KEY), tx())
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def twin(raw: str) -> str:
    """The same transaction with the other signature that recovers to the same address."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    fields |= {"s": ORDER - fields["s"], "v": 1 - fields["v"], "type": 2}
    return "0x" + bytes(TypedTransaction.from_dict(fields).encode()).hex()


def other(**changes: Any) -> str:
    return sign_with(account_of(KEY), tx(**changes)).raw


ANSWERS: dict[str, bytes] = {
    name: json.dumps({"version": 1, "raw": raw, "tx_hash": GOOD.tx_hash}).encode()
    for name, raw in {
        "another nonce": other(nonce=8),
        "another fee": other(max_fee=41 * 10**9),
        "another tip": other(max_priority_fee=0),
        "another gas limit": other(gas=999_999),
        "another chain": other(chain_id=1),
        "another contract": other(to=OTHER),
        "a contract made": other(to=""),
        "another call": other(data="0x"),
        "another key": sign_with(account_of("0x" + "42" * 32), tx()).raw,
        "the other signature": twin(GOOD.raw),
        "a byte more": GOOD.raw + "00",
        "a byte less": GOOD.raw[:-2],
        "nothing": "",
        "a list": ["0x02"],
        "none": None,
    }.items()
} | {
    "no raw": b"{}",
    "no JSON": b"yes",
    "a list of it": b"[]",
    "nested without end": b"[" * 100_000,
    "without end": b'"' + b"a" * (MOST_BYTES + 1),
}


def answering(body: bytes, status: int = 200) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/sign", answer)
    return app


async def asked(url: str, **changes: Any) -> str:
    signer = RemoteSigner(url, address=ADDRESS, patience_seconds=0, **changes)
    try:
        return (await signer.sign(tx())).raw
    finally:
        await signer.close()


@pytest.mark.parametrize("name", ANSWERS)
async def test_sign__answer_is_not_what_was_asked__is_no_signature(name: str) -> None:
    async with served(answering(ANSWERS[name])) as url:
        with pytest.raises(SourceUnavailable):
            await asked(url)


async def test_sign__answer_is_what_was_asked__has_its_own_hash() -> None:
    lying = json.dumps({"raw": GOOD.raw, "tx_hash": "0x" + "00" * 32}).encode()
    async with served(answering(lying)) as url:
        signer = RemoteSigner(url, address=ADDRESS.lower())
        assert await signer.sign(tx()) == GOOD
        await signer.close()


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (403, "refused", SigningRefused),
        (400, "malformed", SigningRefused),
        (401, "unauthorized", SourceUnavailable),
        (503, "unavailable", SourceUnavailable),
        (500, "", SourceUnavailable),
        (302, "refused?", SourceUnavailable),
    ],
)
async def test_sign__not_signed__tells_no_from_not_now(
    status: int, error: str, kind: type[Exception]
) -> None:
    body = json.dumps({"version": 1, "error": error, "detail": "because"}).encode()
    async with served(answering(body, status)) as url:
        with pytest.raises(kind, match="because"):
            await asked(url)


async def test_sign__nobody_there__is_not_now() -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "unix:/nowhere/signer.sock"):
        with pytest.raises(SourceUnavailable):
            await asked(url)


@settings(max_examples=300)
@given(at=st.integers(0, len(GOOD.raw) // 2 - 2), bit=st.integers(0, 7))
def test_checked__any_bit_flipped__is_not_passed_on(at: int, bit: int) -> None:
    raw = bytearray(bytes.fromhex(GOOD.raw[2:]))
    raw[at] ^= 1 << bit
    with pytest.raises(SourceUnavailable):
        checked("0x" + raw.hex(), tx(), ADDRESS)


async def test_checked__untouched__is_the_key_s_own() -> None:
    assert checked(GOOD.raw, tx(), ADDRESS) == GOOD == await plain_key(KEY, 31337).sign(tx())
