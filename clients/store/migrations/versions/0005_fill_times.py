"""When a fill was first seen, and who said which shares an order filled in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; when earlier fills were seen is not known."""
    op.add_column("broker_orders", sa.Column("filled_at", TIME, nullable=True))
    by = sa.Column("ratio_by", sa.String(64), nullable=False, server_default="")
    op.add_column("placements", by)


def downgrade() -> None:
    """Take them away."""
    op.drop_column("placements", "ratio_by")
    op.drop_column("broker_orders", "filled_at")
