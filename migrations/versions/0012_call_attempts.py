"""Attempts to call, who is calling, when to call again; who took answers by telephone; why a visit was missed."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ATTEMPTS = "'reached', 'voicemail', 'no-answer', 'wrong-number', 'refused', 'too-ill'"
BEFORE = f"{ATTEMPTS}, 'answered', 'no-longer-wanted'"
NOW = "'reached', 'wrong-number', 'refused', 'too-ill', 'language', 'not-reached', 'answered', 'no-longer-wanted'"
TIMES = "'morning', 'midday', 'afternoon', 'evening'"


def upgrade() -> None:
    op.add_column("visit", sa.Column("missed_reason", sa.String()))
    with op.batch_alter_table("subject") as subject:
        subject.add_column(sa.Column("best_call_time", sa.String()))
        subject.create_check_constraint(op.f("ck_subject_best_call_time"), f"best_call_time IN ({TIMES})")
    with op.batch_alter_table("questionnaire_response") as response:
        response.add_column(sa.Column("taken_by_id", sa.Integer()))
        name = op.f("fk_questionnaire_response_taken_by_id_account")
        response.create_foreign_key(name, "account", ["taken_by_id"], ["id"])
        taken_by = "taken_by_id IS NULL OR mode <> 'self-web'"
        response.create_check_constraint(op.f("ck_questionnaire_response_taken_by"), taken_by)
    _create_attempts()
    _keep_earlier_attempts()
    with op.batch_alter_table("call") as call:
        call.add_column(sa.Column("call_again_at", UtcDateTime()))
        call.add_column(sa.Column("caller_id", sa.Integer()))
        call.add_column(sa.Column("calling_until", UtcDateTime()))
        call.create_foreign_key(op.f("fk_call_caller_id_account"), "account", ["caller_id"], ["id"])
        call.create_check_constraint(op.f("ck_call_caller"), "(caller_id IS NULL) = (calling_until IS NULL)")
        call.drop_constraint(op.f("ck_call_outcome"), type_="check")
        call.create_check_constraint(op.f("ck_call_outcome"), f"outcome IN ({NOW})")


def downgrade() -> None:
    op.execute("UPDATE call SET outcome = 'no-answer' WHERE outcome IN ('not-reached', 'language')")
    with op.batch_alter_table("call") as call:
        call.drop_constraint(op.f("ck_call_outcome"), type_="check")
        call.create_check_constraint(op.f("ck_call_outcome"), f"outcome IN ({BEFORE})")
        call.drop_constraint(op.f("ck_call_caller"), type_="check")
        call.drop_constraint(op.f("fk_call_caller_id_account"), type_="foreignkey")
        for column in ("call_again_at", "caller_id", "calling_until"):
            call.drop_column(column)
    op.drop_table("call_attempt")
    with op.batch_alter_table("questionnaire_response") as response:
        response.drop_constraint(op.f("ck_questionnaire_response_taken_by"), type_="check")
        response.drop_constraint(op.f("fk_questionnaire_response_taken_by_id_account"), type_="foreignkey")
        response.drop_column("taken_by_id")
    with op.batch_alter_table("subject") as subject:
        subject.drop_constraint(op.f("ck_subject_best_call_time"), type_="check")
        subject.drop_column("best_call_time")
    op.drop_column("visit", "missed_reason")


def _create_attempts() -> None:
    op.create_table(
        "call_attempt",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("call_id", BigInt, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("account_id", sa.Integer()),
        sa.Column("call_back_on", sa.Date()),
        sa.Column("note_cell", sa.LargeBinary()),
        sa.CheckConstraint("number >= 1", name=op.f("ck_call_attempt_number")),
        sa.CheckConstraint(f"outcome IN ({ATTEMPTS}, 'language')", name=op.f("ck_call_attempt_outcome")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_call_attempt_account_id_account")),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name=op.f("fk_call_attempt_call_id_call")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_attempt")),
        sa.UniqueConstraint("call_id", "number", name=op.f("uq_call_attempt_call_id_number")),
    )


def _keep_earlier_attempts() -> None:
    """What came of a call stood with the call. After voicemail it was closed and opened anew: now it stays open."""
    op.execute(
        "INSERT INTO call_attempt (call_id, number, at, outcome, account_id) "
        f"SELECT id, 1, closed_at, outcome, account_id FROM call WHERE outcome IN ({ATTEMPTS})"  # nosec B608
    )
    op.execute(
        "UPDATE call SET closed_at = NULL, outcome = NULL, account_id = NULL "
        "WHERE outcome IN ('voicemail', 'no-answer') "
        "AND NOT EXISTS (SELECT 1 FROM call newer WHERE newer.visit_id = call.visit_id AND newer.id > call.id)"
    )
    op.execute("UPDATE call SET outcome = 'no-longer-wanted' WHERE outcome IN ('voicemail', 'no-answer')")
