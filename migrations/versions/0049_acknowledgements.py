"""Acknowledgements: which member of staff looked at the answers of a visit, and when."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

IN_EFFECT = sa.text("undone_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "acknowledgement",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=False),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.Column("undone_by_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("(undone_at IS NULL) = (undone_by_id IS NULL)", name=op.f("ck_acknowledgement_undone")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_acknowledgement_visit_id_visit")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_acknowledgement_account_id_account")),
        sa.ForeignKeyConstraint(["undone_by_id"], ["account.id"], name=op.f("fk_acknowledgement_undone_by_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgement")),
    )
    op.create_index(op.f("ix_acknowledgement_visit_id"), "acknowledgement", ["visit_id"])
    op.create_index(
        "uq_acknowledgement_in_effect",
        "acknowledgement",
        ["visit_id"],
        unique=True,
        postgresql_where=IN_EFFECT,
        sqlite_where=IN_EFFECT,
    )


def downgrade() -> None:
    op.drop_table("acknowledgement")
