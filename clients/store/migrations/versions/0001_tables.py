"""Tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AMOUNT: Any = sa.DECIMAL(65, 0).with_variant(sa.String(80), "sqlite")
PRICE: Any = sa.DECIMAL(38, 9).with_variant(sa.String(80), "sqlite")
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}
LOCKS = ("placements", "holds", "findings", "audit")


TABLES = [
    "audit_log", "broker_orders", "broker_snapshots", "chain_events", "findings",
    "holds", "house_positions", "locks", "orders", "placements",
    "settlement_items",
]  # fmt: skip


def required(name: str, kind: Any) -> sa.Column[Any]:
    """A column that is never empty."""
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Create every table, and the rows that are only ever locked."""
    _create_control()
    _create_broker()
    _create_orders()
    _create_money()
    locks = sa.table("locks", sa.column("name"), sa.column("version"), sa.column("note"))
    op.bulk_insert(locks, [{"name": name, "version": 0, "note": ""} for name in LOCKS])


def downgrade() -> None:
    """Drop every table."""
    for table in TABLES:
        op.drop_table(table)


def _table(name: str, *parts: sa.Column[Any] | sa.Constraint) -> None:
    op.create_table(name, *parts, **OPTIONS)


def _index(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(f"ix_{table}_{column}", table, [column])


def _create_control() -> None:
    _table(
        "audit_log",
        required("id", sa.Integer()),
        required("event_key", sa.String(191)),
        required("request_id", sa.String(66)),
        required("actor", sa.String(64)),
        required("action", sa.String(64)),
        required("data", sa.Text()),
        required("at", TIME),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        required("previous_hash", sa.String(64)),
        required("hash", sa.String(64)),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_key"),
        sa.UniqueConstraint("seq"),
    )
    _index("audit_log", "at", "request_id")
    _table(
        "findings",
        required("key", sa.String(191)),
        required("kind", sa.String(48)),
        required("detail", sa.Text()),
        required("first_run", sa.BigInteger()),
        required("last_run", sa.BigInteger()),
        required("times", sa.Integer()),
        required("handled", sa.String(191)),
        sa.PrimaryKeyConstraint("key"),
    )
    _index("findings", "kind")
    _table(
        "holds",
        required("id", sa.Integer()),
        required("key", sa.String(64)),
        required("kind", sa.String(16)),
        required("side", sa.String(8)),
        required("symbol", sa.String(24)),
        required("reason", sa.Text()),
        required("who", sa.String(64)),
        required("set_version", sa.BigInteger()),
        required("lifted_version", sa.BigInteger()),
        required("set_at", TIME),
        sa.Column("lifted_at", TIME, nullable=True),
        required("lifted_by", sa.String(64)),
        sa.PrimaryKeyConstraint("id"),
    )
    _index("holds", "key")
    _table(
        "locks",
        required("name", sa.String(32)),
        required("version", sa.BigInteger()),
        required("note", sa.String(191)),
        sa.PrimaryKeyConstraint("name"),
    )


def _create_broker() -> None:
    _table(
        "broker_orders",
        required("order_id", sa.String(64)),
        required("remark", sa.String(64)),
        required("symbol", sa.String(24)),
        required("side", sa.String(32)),
        required("quantity", sa.BigInteger()),
        required("price", PRICE),
        required("status", sa.String(32)),
        required("vendor_status", sa.String(32)),
        required("filled", sa.BigInteger()),
        required("average_price", PRICE),
        required("error", sa.Text()),
        required("seen_at", TIME),
        required("changed_at", TIME),
        sa.PrimaryKeyConstraint("order_id"),
    )
    _index("broker_orders", "changed_at", "remark", "seen_at", "status")
    _table(
        "broker_snapshots",
        required("id", sa.Integer()),
        required("begun_at", TIME),
        required("ended_at", TIME),
        required("connection", sa.BigInteger()),
        required("connected_at", TIME),
        required("complete", sa.Boolean()),
        required("order_count", sa.Integer()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("begun_at", "connection", name="uq_snapshots_read"),
    )
    _table(
        "house_positions",
        required("id", sa.Integer()),
        required("symbol", sa.String(24)),
        required("quantity", sa.BigInteger()),
        required("cost", PRICE),
        required("cause", sa.String(32)),
        required("broker_order_id", sa.String(64)),
        required("request_id", sa.String(66)),
        required("resolution", sa.String(255)),
        required("created_at", TIME),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("broker_order_id", "cause", name="uq_house_order_cause"),
    )
    _index("house_positions", "symbol")


def _create_orders() -> None:
    _table(
        "chain_events",
        required("id", sa.Integer()),
        required("chain_id", sa.BigInteger()),
        required("vault", sa.String(42)),
        required("request_number", sa.BigInteger()),
        required("request_id", sa.String(66)),
        required("tx_hash", sa.String(66)),
        required("block_number", sa.BigInteger()),
        required("block_hash", sa.String(66)),
        required("seen_at", TIME),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chain_id", "vault", "request_id", name="uq_events_request"),
    )
    _index("chain_events", "request_id")
    _table(
        "orders",
        required("internal_id", sa.Integer()),
        required("chain_id", sa.BigInteger()),
        required("vault", sa.String(42)),
        required("request_number", sa.BigInteger()),
        required("request_id", sa.String(66)),
        required("workflow_id", sa.String(160)),
        required("version", sa.BigInteger()),
        required("tx_hash", sa.String(66)),
        required("user_addr", sa.String(42)),
        required("recipient", sa.String(42)),
        required("asset", sa.String(42)),
        required("symbol", sa.String(24)),
        required("order_type", sa.String(32)),
        required("usdt_amount", AMOUNT),
        required("quantity", AMOUNT),
        required("price_limit", AMOUNT),
        required("deadline", sa.BigInteger()),
        required("reclaim_at", sa.BigInteger()),
        required("created_block", sa.BigInteger()),
        required("status", sa.String(32)),
        required("stage", sa.String(32)),
        required("waiting_for", sa.String(255)),
        required("hold_version", sa.BigInteger()),
        required("reason", sa.String(32)),
        required("error_msg", sa.Text()),
        required("retry_count", sa.Integer()),
        required("attempt", sa.Integer()),
        required("futu_order_id", sa.String(64)),
        required("futu_order_status", sa.String(32)),
        required("filled_quantity", AMOUNT),
        required("average_price", PRICE),
        required("spent", AMOUNT),
        required("received", AMOUNT),
        required("fee", AMOUNT),
        required("settle_tx_hash", sa.String(66)),
        required("refund_tx_hash", sa.String(66)),
        required("created_at", TIME),
        required("updated_at", TIME),
        sa.PrimaryKeyConstraint("internal_id"),
        sa.UniqueConstraint("chain_id", "vault", "request_id", name="uq_orders_request"),
    )
    op.create_index("ix_orders_stage", "orders", ["stage", "internal_id"])
    op.create_index("ix_orders_status_updated", "orders", ["status", "updated_at"])
    op.create_index("ix_orders_symbol", "orders", ["symbol", "internal_id"])
    op.create_index("ix_orders_user", "orders", ["user_addr", "internal_id"])
    _index("orders", "futu_order_id", "request_id", "request_number", "tx_hash", "workflow_id")


def _create_money() -> None:
    _table(
        "placements",
        required("id", sa.Integer()),
        required("request_id", sa.String(66)),
        required("attempt", sa.Integer()),
        required("remark", sa.String(64)),
        required("symbol", sa.String(24)),
        required("side", sa.String(32)),
        required("quantity", sa.BigInteger()),
        required("price", PRICE),
        required("state", sa.String(32)),
        required("detail", sa.Text()),
        required("broker_order_id", sa.String(64)),
        required("reserved_payout", AMOUNT),
        required("reserved_cash", PRICE),
        required("reserved_shares", sa.BigInteger()),
        required("send_by", TIME),
        required("created_at", TIME),
        sa.Column("released_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("remark"),
        sa.UniqueConstraint("request_id", "attempt", name="uq_placements_attempt"),
    )
    op.create_index("ix_placements_open", "placements", ["released_at", "symbol"])
    _index("placements", "broker_order_id")
    _table(
        "settlement_items",
        required("id", sa.Integer()),
        required("chain_id", sa.BigInteger()),
        required("vault", sa.String(42)),
        required("request_number", sa.BigInteger()),
        required("request_id", sa.String(66)),
        required("workflow_id", sa.String(160)),
        required("kind", sa.String(32)),
        required("taken", AMOUNT),
        required("out", AMOUNT),
        required("fee", AMOUNT),
        required("fill_hash", sa.String(66)),
        required("reason_code", sa.Integer()),
        required("filled", AMOUNT),
        required("average_price", PRICE),
        required("state", sa.String(32)),
        required("batch", sa.String(64)),
        required("tx_hash", sa.String(66)),
        required("block_number", sa.BigInteger()),
        required("rejection", sa.String(64)),
        required("tries", sa.Integer()),
        required("created_at", TIME),
        required("updated_at", TIME),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chain_id", "vault", "request_id", name="uq_items_request"),
    )
    op.create_index("ix_items_state", "settlement_items", ["chain_id", "vault", "state", "id"])
    _index("settlement_items", "batch", "request_id", "tx_hash")
