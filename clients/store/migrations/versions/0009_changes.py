"""Changes of orders and holds, in one order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LOCK = "changes"


def upgrade() -> None:
    """Add the table, and the lock under which places are given."""
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(66), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("seq"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_row_format="DYNAMIC",
    )
    op.create_index("ix_changes_at", "changes", ["at"])
    locks = sa.table("locks", sa.column("name"), sa.column("version"), sa.column("note"))
    op.bulk_insert(locks, [{"name": LOCK, "version": 0, "note": ""}])


def downgrade() -> None:
    """Take both away."""
    op.execute(f"DELETE FROM locks WHERE name = '{LOCK}'")
    op.drop_table("changes")
