"""What was asked, measured and given beside at an infusion as rows; adverse events of the course, at any day.

Of an earlier release, whose form had a box for an emergency and a field for ondansetron:
- A ticked emergency stays a yes. An empty box was no answer, since nobody had to choose: it becomes "not recorded".
- An amount of ondansetron becomes a row, 0 included, which was entered. An empty field becomes no row.
- No symptom gets a row: an infusion without an adverse event is no evidence that anybody asked.
- Adverse events of an infusion that was corrected or removed are voided with it, as they are from now on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0041"
down_revision = "0039"
branch_labels = None
depends_on = None

OUTCOMES = (
    *("RECOVERED/RESOLVED", "RECOVERING/RESOLVING", "NOT RECOVERED/NOT RESOLVED"),
    *("RECOVERED/RESOLVED WITH SEQUELAE", "FATAL", "UNKNOWN"),
)
ACTIONS = (
    *("DOSE NOT CHANGED", "DOSE RATE REDUCED", "DOSE REDUCED", "DRUG INTERRUPTED", "DRUG WITHDRAWN"),
    *("NOT APPLICABLE", "UNKNOWN"),
)
RELATIONS = ("UNRELATED", "UNLIKELY", "POSSIBLE", "PROBABLE", "DEFINITE")
CHECKS = {
    "voided": "(voided_at IS NULL) = (void_reason IS NULL)",
    "symptom_code": "symptom_code IS NULL OR infusion_id IS NOT NULL",
}
CODES = {
    "source": ("ASKED", "VOLUNTEERED"),
    "outcome": OUTCOMES,
    "relatedness": RELATIONS,
    "action_taken": ACTIONS,
}
OF_INFUSION = "(SELECT infusion.{0} FROM infusion WHERE infusion.id = adverse_event.infusion_id)"
FILLED = ", ".join(
    f"{column} = {OF_INFUSION.format(source)}"
    for column, source in {
        "course_id": "course_id",
        "found_on": "given_on",
        "voided_at": "voided_at",
        "void_reason": "void_reason",
    }.items()
)
ONDANSETRON = "name = 'ondansetron' AND purpose = 'premedication' AND unit = 'mg'"
OF_MEDICATION = (
    "(SELECT medication.amount FROM infusion_medication AS medication"
    f" WHERE medication.infusion_id = infusion.id AND {ONDANSETRON})"
)


def _added() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("course_id", BigInt),
        sa.Column("symptom_code", sa.String()),
        sa.Column("source", sa.String()),
        sa.Column("found_on", sa.Date()),
        sa.Column("started_on", sa.Date()),
        sa.Column("started_at_local", sa.Time()),
        sa.Column("ended_on", sa.Date()),
        sa.Column("outcome", sa.String()),
        sa.Column("relatedness", sa.String()),
        sa.Column("action_taken", sa.String()),
        sa.Column("is_serious", sa.Boolean()),
        sa.Column("replaces_id", BigInt),
        sa.Column("voided_at", UtcDateTime()),
        sa.Column("void_reason", sa.String()),
    )


def upgrade() -> None:
    _create_rows()
    op.execute(
        "INSERT INTO infusion_medication (infusion_id, name, purpose, amount, unit)"
        " SELECT id, 'ondansetron', 'premedication', ondansetron_mg, 'mg' FROM infusion"
        " WHERE ondansetron_mg IS NOT NULL ORDER BY id"
    )
    with op.batch_alter_table("infusion") as infusion:
        infusion.drop_constraint(op.f("ck_infusion_ondansetron"), type_="check")
        infusion.drop_column("ondansetron_mg")
        infusion.add_column(sa.Column("nurse", sa.String()))
        infusion.add_column(sa.Column("chair", sa.String()))
    _extend_adverse_events()


def _extend_adverse_events() -> None:
    with op.batch_alter_table("adverse_event") as event:
        for column in _added():
            event.add_column(column)
        event.alter_column("infusion_id", existing_type=BigInt, nullable=True)
        event.alter_column("emergency_response", existing_type=sa.Boolean(), nullable=True)
    op.execute(f"UPDATE adverse_event SET {FILLED}")  # nosec B608  constants
    op.execute("UPDATE adverse_event SET emergency_response = NULL WHERE NOT emergency_response")
    with op.batch_alter_table("adverse_event") as event:
        event.alter_column("course_id", existing_type=BigInt, nullable=False)
        event.alter_column("found_on", existing_type=sa.Date(), nullable=False)
        event.create_foreign_key(op.f("fk_adverse_event_course_id_course"), "course", ["course_id"], ["id"])
        replaced = op.f("fk_adverse_event_replaces_id_adverse_event")
        event.create_foreign_key(replaced, "adverse_event", ["replaces_id"], ["id"])
        event.create_unique_constraint(op.f("uq_adverse_event_replaces_id"), ["replaces_id"])
        for name, condition in _checks().items():
            event.create_check_constraint(op.f(f"ck_adverse_event_{name}"), condition)
    op.create_index(op.f("ix_adverse_event_course_id"), "adverse_event", ["course_id"])


def _checks() -> dict[str, str]:
    return CHECKS | {column: _one_of(column, codes) for column, codes in CODES.items()}


def _one_of(column: str, codes: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{code}'" for code in codes)
    return f"{column} IN ({listed})"


def _create_rows() -> None:
    _create(
        "infusion_symptom",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.UniqueConstraint("infusion_id", "code", name=op.f("uq_infusion_symptom_infusion_id_code")),
        sa.CheckConstraint("answer IN ('no', 'yes', 'not-asked')", name=op.f("ck_infusion_symptom_answer")),
    )
    _create(
        "infusion_vital",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("timing", sa.String(), nullable=False),
        sa.Column("value", sa.Numeric(6, 2)),
        sa.Column("unit", sa.String(), nullable=False),
        sa.UniqueConstraint("infusion_id", "code", "timing", name=op.f("uq_infusion_vital_infusion_id_code_timing")),
        sa.CheckConstraint("timing IN ('before', 'during', 'after')", name=op.f("ck_infusion_vital_timing")),
    )
    _create(
        "infusion_medication",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("amount", sa.Numeric(8, 3)),
        sa.Column("unit", sa.String(), nullable=False),
        sa.CheckConstraint("purpose IN ('premedication', 'rescue')", name=op.f("ck_infusion_medication_purpose")),
    )
    op.create_index(op.f("ix_infusion_medication_infusion_id"), "infusion_medication", ["infusion_id"])


def _create(table: str, *parts: Any) -> None:
    op.create_table(
        table,
        sa.Column("id", BigInt, nullable=False),
        sa.Column("infusion_id", BigInt, nullable=False),
        *parts,
        sa.ForeignKeyConstraint(["infusion_id"], ["infusion.id"], name=op.f(f"fk_{table}_infusion_id_infusion")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def downgrade() -> None:
    # Earlier releases know adverse events at infusions only, as they are now, and an emergency as yes or no.
    op.execute("UPDATE adverse_event SET replaces_id = NULL")
    op.execute(
        "DELETE FROM adverse_event WHERE infusion_id IS NULL OR voided_at IS NOT NULL AND infusion_id NOT IN"
        " (SELECT id FROM infusion WHERE infusion.voided_at = adverse_event.voided_at)"
    )
    op.execute("UPDATE adverse_event SET emergency_response = false WHERE emergency_response IS NULL")
    op.drop_index(op.f("ix_adverse_event_course_id"), "adverse_event")
    with op.batch_alter_table("adverse_event") as event:
        for name in _checks():
            event.drop_constraint(op.f(f"ck_adverse_event_{name}"), type_="check")
        event.drop_constraint(op.f("uq_adverse_event_replaces_id"), type_="unique")
        for name in ("course_id_course", "replaces_id_adverse_event"):
            event.drop_constraint(op.f(f"fk_adverse_event_{name}"), type_="foreignkey")
        for column in _added():
            event.drop_column(column.name)
        event.alter_column("infusion_id", existing_type=BigInt, nullable=False)
        event.alter_column("emergency_response", existing_type=sa.Boolean(), nullable=False)
    _restore_ondansetron()


def _restore_ondansetron() -> None:
    with op.batch_alter_table("infusion") as infusion:
        infusion.drop_column("chair")
        infusion.drop_column("nurse")
        infusion.add_column(sa.Column("ondansetron_mg", sa.Numeric(4, 1)))
    op.execute(f"UPDATE infusion SET ondansetron_mg = {OF_MEDICATION}")  # nosec B608  constants
    with op.batch_alter_table("infusion") as infusion:
        infusion.create_check_constraint(
            op.f("ck_infusion_ondansetron"),
            "ondansetron_mg IS NULL OR (ondansetron_mg >= 0 AND ondansetron_mg <= 32)",
        )
    for table in ("infusion_medication", "infusion_vital", "infusion_symptom"):
        op.drop_table(table)
