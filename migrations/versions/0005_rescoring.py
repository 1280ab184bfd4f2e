"""Re-scoring jobs, with how far each one is and what it changed."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rescoring",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=True),
        sa.Column("through_id", BigInt, nullable=False),
        sa.Column("last_id", BigInt, nullable=False),
        sa.Column("n_responses", sa.Integer(), nullable=False),
        sa.Column("n_done", sa.Integer(), nullable=False),
        sa.Column("report", Json, nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("n_done >= 0 AND n_responses >= 0", name=op.f("ck_rescoring_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescoring")),
    )


def downgrade() -> None:
    op.drop_table("rescoring")
