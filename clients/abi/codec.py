"""Encoding and decoding by ABI, straight on eth-abi: no provider, no network, no surprises."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes


class DecodedError(NamedTuple):
    """A custom error of a contract: its name and arguments."""

    name: str
    args: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.args.items())})"


class DecodedEvent(NamedTuple):
    """An event of a contract: its name and arguments, bytes as 0x hex."""

    name: str
    args: dict[str, Any]


class ContractAbi:
    """One contract's ABI and creation code."""

    def __init__(
        self,
        name: str,
        abi: Sequence[dict[str, Any]],
        bytecode: str,
        links: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.name = name
        self.abi = list(abi)
        self.bytecode = bytecode
        self._links = dict(links or {})
        self._functions = {entry["name"]: entry for entry in _of_type(abi, "function")}
        self._selectors = {
            name: bytes(function_abi_to_4byte_selector(entry))  # type: ignore[arg-type]
            for name, entry in self._functions.items()
        }
        self._events = {bytes(event_abi_to_log_topic(e)): e for e in _of_type(abi, "event")}  # type: ignore[arg-type]
        self._errors = {_error_selector(entry): entry for entry in _of_type(abi, "error")}

    def calldata(self, function: str, *args: Any) -> str:
        """Calldata of a call, 0x hex. Raises eth_abi's EncodingError on a value out of range."""
        inputs = _types(self._functions[function]["inputs"])
        return "0x" + (self._selectors[function] + encode(inputs, args)).hex()

    @property
    def libraries(self) -> tuple[str, ...]:
        """Names of the libraries that must be deployed before it."""
        return tuple(sorted(self._links))

    def creation(self, *args: Any, libraries: Mapping[str, str] | None = None) -> str:
        """Creation code with constructor arguments, 0x hex. libraries: address by name.

        Raises:
            KeyError: a library that it calls has no address.
        """
        inputs = [i for entry in _of_type(self.abi, "constructor") for i in entry["inputs"]]
        return self._linked(libraries or {}) + encode(_types(inputs), args).hex()

    def _linked(self, libraries: Mapping[str, str]) -> str:
        code = self.bytecode
        for name, places in self._links.items():
            for place in places:
                # Two characters a byte, after "0x"; an address is 20 bytes.
                start = 2 + 2 * place
                code = code[:start] + libraries[name][2:].lower() + code[start + 40 :]
        return code

    def decode_call(self, calldata: str) -> tuple[str, tuple[Any, ...]]:
        """Function name and arguments of calldata.

        Raises:
            ValueError: it is no call of this contract, or not exactly its canonical encoding.
        """
        raw = bytes(HexBytes(calldata))
        name = next((n for n, s in self._selectors.items() if s == raw[:4]), None)
        if name is None:
            raise ValueError(f"no function of {self.name} has the selector 0x{raw[:4].hex()}")
        types = _types(self._functions[name]["inputs"])
        try:
            args = decode(types, raw[4:])
        except DecodingError as error:
            raise ValueError(f"the arguments of {name} do not decode") from error
        if encode(types, args) != raw[4:]:
            raise ValueError(f"the arguments of {name} are not canonically encoded")
        return name, args

    def decode_result(self, function: str, result: str) -> tuple[Any, ...]:
        """Return values of a call. Raises ValueError when the data does not fit."""
        outputs = self._functions[function]["outputs"]
        try:
            values = decode(_types(outputs), bytes(HexBytes(result)))
        except DecodingError as error:
            raise ValueError(f"the answer to {self.name}.{function} does not decode") from error
        pairs = zip(outputs, values, strict=True)
        return tuple(_plain(entry, value) for entry, value in pairs)

    def topic(self, event: str) -> str:
        """First topic of an event, 0x hex."""
        return next("0x" + t.hex() for t, entry in self._events.items() if entry["name"] == event)

    def decode_log(self, log: dict[str, Any]) -> DecodedEvent | None:
        """The event in a log; None when it is none of this contract's."""
        topics = [bytes(HexBytes(topic)) for topic in log["topics"]]
        entry = self._events.get(topics[0]) if topics else None
        if entry is None:
            return None
        indexed = [i for i in entry["inputs"] if i["indexed"]]
        plain = [i for i in entry["inputs"] if not i["indexed"]]
        if len(indexed) != len(topics) - 1:
            return None
        try:
            values = decode(_types(plain), bytes(HexBytes(log["data"])))
            keys = [decode([i["type"]], t)[0] for i, t in zip(indexed, topics[1:], strict=True)]
        except DecodingError:
            return None
        found = zip([*indexed, *plain], [*keys, *values], strict=True)
        args = {entry["name"]: _plain(entry, value) for entry, value in found}
        return DecodedEvent(entry["name"], args)

    def decode_error(self, data: str) -> DecodedError | None:
        """The custom error in revert data; None when it is none that this contract declares."""
        raw = bytes(HexBytes(data)) if data else b""
        entry = self._errors.get(raw[:4])
        if entry is None:
            return None
        try:
            values = decode(_types(entry["inputs"]), raw[4:])
        except DecodingError:
            return None
        pairs = zip(entry["inputs"], values, strict=True)
        return DecodedError(entry["name"], {i["name"]: _plain(i, v) for i, v in pairs})


@cache
def load_contract(name: str) -> ContractAbi:
    """The contract as built and shipped."""
    built = json.loads(files("clients.abi").joinpath(f"{name}.json").read_text("utf-8"))
    return ContractAbi(built["name"], built["abi"], built["bytecode"], built["links"])


def _of_type(abi: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in abi if entry["type"] == kind]


def _types(entries: Sequence[dict[str, Any]]) -> list[str]:
    return [collapse_if_tuple(entry) for entry in entries]


def _error_selector(entry: dict[str, Any]) -> bytes:
    return bytes(function_abi_to_4byte_selector({**entry, "type": "function"}))  # type: ignore[arg-type]


def _plain(entry: dict[str, Any], value: Any) -> Any:
    """Bytes as 0x hex, addresses checksummed, structs as dicts by field name."""
    kind: str = entry["type"]
    if kind.endswith("]"):
        item = {**entry, "type": kind[: kind.rindex("[")]}
        return [_plain(item, one) for one in value]
    if kind == "tuple":
        return {c["name"]: _plain(c, v) for c, v in zip(entry["components"], value, strict=True)}
    if kind == "address":
        return to_checksum_address(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value
