"""What providers report later about messages and addresses, and how many such calls were believed."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

UNSETTLED = sa.text("settled_at IS NULL")
CLOSED = sa.text("state <> 'active' AND acknowledged_at IS NULL")
KNOWN = sa.text("provider_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "receipt",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("code", sa.String()),
        sa.Column("message_key", sa.Uuid()),
        sa.Column("provider_id", sa.String()),
        sa.Column("message_id", BigInt),
        sa.Column("address_hash", sa.LargeBinary()),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime()),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_receipt_channel")),
        sa.CheckConstraint(
            "event IN ('delivered', 'failed', 'hard-bounce', 'soft-bounce', 'complained', 'stop', 'start', 'help', "
            "'other')",
            name=op.f("ck_receipt_event"),
        ),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_receipt_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("provider", "event_id", name=op.f("uq_receipt_provider_event_id")),
    )
    op.create_index(op.f("ix_receipt_message_id"), "receipt", ["message_id"])
    op.create_index("ix_receipt_address_hash", "receipt", ["address_hash", "received_at"])
    op.create_index(
        "ix_receipt_unsettled", "receipt", ["received_at"], postgresql_where=UNSETTLED, sqlite_where=UNSETTLED
    )
    op.create_table(
        "webhook_count",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("n_calls", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('taken', 'known', 'forged', 'stale', 'unreadable')", name=op.f("ck_webhook_count_kind")
        ),
        sa.PrimaryKeyConstraint("provider", "counted_on", "kind", name=op.f("pk_webhook_count")),
    )
    op.create_index("ix_contact_closed", "contact", ["subject_id"], postgresql_where=CLOSED, sqlite_where=CLOSED)
    op.create_index("ix_attempt_provider_id", "attempt", ["provider_id"], postgresql_where=KNOWN, sqlite_where=KNOWN)


def downgrade() -> None:
    op.drop_index("ix_attempt_provider_id", "attempt")
    op.drop_index("ix_contact_closed", "contact")
    op.drop_table("webhook_count")
    op.drop_table("receipt")
