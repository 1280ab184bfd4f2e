"""The moment at which the answers of a visit that was never sent became responses, and a call before that."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

REASONS = ("no-contact", "all-reminders-sent", "send-failed", "send-uncertain", "identity", "alert")
NEW_REASON = "started-not-sent"


def upgrade() -> None:
    op.add_column("visit", sa.Column("stopped_at", UtcDateTime()))
    _replace_reasons((*REASONS, NEW_REASON))


def downgrade() -> None:
    # The earlier release has no such calls; their attempts go with them.
    calls = f"SELECT id FROM call WHERE reason = '{NEW_REASON}'"  # nosec B608  a constant
    op.execute(f"DELETE FROM call_attempt WHERE call_id IN ({calls})")  # nosec B608
    op.execute(f"DELETE FROM call WHERE reason = '{NEW_REASON}'")  # nosec B608
    _replace_reasons(REASONS)
    op.drop_column("visit", "stopped_at")


def _replace_reasons(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    with op.batch_alter_table("call") as table:
        table.drop_constraint(op.f("ck_call_reason"), type_="check")
        table.create_check_constraint(op.f("ck_call_reason"), f"reason IN ({listed})")
