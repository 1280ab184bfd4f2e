"""The death of a subject: its date, how certain that is, when it was recorded, and how the clinic knows.

A visit that ended with the reason "died" in an earlier release records no death: the worklist asks staff to confirm it.
"""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

CHECKS = {
    "ck_subject_death": "(death_recorded_at IS NULL) = (death_reason IS NULL)",
    "ck_subject_death_with_precision": "(death_recorded_at IS NULL) = (died_on_precision IS NULL)",
    "ck_subject_died_on": "(died_on IS NULL) = (died_on_precision IS NULL OR died_on_precision = 'unknown')",
    "ck_subject_died_on_precision": "died_on_precision IN ('exact', 'approximate', 'unknown')",
}
CORRECTED = ("course-end", "anchor-date", "pause", "withdrawal", "response")


def upgrade() -> None:
    with op.batch_alter_table("subject") as subject:
        subject.add_column(sa.Column("died_on", sa.Date()))
        subject.add_column(sa.Column("died_on_precision", sa.String()))
        subject.add_column(sa.Column("death_recorded_at", UtcDateTime()))
        subject.add_column(sa.Column("death_reason", sa.String()))
        for name, condition in CHECKS.items():
            subject.create_check_constraint(op.f(name), condition)
    _check_corrections((*CORRECTED, "death"))


def downgrade() -> None:
    # Earlier releases know no death: a withdrawal keeps them from writing to the person again.
    op.execute(
        "UPDATE subject SET withdrawn_at = death_recorded_at, withdrawn_reason = death_reason,"
        " withdrawn_scope = 'asking' WHERE death_recorded_at IS NOT NULL AND withdrawn_at IS NULL"
    )
    op.execute("UPDATE correction SET what = 'withdrawal' WHERE what = 'death'")
    _check_corrections(CORRECTED)
    with op.batch_alter_table("subject") as subject:
        for name in CHECKS:
            subject.drop_constraint(op.f(name), type_="check")
        for column in ("died_on", "died_on_precision", "death_recorded_at", "death_reason"):
            subject.drop_column(column)


def _check_corrections(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    with op.batch_alter_table("correction") as correction:
        correction.drop_constraint(op.f("ck_correction_what"), type_="check")
        correction.create_check_constraint(op.f("ck_correction_what"), f"what IN ({listed})")
