"""Accesses of browsers to visits, in place of one link and one confirmation for each browser."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "visit_access",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("link_id", BigInt, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("confirmed_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
        sa.CheckConstraint("mode IN ('self-web', 'clinic')", name=op.f("ck_visit_access_mode")),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name=op.f("fk_visit_access_link_id_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit_access")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_visit_access_secret_hash")),
    )
    op.create_index(op.f("ix_visit_access_link_id"), "visit_access", ["link_id"])


def downgrade() -> None:
    op.drop_table("visit_access")
