"""A call may be opened by answers that need a person the same day."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REASONS = "'no-contact', 'all-reminders-sent', 'send-failed', 'send-uncertain'"


def upgrade() -> None:
    _allow(f"{REASONS}, 'alert'")


def downgrade() -> None:
    op.execute("DELETE FROM call WHERE reason = 'alert'")
    _allow(REASONS)


def _allow(reasons: str) -> None:
    with op.batch_alter_table("call") as call:
        call.drop_constraint(op.f("ck_call_reason"), type_="check")
        call.create_check_constraint(op.f("ck_call_reason"), f"reason IN ({reasons})")
