"""Which channels' providers are down, shared by all workers."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_state",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("reply", sa.String()),
        sa.Column("opened_at", UtcDateTime()),
        sa.Column("probe_at", UtcDateTime()),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_provider_state_channel")),
        sa.CheckConstraint("(opened_at IS NULL) = (probe_at IS NULL)", name=op.f("ck_provider_state_open")),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_provider_state")),
    )


def downgrade() -> None:
    op.drop_table("provider_state")
