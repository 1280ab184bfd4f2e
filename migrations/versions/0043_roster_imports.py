"""Imports of rosters, and the people of an unfinished import that are not loaded yet."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0043"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "roster_import",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("header", Json, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("rejected_rows", sa.Integer(), nullable=False),
        sa.Column("new_subjects", sa.Integer(), nullable=False),
        sa.Column("new_infusions", sa.Integer(), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("worked_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("is_unfinished", sa.Boolean(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (is_unfinished IS NOT NULL)", name=op.f("ck_roster_import_ended")),
        sa.CheckConstraint("is_unfinished", name=op.f("ck_roster_import_unfinished")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_import")),
        sa.UniqueConstraint("is_unfinished", name=op.f("uq_roster_import_is_unfinished")),
    )
    op.create_table(
        "staged_person",
        sa.Column("import_id", BigInt, nullable=False),
        sa.Column("first_line", sa.Integer(), nullable=False),
        sa.Column("rows_cell", sa.LargeBinary(), nullable=False),
        sa.Column("is_another_person", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["roster_import.id"], name=op.f("fk_staged_person_import_id")),
        sa.PrimaryKeyConstraint("import_id", "first_line", name=op.f("pk_staged_person")),
    )


def downgrade() -> None:
    # What is staged is in the file, too: an import that is not finished can be repeated from it.
    op.drop_table("staged_person")
    op.drop_table("roster_import")
