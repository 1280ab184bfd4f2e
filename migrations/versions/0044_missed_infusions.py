"""Days on which no infusion was given, though it was planned."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missed_infusion",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("course_id", BigInt, nullable=False),
        sa.Column("planned_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("next_on", sa.Date(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        sa.CheckConstraint("kind IN ('did-not-come', 'rescheduled')", name=op.f("ck_missed_infusion_kind")),
        sa.CheckConstraint("next_on > planned_on", name=op.f("ck_missed_infusion_next_on")),
        sa.CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name=op.f("ck_missed_infusion_voided")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_missed_infusion_course_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_infusion")),
    )
    op.create_index(op.f("ix_missed_infusion_course_id"), "missed_infusion", ["course_id"])


def downgrade() -> None:
    op.drop_table("missed_infusion")
