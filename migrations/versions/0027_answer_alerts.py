"""One row for each alerting answer that was given, what staff did about alerts, and texts of free lines.

Calls about alerts that are open stay as they are. Their answers have no rows; they are in the answers of the visit.
"""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

OUTCOMES = (
    "'spoken-and-safe', 'advice-given', 'known-and-in-care', 'treatment-changed', 'referred', 'emergency-services', "
    "'by-mistake', 'not-reached'"
)


def upgrade() -> None:
    op.create_table(
        "answer_alert",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("link_id", sa.String(), nullable=False),
        sa.Column("value", BigInt, nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('answer', 'free-text')", name=op.f("ck_answer_alert_kind")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_answer_alert_visit_id_visit")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_answer_alert_subject_id_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer_alert")),
        sa.UniqueConstraint(
            *("visit_id", "instrument_code", "link_id", "value"),
            name=op.f("uq_answer_alert_visit_id_instrument_code_link_id_value"),
        ),
    )
    op.create_index(op.f("ix_answer_alert_subject_id"), "answer_alert", ["subject_id"])
    op.create_table(
        "free_text",
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("number", BigInt, nullable=False, autoincrement=False),
        sa.Column("text_cell", sa.LargeBinary(), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.Column("device", sa.String(), server_default="", nullable=False),
        sa.Column("sequence", BigInt, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_free_text_visit_id_visit")),
        sa.PrimaryKeyConstraint("visit_id", "instrument_code", "number", name=op.f("pk_free_text")),
    )
    with op.batch_alter_table("call_attempt") as table:
        table.add_column(sa.Column("alert_outcome", sa.String()))
        table.add_column(sa.Column("done_cell", sa.LargeBinary()))
        table.create_check_constraint(op.f("ck_call_attempt_alert_outcome"), f"alert_outcome IN ({OUTCOMES})")
        table.create_check_constraint(op.f("ck_call_attempt_done"), "done_cell IS NULL OR alert_outcome IS NOT NULL")


def downgrade() -> None:
    with op.batch_alter_table("call_attempt") as table:
        table.drop_constraint(op.f("ck_call_attempt_done"), type_="check")
        table.drop_constraint(op.f("ck_call_attempt_alert_outcome"), type_="check")
        table.drop_column("done_cell")
        table.drop_column("alert_outcome")
    op.drop_table("free_text")
    op.drop_index(op.f("ix_answer_alert_subject_id"), "answer_alert")
    op.drop_table("answer_alert")
