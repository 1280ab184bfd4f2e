"""Calls about birth dates that do not match."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BEFORE = ("no-contact", "all-reminders-sent", "send-failed", "send-uncertain", "alert")
NOW = (*BEFORE, "identity")


def upgrade() -> None:
    _check(NOW)


def downgrade() -> None:
    op.execute("DELETE FROM call_attempt WHERE call_id IN (SELECT id FROM call WHERE reason = 'identity')")
    op.execute("DELETE FROM call WHERE reason = 'identity'")
    _check(BEFORE)


def _check(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    with op.batch_alter_table("call") as call:
        call.drop_constraint(op.f("ck_call_reason"), type_="check")
        call.create_check_constraint(op.f("ck_call_reason"), f"reason IN ({listed})")
