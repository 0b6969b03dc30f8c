"""Column types that keep money and time exact on MySQL, MariaDB and SQLite alike."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import DECIMAL, Column, Dialect, String, Text
from sqlalchemy import Enum as EnumColumn
from sqlalchemy.dialects.mysql import DATETIME as MYSQL_DATETIME
from sqlalchemy.types import DateTime, TypeDecorator, TypeEngine

from models.money import plain_decimal

_TEXT_DIGITS = 80

TABLE_OPTIONS: Mapping[str, str] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}
"""Remarks and ids differ by case, so text compares by code point, as it does on SQLite."""


class TokenAmount(TypeDecorator[int]):
    """An exact non-negative integer of up to 65 digits: DECIMAL(65,0), text on SQLite."""

    impl = DECIMAL(65, 0)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """SQLite's NUMERIC is a float beyond 15 digits, so text there."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(_TEXT_DIGITS))
        return dialect.type_descriptor(DECIMAL(65, 0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """Refuse what the column cannot hold exactly."""
        if value is None:
            return None
        if value < 0 or value >= 10**65:
            raise ValueError(f"token amount out of range: {value}")
        return str(value) if dialect.name == "sqlite" else Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Give back the integer that was stored."""
        return None if value is None else int(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """Dollars with nine decimals: DECIMAL(38,9), text on SQLite.

    More decimals (an average over several fills) are rounded half-even, alike on every database;
    money is computed from the unrounded number before it is shown here.
    """

    impl = DECIMAL(38, 9)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, for the same reason as TokenAmount."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(_TEXT_DIGITS))
        return dialect.type_descriptor(DECIMAL(38, 9))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Refuse what the column cannot hold; plain digits, no exponent."""
        if value is None:
            return None
        if not value.is_finite() or abs(value) >= 10**29:
            raise ValueError(f"dollars out of range: {value}")
        exact = plain_decimal(value)
        return str(exact) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Give back the number that was stored, without trailing zeros."""
        return None if value is None else plain_decimal(Decimal(str(value)))


class UtcTime(TypeDecorator[datetime]):
    """Naive UTC with microseconds; an aware time is converted on its way in."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL cuts to whole seconds unless told otherwise."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(DateTime())
        return dialect.type_descriptor(MYSQL_DATETIME(fsp=6))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Strip the zone after converting to UTC."""
        return None if value is None else naive_utc(value)


def naive_utc(moment: datetime) -> datetime:
    """The moment as the database keeps it; a naive one is UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def amount_column(*, nullable: bool = False) -> Any:
    """A TokenAmount column."""
    return Column(TokenAmount(), nullable=nullable)


def price_column() -> Any:
    """A dollar column."""
    return Column(ExactDecimal(), nullable=False)


def text_column() -> Any:
    """Unbounded text."""
    return Column(Text, nullable=False)


def time_column(*, nullable: bool = False, index: bool = False) -> Any:
    """Naive UTC with microseconds."""
    return Column(UtcTime(), nullable=nullable, index=index)


def enum_column(kind: type[StrEnum], *, index: bool = False) -> Any:
    """An enum as plain text: adding a member is no migration."""
    values = EnumColumn(
        kind,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
    return Column(values, nullable=False, index=index)
