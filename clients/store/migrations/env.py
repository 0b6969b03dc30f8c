"""What Alembic runs: the connection is always given, never read from a file."""

from alembic import context
from sqlmodel import SQLModel

import models.access
import models.changes
import models.once
import models.order
import models.records
import models.webhooks  # noqa: F401 - these register their tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    compare_type=True,
    # SQLite cannot alter a column in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
