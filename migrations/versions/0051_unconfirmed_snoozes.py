"""Snoozes without a birth date: the reason, the message whose link was used, and when one was undone."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

REASONS = "reason IN ('pain', 'tired', 'no-time', 'other')"
UNCONFIRMED = "(reason IS NULL) = (message_id IS NULL)"
UNDONE = "undone_at IS NULL OR message_id IS NOT NULL"


def upgrade() -> None:
    with op.batch_alter_table("snooze") as snooze:
        snooze.add_column(sa.Column("reason", sa.String()))
        snooze.add_column(sa.Column("message_id", BigInt))
        snooze.add_column(sa.Column("undone_at", UtcDateTime()))
        snooze.create_check_constraint(op.f("ck_snooze_reason"), REASONS)
        snooze.create_check_constraint(op.f("ck_snooze_unconfirmed"), UNCONFIRMED)
        snooze.create_check_constraint(op.f("ck_snooze_undone"), UNDONE)
        snooze.create_unique_constraint(op.f("uq_snooze_message_id"), ["message_id"])
        snooze.create_foreign_key(op.f("fk_snooze_message_id_message"), "message", ["message_id"], ["id"])


def downgrade() -> None:
    # Earlier releases take every snooze as confirmed.
    op.execute("DELETE FROM snooze WHERE message_id IS NOT NULL")
    with op.batch_alter_table("snooze") as snooze:
        snooze.drop_constraint(op.f("fk_snooze_message_id_message"), type_="foreignkey")
        snooze.drop_constraint(op.f("uq_snooze_message_id"), type_="unique")
        for name in ("reason", "unconfirmed", "undone"):
            snooze.drop_constraint(op.f(f"ck_snooze_{name}"), type_="check")
        for column in ("reason", "message_id", "undone_at"):
            snooze.drop_column(column)
