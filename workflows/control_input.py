"""What people and programs send to control, read without ever raising.

A signal may carry nothing, null, a JSON string (the reason), an object, or nonsense: a pause is
taken from all of them. A resume is taken only from what can be understood.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from models.control import DRAIN_HOLD, MANUAL_HOLD, HoldCommand, HoldKind
from models.requests import Side

_REASON_LENGTH = 240
_NAME_LENGTH = 60
_KEY_LENGTH = 48
_SYMBOL_LENGTH = 24
"""Shorter than the columns that hold them, so that no text can stop a pause."""


def manual_key(side: Side | None, symbol: str) -> str:
    """Key of the manual hold of a scope: a hold of another scope is another hold."""
    scope = ":".join(part for part in (side.value if side else "", symbol) if part)
    return f"{MANUAL_HOLD}:{scope}" if scope else MANUAL_HOLD


def pause_command(args: Sequence[Any]) -> HoldCommand:
    """The manual hold that is asked for; of a scope nobody understands, all trading."""
    fields = _fields(args)
    side, symbol, understood = _scope(fields)
    reason = _text(fields.get("reason"), _REASON_LENGTH)
    if not understood:
        side, symbol = None, ""
        reason = _text(f"{reason} (sent as {dict(fields)})", _REASON_LENGTH)
    return _manual(fields, reason, side, symbol)


def resume_command(args: Sequence[Any]) -> HoldCommand | None:
    """The manual hold that is to be lifted; None when the scope cannot be understood."""
    fields = _fields(args)
    side, symbol, understood = _scope(fields)
    if not understood:
        return None
    return _manual(fields, _text(fields.get("reason"), _REASON_LENGTH), side, symbol)


def drain_command(args: Sequence[Any]) -> HoldCommand:
    """The hold of a drain, of all trading; whatever is sent, it can be understood."""
    fields = _fields(args)
    reason = _text(fields.get("reason"), _REASON_LENGTH)
    return HoldCommand(
        key=DRAIN_HOLD,
        kind=HoldKind.DRAIN,
        reason=reason or "new orders wait until it ends",
        who=_text(fields.get("who"), _NAME_LENGTH),
    )


def hold_command(args: Sequence[Any]) -> HoldCommand | None:
    """The hold a program sets or lifts; None when it is not a HoldCommand."""
    try:
        command = HoldCommand.model_validate(args[0] if args else None)
    except ValidationError:
        return None
    symbol = command.symbol.upper()
    return command.model_copy(
        update={
            "key": _key(command.key),
            "reason": _text(command.reason, _REASON_LENGTH),
            "who": _text(command.who, _NAME_LENGTH),
            "symbol": symbol if len(symbol) <= _SYMBOL_LENGTH else "",
        }
    )


def _manual(fields: Mapping[str, Any], reason: str, side: Side | None, symbol: str) -> HoldCommand:
    return HoldCommand(
        key=manual_key(side, symbol),
        kind=HoldKind.MANUAL,
        reason=reason,
        who=_text(fields.get("who"), _NAME_LENGTH),
        side=side,
        symbol=symbol,
        cancel_working=fields.get("cancel_working") is True,
    )


def _fields(args: Sequence[Any]) -> Mapping[str, Any]:
    first = args[0] if args else None
    if isinstance(first, Mapping):
        return first
    return {} if first is None else {"reason": first}


def _scope(fields: Mapping[str, Any]) -> tuple[Side | None, str, bool]:
    """(side, symbol, whether it was understood); absent, null and empty mean all."""
    side, symbol = fields.get("side") or "", fields.get("symbol") or ""
    known = set(fields) <= {"reason", "who", "side", "symbol", "key", "kind", "cancel_working"}
    if not (known and isinstance(side, str) and isinstance(symbol, str)):
        return None, "", False
    side, symbol = side.upper(), symbol.upper()  # "ß" is two letters then
    if (side and side not in Side.__members__) or len(symbol) > _SYMBOL_LENGTH:
        return None, "", False
    return (Side(side) if side else None), symbol, True


def _key(key: str) -> str:
    """The key, short enough; two long ones never become one."""
    if len(key) <= _KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return f"{key[: _KEY_LENGTH - 13]}~{digest}"


def _text(value: Any, length: int) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= length else text[: length - 1] + "…"
