"""Indexes for pages of orders, their counts, and a day's statement."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_orders_status_id", "orders", ["status", "internal_id"]),
    ("ix_orders_side", "orders", ["order_type", "internal_id"]),
    ("ix_orders_counts", "orders", ["status", "stage"]),
    ("ix_broker_orders_filled_at", "broker_orders", ["filled_at"]),
    ("ix_items_updated_at", "settlement_items", ["updated_at"]),
)


def upgrade() -> None:
    """Make them."""
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop them."""
    for name, table, _ in INDEXES:
        op.drop_index(name, table_name=table)
