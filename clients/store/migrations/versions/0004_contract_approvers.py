"""Approvals by contracts: a signature as long as its contract wants."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PLAIN, ANY = sa.String(132), sa.String(4098)


def upgrade() -> None:
    """Make room."""
    with op.batch_alter_table("approvals") as batch:
        batch.alter_column("signature", existing_type=PLAIN, type_=ANY, existing_nullable=False)


def downgrade() -> None:
    """Back to 65 bytes; there must be none longer."""
    with op.batch_alter_table("approvals") as batch:
        batch.alter_column("signature", existing_type=ANY, type_=PLAIN, existing_nullable=False)
