"""Texts that patients send: stored encrypted until staff have dealt with them; texts of unknown numbers are counted."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

BEFORE = "kind IN ('taken', 'known', 'forged', 'stale', 'unreadable')"
NOW = "kind IN ('taken', 'known', 'forged', 'stale', 'unreadable', 'unknown-sender')"


def upgrade() -> None:
    op.create_table(
        "incoming_text",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("report_id", BigInt, nullable=False),
        sa.Column("text_cell", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("handled_at", UtcDateTime()),
        sa.Column("handled_by_id", sa.Integer()),
        sa.CheckConstraint("(handled_at IS NULL) = (handled_by_id IS NULL)", name=op.f("ck_incoming_text_handled")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_incoming_text_subject_id_subject")),
        sa.ForeignKeyConstraint(["report_id"], ["receipt.id"], name=op.f("fk_incoming_text_report_id_receipt")),
        sa.ForeignKeyConstraint(["handled_by_id"], ["account.id"], name=op.f("fk_incoming_text_handled_by_id_account")),
        sa.UniqueConstraint("report_id", "subject_id", name=op.f("uq_incoming_text_report_id_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incoming_text")),
    )
    op.create_index(op.f("ix_incoming_text_subject_id"), "incoming_text", ["subject_id"])
    unhandled = sa.text("handled_at IS NULL")
    op.create_index(
        "ix_incoming_text_unhandled",
        "incoming_text",
        ["received_at"],
        postgresql_where=unhandled,
        sqlite_where=unhandled,
    )
    _count(NOW)


def downgrade() -> None:
    op.drop_table("incoming_text")
    op.execute("DELETE FROM webhook_count WHERE kind = 'unknown-sender'")
    _count(BEFORE)


def _count(kinds: str) -> None:
    name = op.f("ck_webhook_count_kind")
    with op.batch_alter_table("webhook_count") as counts:
        counts.drop_constraint(name, type_="check")
        counts.create_check_constraint(name, kinds)
