"""Pauses, snoozes, the subject's own hour for messages, and the message that follows a snooze."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subject", sa.Column("message_time", sa.Time()))
    _allow_kinds("'reminder', 'snooze', 'fresh-link'")
    op.create_table(
        "pause",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date()),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("until_on IS NULL OR until_on >= from_on", name=op.f("ck_pause_days")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_pause_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
    )
    op.create_index(op.f("ix_pause_subject_id"), "pause", ["subject_id"])
    op.create_table(
        "snooze",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("days >= 1", name=op.f("ck_snooze_days")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_snooze_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snooze")),
    )
    op.create_index(op.f("ix_snooze_visit_id"), "snooze", ["visit_id"])


def downgrade() -> None:
    op.drop_table("snooze")
    op.drop_table("pause")
    op.execute("DELETE FROM attempt WHERE message_id IN (SELECT id FROM message WHERE kind = 'snooze')")
    op.execute("UPDATE link SET message_id = NULL WHERE message_id IN (SELECT id FROM message WHERE kind = 'snooze')")
    op.execute("DELETE FROM message WHERE kind = 'snooze'")
    _allow_kinds("'reminder', 'fresh-link'")
    op.drop_column("subject", "message_time")


def _allow_kinds(kinds: str) -> None:
    with op.batch_alter_table("message") as message:
        message.drop_constraint(op.f("ck_message_kind"), type_="check")
        message.create_check_constraint(op.f("ck_message_kind"), f"kind IN ({kinds})")
