"""Splits: shares per token with what was claimed and with what the house holds."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("placements", "house_positions")
COLUMNS = (
    ("shares_numerator", sa.BigInteger(), "1"),
    ("shares_denominator", sa.BigInteger(), "1"),
    ("split_epoch", sa.Integer(), "0"),
)


def upgrade() -> None:
    """Add the columns; until now one token was one share."""
    for table in TABLES:
        for name, kind, default in COLUMNS:
            op.add_column(table, sa.Column(name, kind, nullable=False, server_default=default))


def downgrade() -> None:
    """Take them away."""
    for table in TABLES:
        for name, _, _ in COLUMNS:
            op.drop_column(table, name)
