"""Goals of patients in their own words, with their ratings."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

MODES = "mode IN ('self-web', 'telephone', 'clinic')"
VOIDED = "(voided_at IS NULL) = (void_reason IS NULL)"
IN_EFFECT = sa.text("voided_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "goal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("taken_by_id", sa.Integer(), nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        sa.CheckConstraint(VOIDED, name=op.f("ck_goal_voided")),
        sa.CheckConstraint(MODES, name=op.f("ck_goal_mode")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_goal_subject_id_subject")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_goal_visit_id_visit")),
        sa.ForeignKeyConstraint(["taken_by_id"], ["account.id"], name=op.f("fk_goal_taken_by_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goal")),
    )
    op.create_index(op.f("ix_goal_subject_id"), "goal", ["subject_id"])
    op.create_table(
        "goal_text",
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text_cell", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.CheckConstraint("(number = 1) = (reason IS NULL)", name=op.f("ck_goal_text_reason")),
        sa.ForeignKeyConstraint(["goal_id"], ["goal.id"], name=op.f("fk_goal_text_goal_id_goal")),
        sa.PrimaryKeyConstraint("goal_id", "number", name=op.f("pk_goal_text")),
    )
    op.create_table(
        "goal_rating",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("attainment", sa.Integer(), nullable=False),
        sa.Column("rated_at", UtcDateTime(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("taken_by_id", sa.Integer(), nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        sa.CheckConstraint("abs(attainment) <= 2", name=op.f("ck_goal_rating_attainment")),
        sa.CheckConstraint(VOIDED, name=op.f("ck_goal_rating_voided")),
        sa.CheckConstraint(MODES, name=op.f("ck_goal_rating_mode")),
        sa.ForeignKeyConstraint(["goal_id"], ["goal.id"], name=op.f("fk_goal_rating_goal_id_goal")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_goal_rating_visit_id_visit")),
        sa.ForeignKeyConstraint(["taken_by_id"], ["account.id"], name=op.f("fk_goal_rating_taken_by_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goal_rating")),
    )
    for column in ("goal_id", "visit_id"):
        op.create_index(op.f(f"ix_goal_rating_{column}"), "goal_rating", [column])
    op.create_index(
        "uq_goal_rating_in_effect",
        "goal_rating",
        ["goal_id", "visit_id"],
        unique=True,
        postgresql_where=IN_EFFECT,
        sqlite_where=IN_EFFECT,
    )


def downgrade() -> None:
    op.drop_table("goal_rating")
    op.drop_table("goal_text")
    op.drop_table("goal")
