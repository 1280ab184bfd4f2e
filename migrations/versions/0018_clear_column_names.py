"""Columns and an index under the names of docs/glossary.md; what they hold stays."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

RENAMED = (
    ("attempt", "about_provider", "is_provider_fault"),
    ("contact", "vouched_at", "verified_at"),
    ("incident", "told_at", "notified_at"),
    ("incident", "end_told_at", "end_notified_at"),
    ("receipt", "settled_at", "processed_at"),
    ("rescoring", "asked_at", "requested_at"),
    ("snooze", "asked_at", "requested_at"),
)


def upgrade() -> None:
    op.drop_index("ix_receipt_unsettled", "receipt")
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    _add_index("ix_receipt_unprocessed", "processed_at")


def downgrade() -> None:
    op.drop_index("ix_receipt_unprocessed", "receipt")
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
    _add_index("ix_receipt_unsettled", "settled_at")


def _add_index(name: str, column: str) -> None:
    op.execute(f"CREATE INDEX {name} ON receipt (received_at) WHERE {column} IS NULL")
