"""Incidents of the service, and whether the operator was told."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OPEN = sa.text("ended_at IS NULL")
KINDS = "'nothing-swept', 'message-late', 'provider-down'"


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime()),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("end_told_at", UtcDateTime()),
        sa.CheckConstraint(f"kind IN ({KINDS})", name=op.f("ck_incident_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("uq_incident_open", "incident", ["kind"], unique=True, postgresql_where=OPEN, sqlite_where=OPEN)


def downgrade() -> None:
    op.drop_table("incident")
