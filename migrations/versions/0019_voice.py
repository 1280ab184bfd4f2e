"""Automated calls: a channel of messages, their reports and the state of their provider."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = ("message", "receipt", "provider_state")
BEFORE, NOW = "channel IN ('email', 'sms')", "channel IN ('email', 'sms', 'voice')"
CALLS = "SELECT id FROM message WHERE channel = 'voice'"
EVENTS = ("delivered", "failed", "hard-bounce", "soft-bounce", "complained", "stop", "start", "help")


def upgrade() -> None:
    _check("receipt", "event", _events("key-pressed", "other"))
    for table in TABLES:
        _check(table, "channel", NOW)


def downgrade() -> None:
    op.execute("DELETE FROM receipt WHERE channel = 'voice' OR event = 'key-pressed'")
    op.execute("DELETE FROM provider_state WHERE channel = 'voice'")
    # A report signed for another channel may name a call by its key.
    op.execute(f"UPDATE receipt SET message_id = NULL WHERE message_id IN ({CALLS})")  # nosec B608
    op.execute(f"DELETE FROM attempt WHERE message_id IN ({CALLS})")  # nosec B608
    op.execute(f"UPDATE link SET message_id = NULL WHERE message_id IN ({CALLS})")  # nosec B608
    op.execute("DELETE FROM message WHERE channel = 'voice'")
    _check("receipt", "event", _events("other"))
    for table in TABLES:
        _check(table, "channel", BEFORE)


def _events(*more: str) -> str:
    return f"event IN ({', '.join(repr(code) for code in (*EVENTS, *more))})"


def _check(table: str, column: str, condition: str) -> None:
    with op.batch_alter_table(table) as changed:
        changed.drop_constraint(op.f(f"ck_{table}_{column}"), type_="check")
        changed.create_check_constraint(op.f(f"ck_{table}_{column}"), condition)
