"""Alembic's entry: runs the migrations on the connection that `pro_tracker.migrate` passes."""

from alembic import context

import pro_tracker.models  # noqa: F401  registers every table
from pro_tracker.db import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=False,
    compare_type=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
