"""Treatments alongside the infusions, and liver tests."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

KINDS = (
    *("DRUG", "PROCEDURE", "PHYSICAL THERAPY", "CHIROPRACTIC"),
    *("PSYCHOLOGICAL THERAPY", "OTHER", "NONE"),
)
FREQUENCIES = ("ONCE", "QD", "BID", "TID", "QID", "QS", "2 TIMES PER WEEK", "3 TIMES PER WEEK", "QM", "PRN")
RESULTS = ("NORMAL", "UP TO 3 TIMES ULN", "MORE THAN 3 TIMES ULN")


def upgrade() -> None:
    _create(
        "other_treatment",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("amount", sa.Numeric(10, 3), nullable=True),
        sa.Column("unit", sa.String(), nullable=True),
        sa.Column("frequency", sa.String(), nullable=True),
        sa.Column("asked_on", sa.Date(), nullable=False),
        sa.Column("started_on", sa.Date(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        _check("other_treatment", "name", "(kind = 'NONE') = (length(name) = 0)"),
        _check("other_treatment", "ended_on", "ended_on >= started_on"),
        _check("other_treatment", "amount", "amount > 0"),
        _check("other_treatment", "unit", "(amount IS NULL) = (unit IS NULL)"),
        _check("other_treatment", "kind", _one_of("kind", KINDS)),
        _check("other_treatment", "frequency", _one_of("frequency", FREQUENCIES)),
    )
    _create(
        "liver_test",
        sa.Column("taken_on", sa.Date(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        _check("liver_test", "result", _one_of("result", RESULTS)),
    )


def downgrade() -> None:
    op.drop_table("liver_test")
    op.drop_table("other_treatment")


def _one_of(column: str, codes: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{code}'" for code in codes)
    return f"{column} IN ({listed})"


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _create(table: str, *parts: Any) -> None:
    """Creates a table of rows of a course that are corrected by new rows."""
    op.create_table(
        table,
        sa.Column("id", BigInt, nullable=False),
        sa.Column("course_id", BigInt, nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("replaces_id", BigInt, nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        *parts,
        _check(table, "voided", "(voided_at IS NULL) = (void_reason IS NULL)"),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f(f"fk_{table}_course_id_course")),
        sa.ForeignKeyConstraint(["replaces_id"], [f"{table}.id"], name=op.f(f"fk_{table}_replaces_id_{table}")),
        sa.UniqueConstraint("replaces_id", name=op.f(f"uq_{table}_replaces_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_course_id"), table, ["course_id"])
