"""Merges of two records of one person, and the reason `duplicate` of visits that were planned twice."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

NEW_REASON = "duplicate"
UNANSWERED = (
    *("refused", "too-ill", "language", "wrong-number", "hospital", "died", "clinic", "paused", "started-not-sent"),
    *("not-reached", "no-contact", "no-reply", "entered-late", "withdrawn", "new-course", "no-date"),
    "entered-in-error",
)
OF_MESSAGES = ("answered", "window-closed", "superseded", "re-planned")
# Column with a CHECK -> its codes before this migration.
REASONS = {
    ("visit", "void_reason"): UNANSWERED,
    ("visit", "missed_reason"): UNANSWERED,
    ("questionnaire_response", "stop_reason"): UNANSWERED,
    ("message", "end_reason"): (*UNANSWERED, *OF_MESSAGES),
}
IN_EFFECT = sa.text("separated_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "subject_merge",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("into_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("separated_at", UtcDateTime(), nullable=True),
        sa.Column("separation_reason", sa.String(), nullable=True),
        sa.CheckConstraint("subject_id <> into_id", name=op.f("ck_subject_merge_two_records")),
        sa.CheckConstraint(
            "(separated_at IS NULL) = (separation_reason IS NULL)", name=op.f("ck_subject_merge_separated")
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_subject_merge_subject_id")),
        sa.ForeignKeyConstraint(["into_id"], ["subject.id"], name=op.f("fk_subject_merge_into_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_merge")),
    )
    op.create_index(op.f("ix_subject_merge_subject_id"), "subject_merge", ["subject_id"])
    op.create_index(op.f("ix_subject_merge_into_id"), "subject_merge", ["into_id"])
    op.create_index(
        "uq_subject_merge_in_effect",
        "subject_merge",
        ["subject_id"],
        unique=True,
        postgresql_where=IN_EFFECT,
        sqlite_where=IN_EFFECT,
    )
    with op.batch_alter_table("subject") as subject:
        subject.add_column(sa.Column("merged_into_id", sa.Uuid(), nullable=True))
        subject.create_foreign_key(op.f("fk_subject_merged_into_id"), "subject", ["merged_into_id"], ["id"])
        subject.create_check_constraint(op.f("ck_subject_merged"), "merged_into_id <> id")
    op.create_index(op.f("ix_subject_merged_into_id"), "subject", ["merged_into_id"])
    with op.batch_alter_table("course") as course:
        course.add_column(sa.Column("duplicate_by_id", BigInt, nullable=True))
        course.create_foreign_key(op.f("fk_course_duplicate_by_id"), "subject_merge", ["duplicate_by_id"], ["id"])
    for (table, column), codes in REASONS.items():
        _replace_check(table, column, (*codes, NEW_REASON))


def downgrade() -> None:
    # Earlier releases know no merges: both records count again, and what was planned twice stays ended.
    for (table, column), codes in REASONS.items():
        op.execute(f"UPDATE {table} SET {column} = 'withdrawn' WHERE {column} = '{NEW_REASON}'")  # nosec B608
        _replace_check(table, column, codes)
    with op.batch_alter_table("course") as course:
        course.drop_constraint(op.f("fk_course_duplicate_by_id"), type_="foreignkey")
        course.drop_column("duplicate_by_id")
    op.drop_index(op.f("ix_subject_merged_into_id"), "subject")
    with op.batch_alter_table("subject") as subject:
        subject.drop_constraint(op.f("ck_subject_merged"), type_="check")
        subject.drop_constraint(op.f("fk_subject_merged_into_id"), type_="foreignkey")
        subject.drop_column("merged_into_id")
    op.drop_table("subject_merge")


def _replace_check(table: str, column: str, codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    name = op.f(f"ck_{table}_{column}")
    with op.batch_alter_table(table) as altered:
        altered.drop_constraint(name, type_="check")
        altered.create_check_constraint(name, f"{column} IN ({listed})")
