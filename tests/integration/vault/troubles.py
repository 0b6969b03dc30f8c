"""Each way in which a WebSocket endpoint can go wrong while it seems to be there."""

import asyncio
import json

from tests.integration.vault.line import Frame, Json, Line, Play, Talk

_BURST = 2_000
# websockets takes frames of up to 1 MiB: https://websockets.readthedocs.io/en/stable/topics/memory.html
_OVERSIZE = 1_100_000
_CODES = (1000, 1001, 1011, 1012, 1013, 4000)
_NO_JSON: tuple[Frame, ...] = (
    "",
    "not json",
    '{"jsonrpc": "2.0", "method"',
    "NaN",
    "[]",
    '"text"',
    "[" * 50_000,
    b"\x00\xff\xfe",
    '{"jsonrpc": "2.0", "method": "eth_subscription", "params": []}',
)
# RFC 6455, 5.2 and 5.5.1: a close without a code, and a text that is no UTF-8.
_CLOSE_WITHOUT_CODE = b"\x88\x00"
_NO_UTF8 = b"\x81\x02\xff\xfe"
_STRAYS: tuple[Json, ...] = (
    {"id": None, "error": {"code": -32000, "message": "oops"}},
    {"id": 999, "error": {"code": -32005, "message": "too many"}},
    {"id": 1, "error": {"code": -32000, "message": "filter not found"}},
    {"id": 2, "result": None},
    {"id": 999, "result": 5},
    {"id": "1", "result": "0xaa"},
    {"error": "gone"},
)


async def aborted(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """The connection is cut, also before a subscription is answered."""
    if line.chance(0.4):
        line.troubles += 1
        talk.socket.transport.abort()
        return []
    return _as_it_is(message)


async def closed(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Closed in all form, with one code or another or none."""
    if line.chance(0.4):
        line.troubles += 1
        if line.chance(0.3):
            talk.write(_CLOSE_WITHOUT_CODE)
        else:
            await talk.socket.close(line.dice.choice(_CODES))
        return []
    return _as_it_is(message)


async def half_open(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """The other end is gone and nobody says so: no frame, no answer to a ping."""
    if talk.frames > 1 + 4 * talk.mood:
        line.troubles += 1
        talk.socket.transport.pause_reading()
        return []
    return _as_it_is(message)


async def silent(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Subscribed, pings are answered, and no notification comes any more."""
    if talk.frames > 2 + 4 * talk.mood:
        line.troubles += 1
        return []
    return _as_it_is(message)


async def dropped(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Some notifications are lost."""
    if _is_note(message) and line.chance(0.6):
        line.troubles += 1
        return []
    return _as_it_is(message)


async def doubled(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Notifications come several times, also long after."""
    if not _is_note(message):
        return _as_it_is(message)
    line.troubles += 1
    talk.held = [*talk.held[-3:], json.dumps(message)]
    return [line.dice.choice(talk.held) for _ in range(3)] + _as_it_is(message)


async def shuffled(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Notifications come late and in another order."""
    if not _is_note(message):
        return _as_it_is(message)
    talk.held.append(json.dumps(message))
    if len(talk.held) < line.dice.randint(2, 5):
        return []
    line.troubles += 1
    line.dice.shuffle(talk.held)
    held, talk.held = talk.held, []
    return held


async def garbage(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Frames that are no JSON, too large, or no text."""
    line.troubles += 1
    if line.chance(0.1):
        talk.write(_NO_UTF8)
    if line.chance(0.1):
        return ["x" * _OVERSIZE]
    return [line.dice.choice(_NO_JSON), *_as_it_is(message)]


async def stray(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Errors and answers that nobody asked for."""
    line.troubles += 1
    return [json.dumps({"jsonrpc": "2.0"} | line.dice.choice(_STRAYS)), *_as_it_is(message)]


async def poisoned(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Logs that are none, of others, taken back, and heads that are nothing."""
    if not _is_note(message):
        return _as_it_is(message)
    line.troubles += 1
    log = line.last.get("log", {})
    bad: object = line.dice.choice(
        [
            None,
            [],
            {},
            {"address": 5},
            log | {"topics": []},
            log | {"topics": None},
            log | {"data": "0x12"},
            log | {"blockNumber": None},
            log | {"transactionHash": 7},
            log | {"address": "0x" + "66" * 20},
            log | {"removed": True},
        ]
    )
    return [_note(one, bad) for one in talk.subscriptions] + _as_it_is(message)


async def refused(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """A subscription is answered with an error, with nothing, or never."""
    if _is_note(message):
        if line.chance(0.3):
            talk.socket.transport.abort()
        return _as_it_is(message)
    if talk.mood < 0.3:
        return _as_it_is(message)
    line.troubles += 1
    if talk.mood < 0.4:
        return []
    error = {"error": {"code": -32601, "message": "no subscriptions here"}}
    answer = error if talk.mood < 0.8 else {"result": None}
    return [json.dumps({"jsonrpc": "2.0", "id": message["id"]} | answer)]


async def raced(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Notifications of a subscription come before the answer that says its name."""
    if _is_note(message):
        if line.chance(0.3):
            talk.socket.transport.abort()
        return _as_it_is(message)
    line.troubles += 1
    early = [_note(message["result"], result) for result in line.last.values()]
    return early * 5 + _as_it_is(message)


async def renamed(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Both subscriptions have one name, or change their names, or swap them."""
    if not _is_note(message):
        if talk.mood < 0.4:
            line.troubles += 1
            return [json.dumps(message | {"result": "0xaa"})]
        return _as_it_is(message)
    line.troubles += 1
    params = message["params"]
    if talk.mood < 0.4:
        name = "0xaa"
    elif talk.mood < 0.7:
        name = f"{params['subscription']}-{talk.frames // 4}"
    else:
        others = (one for one in talk.subscriptions if one != params["subscription"])
        name = next(others, "0xbb")
    return [_note(name, params["result"])]


async def flooded(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Thousands of logs at once, faster than anybody reads."""
    if not _is_note(message) or line.chance(0.7):
        return _as_it_is(message)
    line.troubles += 1
    log = line.last.get("log", message["params"]["result"])
    return [_note(talk.subscriptions[-1], log)] * _BURST + _as_it_is(message)


async def late(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """Every frame takes its time, and those behind it wait."""
    line.troubles += 1
    await asyncio.sleep(line.dice.uniform(0.05, 0.3))  # how late it is is what is tested
    return _as_it_is(message)


async def away(line: Line, talk: Talk, message: Json) -> list[Frame]:
    """The server goes, nobody listens on its port, and it comes back."""
    if _is_note(message) and line.chance(0.5):
        line.troubles += 1
        await line.restart(line.dice.uniform(0.05, 0.4))
        return []
    return _as_it_is(message)


TROUBLES: dict[str, Play] = {
    play.__name__: play
    for play in (
        aborted, closed, half_open, silent, dropped, doubled, shuffled, garbage, stray, poisoned,
        refused, raced, renamed, flooded, late, away,
    )
}  # fmt: skip


def _is_note(message: Json) -> bool:
    return "id" not in message


def _as_it_is(message: Json) -> list[Frame]:
    return [json.dumps(message)]


def _note(subscription: str, result: object) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
