"""What one endpoint of three can say that is not so; each is told on top of anvil's truth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address

from clients.vault import VAULT, request_id
from models.watch import Fault
from tests.integration.vault.proxy import Json, Tamper

FORGED_HASH = "0x" + "f0" * 32
_SELECTORS = {
    name: VAULT.calldata(name, *args)[:10]
    for name, args in {"count": (), "requests": (1, 1), "books": ()}.items()
}
_USDT = VAULT.calldata("usdt")[:10]
_DECIMALS = VAULT.calldata("usdtDecimals")[:10]
_REQUESTS = next(e for e in VAULT.abi if e.get("name") == "requests")["outputs"][0]["components"]
_FIELDS = [component["name"] for component in _REQUESTS]
_STRUCT = "(" + ",".join(component["type"] for component in _REQUESTS) + ")[]"


@dataclass(frozen=True)
class Lie:
    """fault None: it decides nothing, so nobody has to be blamed for it."""

    name: str
    tamper: Tamper
    fault: Fault | None


def _data(call: Json) -> str:
    params = call["params"]
    return str(params[0].get("data", "")) if params and isinstance(params[0], dict) else ""


def _view(selector: str, change: Callable[[str], Any]) -> Tamper:
    def tamper(call: Json, truth: Json) -> Json:
        if call["method"] == "eth_call" and _data(call).startswith(selector) and "result" in truth:
            return {**truth, "result": change(truth["result"])}
        return truth

    return tamper


def _count(change: Callable[[int], int]) -> Tamper:
    return _view(_SELECTORS["count"], lambda result: f"0x{change(int(result, 16)):064x}")


def _entries(change: Callable[[list[dict[str, Any]]], None], *, new_ids: bool = False) -> Tamper:
    """Change what `requests` gives; with new_ids the liar even computes fitting ids."""

    def rewritten(result: str) -> str:
        (raw,) = decode([_STRUCT], bytes.fromhex(result[2:]))
        entries = [dict(zip(_FIELDS, one, strict=True)) for one in raw]
        if not entries:
            return result
        change(entries)
        for entry in entries if new_ids else ():
            entry["id"] = bytes.fromhex(_id_of(entry)[2:])
        tuples = [tuple(entry[field] for field in _FIELDS) for entry in entries]
        return "0x" + encode([_STRUCT], [tuples]).hex()

    return _view(_SELECTORS["requests"], rewritten)


class Vault:
    """Where the forger of ids learns which vault it lies about."""

    address = ""


def _id_of(entry: dict[str, Any]) -> str:
    addresses = ("owner", "recipient", "asset")
    terms = entry | {name: to_checksum_address(entry[name]) for name in addresses}
    return request_id(31337, Vault.address, terms)


def _set(field: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[0][field] = value

    return change


def _swap(entries: list[dict[str, Any]]) -> None:
    if len(entries) > 1:
        entries[0], entries[1] = entries[1], entries[0]
    else:
        entries[0]["n"] += 1


def _block(change: Callable[[Json], Any], *, tags: tuple[str, ...] = ()) -> Tamper:
    """Change blocks: those asked for by these tags, or all of them."""

    def tamper(call: Json, truth: Json) -> Json:
        if call["method"] != "eth_getBlockByNumber" or not truth.get("result"):
            return truth
        if not tags or call["params"][0] in tags:
            return {**truth, "result": change(dict(truth["result"]))}
        return truth

    return tamper


def _error(text: str, *, code: Any = -32000, method: str = "eth_call") -> Tamper:
    def tamper(call: Json, truth: Json) -> Json:
        if call["method"] != method:
            return truth
        error = {"code": code, "message": text}
        return {"jsonrpc": "2.0", "id": truth["id"], "error": error}

    return tamper


def _result(value: Any, method: str = "eth_call") -> Tamper:
    def tamper(call: Json, truth: Json) -> Json:
        return {**truth, "result": value} if call["method"] == method else truth

    return tamper


def _hangs_up(_: Json, __: Json) -> None:
    return None


def _same_id(call: Json, truth: Json) -> Json:
    return {**truth, "id": 7}


def _no_id(call: Json, truth: Json) -> Json:
    return {**truth, "id": None, "result": {"nothing": "of use"}}


def _raw(text: str) -> Tamper:
    """No JSON-RPC at all; the proxy sends a string as it is."""

    def tamper(_: Json, __: Json) -> Any:
        return text

    return tamper


def _final_is_latest() -> Tamper:
    newest: Json = {}

    def tamper(call: Json, truth: Json) -> Json:
        if call["method"] == "eth_getBlockByNumber" and call["params"][0] == "latest":
            newest.update(truth)
        if call["method"] == "eth_getBlockByNumber" and call["params"][0] == "finalized":
            return {**truth, "result": newest.get("result", truth["result"])}
        return truth

    return tamper


def _older(block: Json) -> Json:
    return {**block, "number": hex(max(0, int(block["number"], 16) - 40)), "hash": FORGED_HASH}


def lies() -> list[Lie]:
    """All of them."""
    forged = {"hash": FORGED_HASH}
    return [
        Lie("omits the newest request", _count(lambda n: n - 1), Fault.LIED),
        Lie("invents a request", _count(lambda n: n + 1), Fault.LIED),
        Lie("counts none", _count(lambda n: 0), Fault.LIED),
        Lie("counts beyond all", _count(lambda n: 2**256 - 1), Fault.GARBLED),
        Lie("raises an amount", _entries(_set("amount", 9 * 10**9)), Fault.LIED),
        Lie("other amount, fitting id", _entries(_set("amount", 1), new_ids=True), Fault.LIED),
        Lie(
            "other recipient, fitting id",
            _entries(_set("recipient", "0x" + "99" * 20), new_ids=True),
            Fault.LIED,
        ),
        Lie("other side, fitting id", _entries(_set("side", 1), new_ids=True), Fault.LIED),
        Lie("impossible side, fitting id", _entries(_set("side", 7), new_ids=True), Fault.LIED),
        Lie("impossible status", _entries(_set("status", 9)), Fault.LIED),
        Lie("says settled", _entries(_set("status", 2)), Fault.LIED),
        Lie("says there is none", _entries(_set("status", 0)), Fault.LIED),
        Lie("says cancelled", _entries(_set("cancelRequested", True)), Fault.LIED),
        Lie("made in another block", _entries(_set("createdBlock", 1)), Fault.LIED),
        Lie("sooner reclaim", _entries(_set("reclaimAt", 1)), Fault.LIED),
        Lie("requests in another order", _entries(_swap), Fault.LIED),
        Lie("leaves requests out", _entries(lambda entries: entries.clear()), Fault.LIED),
        Lie("answers twice", _entries(lambda e: e.append(dict(e[0]))), Fault.LIED),
        Lie("other decimals of the money", _view(_DECIMALS, lambda _: f"0x{18:064x}"), Fault.LIED),
        Lie("other money", _view(_USDT, lambda _: f"0x{5:064x}"), Fault.LIED),
        Lie("more free money", _view(_SELECTORS["books"], _more), Fault.LIED),
        Lie("no code at the vault", _result("0x", "eth_getCode"), Fault.LIED),
        Lie("serves another chain", _result("0x1", "eth_chainId"), Fault.WRONG_CHAIN),
        Lie("forged hash", _block(lambda b: {**b, **forged}), Fault.FORKED),
        Lie("forged head", _block(lambda b: {**b, **forged}, tags=("latest",)), Fault.FORKED),
        Lie("another block than asked", _block(lambda b: {**b, "number": "0x1"}), Fault.LIED),
        Lie("head far behind", _block(_older, tags=("latest",)), Fault.LAGGING),
        Lie(
            "head in the far future",
            _block(lambda b: {**b, "number": "0xffffffff", **forged}, tags=("latest",)),
            None,
        ),
        Lie("no newest block", _block(lambda _: None, tags=("latest",)), Fault.GARBLED),
        Lie("all is final", _final_is_latest(), None),
        Lie("nothing is final", _block(lambda _: None, tags=("finalized",)), Fault.GARBLED),
        Lie("number below zero", _block(lambda b: {**b, "number": "-0x5"}), Fault.GARBLED),
        Lie("hash that is none", _block(lambda b: {**b, "hash": "0x12"}), Fault.GARBLED),
        Lie("hash of another type", _block(lambda b: {**b, "hash": ["0x"]}), Fault.GARBLED),
        Lie("answer of another type", _result(5), Fault.GARBLED),
        Lie("answer is a list", _result([[]]), Fault.GARBLED),
        Lie("no data", _result("0x"), Fault.GARBLED),
        Lie("data cut off", _view("0x", lambda r: str(r)[: len(str(r)) // 2]), Fault.GARBLED),
        Lie("array without end", _result("0x" + f"{32:064x}" + "ff" * 32), Fault.LIED),
        Lie("no JSON", _raw("<html>"), Fault.GARBLED),
        Lie("JSON without end", _raw("[" * 100_000), Fault.GARBLED),
        Lie("batch of numbers", _raw("[1, 2]"), Fault.GARBLED),
        Lie("one answer for several calls", _same_id, Fault.LIED),
        Lie("answers to nobody", _no_id, Fault.GARBLED),
        Lie("error code that is text", _error("nope", code="E"), Fault.REFUSES),
        Lie("too many requests", _error("rate limit exceeded", code=-32005), Fault.REFUSES),
        Lie("pruned", _error("missing trie node 12ab (path )"), Fault.PRUNED),
        Lie("does not know the block", _error("header not found"), Fault.LAGGING),
        Lie("says reverted", _error("execution reverted", code=3), Fault.REFUSES),
        Lie("hangs up", _hangs_up, Fault.DOWN),
    ]


def _more(result: str) -> str:
    """More of what is nothing in the books."""
    return result.replace(f"{0:064x}", f"{10**15:064x}", 1)
