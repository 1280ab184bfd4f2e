"""Infusions are corrected, not overwritten; anchors set by hand; how far a withdrawal goes; what was taken back."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

START = ["course_id", "given_on", "started_at_local"]
STANDING = sa.text("voided_at IS NULL")


def upgrade() -> None:
    _keep_old_infusions()
    with op.batch_alter_table("subject") as subject:
        subject.add_column(sa.Column("withdrawn_scope", sa.String()))
    op.execute("UPDATE subject SET withdrawn_scope = 'asking' WHERE withdrawn_at IS NOT NULL")
    with op.batch_alter_table("subject") as subject:
        subject.create_check_constraint(op.f("ck_subject_withdrawn_scope"), "withdrawn_scope IN ('asking', 'data')")
        both = "(withdrawn_at IS NULL) = (withdrawn_scope IS NULL)"
        subject.create_check_constraint(op.f("ck_subject_withdrawn_with_scope"), both)
    _create_anchor_dates()
    _create_corrections()


def downgrade() -> None:
    op.drop_table("correction")
    op.drop_table("anchor_date")
    with op.batch_alter_table("subject") as subject:
        subject.drop_constraint(op.f("ck_subject_withdrawn_with_scope"), type_="check")
        subject.drop_constraint(op.f("ck_subject_withdrawn_scope"), type_="check")
        subject.drop_column("withdrawn_scope")
    op.execute("DELETE FROM adverse_event WHERE infusion_id IN (SELECT id FROM infusion WHERE voided_at IS NOT NULL)")
    op.execute("UPDATE infusion SET replaces_id = NULL")
    op.execute("DELETE FROM infusion WHERE voided_at IS NOT NULL")
    op.drop_index("uq_infusion_standing", "infusion")
    with op.batch_alter_table("infusion") as infusion:
        infusion.drop_constraint(op.f("ck_infusion_voided"), type_="check")
        infusion.drop_constraint(op.f("uq_infusion_replaces_id"), type_="unique")
        infusion.drop_constraint(op.f("fk_infusion_replaces_id_infusion"), type_="foreignkey")
        for name in ("void_reason", "voided_at", "replaces_id"):
            infusion.drop_column(name)
        infusion.create_unique_constraint(op.f("uq_infusion_course_id_given_on_started_at_local"), START)


def _keep_old_infusions() -> None:
    with op.batch_alter_table("infusion") as infusion:
        infusion.drop_constraint(op.f("uq_infusion_course_id_given_on_started_at_local"), type_="unique")
        infusion.add_column(sa.Column("replaces_id", BigInt))
        infusion.add_column(sa.Column("voided_at", UtcDateTime()))
        infusion.add_column(sa.Column("void_reason", sa.String()))
        name = op.f("fk_infusion_replaces_id_infusion")
        infusion.create_foreign_key(name, "infusion", ["replaces_id"], ["id"])
        infusion.create_unique_constraint(op.f("uq_infusion_replaces_id"), ["replaces_id"])
        infusion.create_check_constraint(op.f("ck_infusion_voided"), "(voided_at IS NULL) = (void_reason IS NULL)")
    op.create_index(
        "uq_infusion_standing", "infusion", START, unique=True, postgresql_where=STANDING, sqlite_where=STANDING
    )


def _create_anchor_dates() -> None:
    op.create_table(
        "anchor_date",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("course_id", BigInt, nullable=False),
        sa.Column("event_code", sa.String(), nullable=False),
        sa.Column("anchor_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_anchor_date_course_id_course")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchor_date")),
        sa.UniqueConstraint("course_id", "event_code", name=op.f("uq_anchor_date_course_id_event_code")),
    )


def _create_corrections() -> None:
    whats = "what IN ('course-end', 'anchor-date', 'pause', 'withdrawal')"
    op.create_table(
        "correction",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("before", Json, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(whats, name=op.f("ck_correction_what")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_correction_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
    )
    op.create_index(op.f("ix_correction_subject_id"), "correction", ["subject_id"])
