"""Answers in progress as rows, in place of one JSON value for each visit; wording and reason of each stored answer.

A visit in progress keeps the language that its pages have now; its answers were all asked in that language as far as
is known. `None` in a former draft is an item that the person chose not to answer.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NOT_REPLACED = sa.text("status <> 'entered-in-error'")
REASONS = (
    "'refused', 'too-ill', 'language', 'wrong-number', 'hospital', 'died', 'clinic', 'paused', 'started-not-sent', "
    "'not-reached', 'no-contact', 'no-reply', 'entered-late', 'withdrawn', 'new-course', 'no-date', 'entered-in-error'"
)
CORRECTED = ("course-end", "anchor-date", "pause", "withdrawal")
DRAFTS = sa.text(
    "SELECT visit_draft.visit_id, visit_draft.answers, visit_draft.saved_at, visit_draft.language FROM visit_draft"
)
ADD = sa.text(
    "INSERT INTO draft_answer (visit_id, instrument_code, link_id, state, value, language, given_at)"
    " VALUES (:visit_id, :instrument_code, :link_id, :state, :value, :language, :given_at)"
)
REPLACED = (
    "SELECT former.id FROM questionnaire_response AS former JOIN questionnaire_response AS other"
    " ON other.visit_id = former.visit_id AND other.instrument_code = former.instrument_code"
    " AND other.id > former.id WHERE former.status = 'entered-in-error'"
)
LANGUAGE = (
    "UPDATE visit_draft SET language = (SELECT subject.language FROM visit JOIN subject ON subject.id ="
    " visit.subject_id WHERE visit.id = visit_draft.visit_id)"
)


def upgrade() -> None:
    _create_tables()
    op.add_column("visit_draft", sa.Column("language", sa.String()))
    op.execute(LANGUAGE)
    _move_answers()
    with op.batch_alter_table("visit_draft") as table:
        table.drop_column("answers")
        table.alter_column("language", existing_type=sa.String(), nullable=False)
        table.add_column(sa.Column("mode", sa.String(), server_default="self-web", nullable=False))
        table.add_column(sa.Column("taken_by_id", sa.Integer()))
        table.create_check_constraint(op.f("ck_visit_draft_mode"), "mode IN ('self-web', 'telephone', 'clinic')")
        table.create_foreign_key(op.f("fk_visit_draft_taken_by_id_account"), "account", ["taken_by_id"], ["id"])
    _extend_responses()
    _replace_check("correction", "what", (*CORRECTED, "response"))


def _answer_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("link_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("value", sa.Integer()),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
    )


def _create_tables() -> None:
    op.create_table(
        "draft_answer",
        sa.Column("visit_id", BigInt, nullable=False),
        *_answer_columns(),
        sa.Column("device", sa.String(), server_default="", nullable=False),
        sa.Column("sequence", BigInt, server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('answered', 'declined', 'seen')", name=op.f("ck_draft_answer_state")),
        sa.CheckConstraint("(state = 'answered') = (value IS NOT NULL)", name=op.f("ck_draft_answer_value")),
        sa.ForeignKeyConstraint(
            ["visit_id"],
            ["visit_draft.visit_id"],
            ondelete="CASCADE",
            name=op.f("fk_draft_answer_visit_id_visit_draft"),
        ),
        sa.PrimaryKeyConstraint("visit_id", "instrument_code", "link_id", name=op.f("pk_draft_answer")),
    )
    op.create_table(
        "late_answer",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        *_answer_columns(),
        sa.Column("text_pack_version", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("sequence", BigInt, nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime()),
        sa.Column("decided_by_id", sa.Integer()),
        sa.Column("outcome", sa.String()),
        sa.CheckConstraint("state IN ('answered', 'declined')", name=op.f("ck_late_answer_state")),
        sa.CheckConstraint("outcome IN ('applied', 'kept-as-sent')", name=op.f("ck_late_answer_outcome")),
        sa.CheckConstraint("(state = 'answered') = (value IS NOT NULL)", name=op.f("ck_late_answer_value")),
        sa.CheckConstraint("(decided_at IS NULL) = (outcome IS NULL)", name=op.f("ck_late_answer_decided")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_late_answer_visit_id_visit")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["account.id"], name=op.f("fk_late_answer_decided_by_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late_answer")),
        sa.UniqueConstraint(
            *("visit_id", "instrument_code", "link_id", "given_at", "device", "sequence"),
            name=op.f("uq_late_answer_once"),
        ),
    )


def _move_answers() -> None:
    connection = op.get_bind()
    rows: list[dict[str, Any]] = []
    for draft in connection.execute(DRAFTS.columns(answers=Json, saved_at=UtcDateTime)):
        for instrument_code, answers in draft.answers.items():
            for link_id, value in answers.items():
                rows.append(
                    {
                        "visit_id": draft.visit_id,
                        "instrument_code": instrument_code,
                        "link_id": link_id,
                        "state": "declined" if value is None else "answered",
                        "value": value,
                        "language": draft.language,
                        "given_at": draft.saved_at,
                    }
                )
    if rows:
        connection.execute(ADD.bindparams(sa.bindparam("given_at", type_=UtcDateTime())), rows)


def _extend_responses() -> None:
    with op.batch_alter_table("questionnaire_response") as table:
        table.drop_constraint(op.f("uq_questionnaire_response_visit_id_instrument_code"), type_="unique")
        table.add_column(sa.Column("wordings", Json))
        table.add_column(sa.Column("missing", Json, server_default="{}", nullable=False))
        table.add_column(sa.Column("stop_reason", sa.String()))
        table.add_column(sa.Column("replaces_id", BigInt))
        table.add_column(sa.Column("edited_at", UtcDateTime()))
        table.add_column(sa.Column("edited_by_id", sa.Integer()))
        table.add_column(sa.Column("edit_reason", sa.String()))
        table.add_column(sa.Column("edit_source", sa.String()))
        table.create_check_constraint(op.f("ck_questionnaire_response_stop_reason"), f"stop_reason IN ({REASONS})")
        table.create_check_constraint(
            op.f("ck_questionnaire_response_edit_source"),
            "edit_source IN ('patient', 'paper', 'entry-error', 'late-answer')",
        )
        table.create_check_constraint(
            op.f("ck_questionnaire_response_edited"),
            "(replaces_id IS NULL) = (edit_reason IS NULL) AND (replaces_id IS NULL) = (edit_source IS NULL)",
        )
        table.create_foreign_key(
            op.f("fk_questionnaire_response_replaces_id_questionnaire_response"),
            "questionnaire_response",
            ["replaces_id"],
            ["id"],
        )
        table.create_foreign_key(
            op.f("fk_questionnaire_response_edited_by_id_account"), "account", ["edited_by_id"], ["id"]
        )
        table.create_unique_constraint(op.f("uq_questionnaire_response_replaces_id"), ["replaces_id"])
    op.create_index(
        "uq_questionnaire_response_current",
        "questionnaire_response",
        ["visit_id", "instrument_code"],
        unique=True,
        postgresql_where=NOT_REPLACED,
        sqlite_where=NOT_REPLACED,
    )


def _replace_check(table_name: str, column: str, codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    name = op.f(f"ck_{table_name}_{column}")
    with op.batch_alter_table(table_name) as table:
        table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, f"{column} IN ({listed})")


def downgrade() -> None:
    # Earlier releases hold one response of each visit and instrument: that in effect.
    op.execute("UPDATE questionnaire_response SET replaces_id = NULL, edit_reason = NULL, edit_source = NULL")
    op.execute(f"DELETE FROM score WHERE response_id IN ({REPLACED})")  # nosec B608  a constant
    op.execute(f"DELETE FROM questionnaire_response WHERE id IN ({REPLACED})")  # nosec B608
    op.execute("DELETE FROM correction WHERE what = 'response'")
    _replace_check("correction", "what", CORRECTED)
    op.drop_index("uq_questionnaire_response_current", "questionnaire_response")
    with op.batch_alter_table("questionnaire_response") as table:
        for name in ("edited_by_id_account", "replaces_id_questionnaire_response"):
            table.drop_constraint(op.f(f"fk_questionnaire_response_{name}"), type_="foreignkey")
        table.drop_constraint(op.f("uq_questionnaire_response_replaces_id"), type_="unique")
        for name in ("edited", "edit_source", "stop_reason"):
            table.drop_constraint(op.f(f"ck_questionnaire_response_{name}"), type_="check")
        for name in ("edit_source", "edit_reason", "edited_by_id", "edited_at", "replaces_id", "stop_reason"):
            table.drop_column(name)
        table.drop_column("missing")
        table.drop_column("wordings")
        table.create_unique_constraint(
            op.f("uq_questionnaire_response_visit_id_instrument_code"), ["visit_id", "instrument_code"]
        )
    _restore_drafts()


def _restore_drafts() -> None:
    op.add_column("visit_draft", sa.Column("answers", Json))
    connection = op.get_bind()
    drafts: dict[int, dict[str, dict[str, int | None]]] = {}
    rows = sa.text("SELECT visit_id, instrument_code, link_id, value FROM draft_answer WHERE state <> 'seen'")
    for visit_id, instrument_code, link_id, value in connection.execute(rows):
        drafts.setdefault(visit_id, {}).setdefault(instrument_code, {})[link_id] = value
    store = sa.text("UPDATE visit_draft SET answers = :answers WHERE visit_id = :visit_id")
    store = store.bindparams(sa.bindparam("answers", type_=Json))
    connection.execute(sa.text("UPDATE visit_draft SET answers = '{}'"))
    for visit_id, answers in drafts.items():
        connection.execute(store, {"visit_id": visit_id, "answers": answers})
    op.drop_table("late_answer")
    op.drop_table("draft_answer")
    with op.batch_alter_table("visit_draft") as table:
        table.drop_constraint(op.f("fk_visit_draft_taken_by_id_account"), type_="foreignkey")
        table.drop_constraint(op.f("ck_visit_draft_mode"), type_="check")
        for name in ("taken_by_id", "mode", "language"):
            table.drop_column(name)
        table.alter_column("answers", existing_type=Json, nullable=False)
