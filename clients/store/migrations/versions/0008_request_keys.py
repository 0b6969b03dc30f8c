"""Idempotency keys of the API, and one at a time who makes a key."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LOCK = "api_keys"
OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}


def upgrade() -> None:
    """Add the table, and the lock of keys."""
    op.create_table(
        "request_keys",
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(80), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("runs_until", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        **OPTIONS,
    )
    op.create_index("ix_request_keys_created_at", "request_keys", ["created_at"])
    op.bulk_insert(_locks(), [{"name": LOCK, "version": 0, "note": ""}])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("request_keys")
    locks = _locks()
    op.execute(locks.delete().where(locks.c.name == LOCK))


def _locks() -> sa.TableClause:
    return sa.table(
        "locks",
        sa.column("name", sa.String(32)),
        sa.column("version", sa.BigInteger()),
        sa.column("note", sa.String(191)),
    )
