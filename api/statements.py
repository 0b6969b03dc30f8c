"""The end-of-day statement, line by line as it is read: as JSON, or as CSV for a spreadsheet."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from api.errors import described
from models.statement import StatementLine, StatementTotals

if TYPE_CHECKING:
    from clients.store import Store

_COLUMNS = tuple(StatementLine.model_fields)
_CSV_TYPE = "text/csv; charset=utf-8"
# A spreadsheet would run what begins like this: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LINE: dict[str, Any] = {
    "at": "2026-01-05T14:30:06.120+00:00",
    "symbol": "AAPL",
    "side": "BUY",
    "broker_order_id": "7001234",
    "shares": 5,
    "price": "190.12",
    "value": "950.6",
    "request_id": "0x" + "5f" * 32,
    "settlement": "FINAL",
    "taken": "951550600",
    "out": "5000000000000000000",
    "fee": "950600",
    "tx_hash": "0x" + "cd" * 32,
    "first": True,
    "difference": "",
}
_EXAMPLE: dict[str, Any] = {
    "date": "2026-01-05",
    "lines": [_LINE],
    "totals": {
        "lines": 1,
        "differences": 0,
        "shares_bought": 5,
        "shares_sold": 0,
        "bought_usd": "950.6",
        "sold_usd": "0",
        "taken_units": "951550600",
        "paid_units": "0",
        "fee_units": "950600",
    },
}


_CSV = "date,at,symbol,side,broker_order_id,shares,price,value,request_id,settlement,...\r\n"


class Format(StrEnum):
    """How it is written."""

    JSON = "json"
    CSV = "csv"


class Statement(BaseModel):
    """A trading day of New York: broker confirms beside settlements, then the sums."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    date: date
    lines: list[StatementLine]
    totals: StatementTotals


def routes(store: "Store", decimals: int) -> APIRouter:
    """The route. decimals: of USDT."""
    router = APIRouter(tags=["statements"])
    errors = described(
        HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    )
    answers: dict[int | str, dict[str, Any]] = {
        200: {
            "model": Statement,
            "content": {"text/csv": {"schema": {"type": "string"}, "example": _CSV}},
        }
    }

    @router.get(
        "/statements/{date}", responses={**errors, **answers}, response_class=StreamingResponse
    )
    async def statement(
        day: Annotated[date, Path(alias="date", description="trading day in New York")],
        form: Annotated[Format, Query(alias="format")] = Format.JSON,
    ) -> StreamingResponse:
        """What the broker confirmed on a day beside what the vault settled for it, with the sums.

        Each line says what does not agree: FOREIGN, NOT_SETTLED, SHARES, VALUE or NO_CONFIRM.
        """
        written = write_statement(store, day, decimals, form)
        # The first part is made before anything is answered, so a source that is down is a 503.
        first = await anext(written)
        media_type = _CSV_TYPE if form is Format.CSV else "application/json"
        name = f'attachment; filename="bronco-{day.isoformat()}.{form.value}"'
        return StreamingResponse(
            _after(first, written), media_type=media_type, headers={"Content-Disposition": name}
        )

    return router


async def write_statement(
    store: "Store", day: date, decimals: int, form: Format
) -> AsyncIterator[str]:
    """The text, part by part; the sums come last.

    Raises:
        InvalidInput: not a day in which anything was traded.
        SourceUnavailable: the database could not be asked.
    """
    lines = store.day_statements.lines(day, decimals)
    write = _as_csv if form is Format.CSV else _as_json
    async for part in write(day, lines):
        yield part


async def _as_json(day: date, lines: AsyncIterator[StatementLine]) -> AsyncIterator[str]:
    totals = StatementTotals()
    before = f'{{"date": "{day.isoformat()}", "lines": ['
    async for line in lines:
        totals.add(line)
        yield f"{before}{line.model_dump_json()}"
        before = ", "
    if not totals.lines:
        yield before
    yield f'], "totals": {totals.model_dump_json()}}}\n'


async def _as_csv(day: date, lines: AsyncIterator[StatementLine]) -> AsyncIterator[str]:
    totals = StatementTotals()
    before = _row(["date", *_COLUMNS])
    async for line in lines:
        totals.add(line)
        values = line.model_dump(mode="json")
        yield before + _row([day.isoformat(), *(values[name] for name in _COLUMNS)])
        before = ""
    yield before + _row([day.isoformat(), "TOTAL", json.dumps(totals.model_dump())])


def _row(values: list[object]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_inert(value) for value in values])
    return written.getvalue()


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


async def _after(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in rest:
        yield part
