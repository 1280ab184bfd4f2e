"""The helper whom a subject trusts: a channel of messages with a contact of its own, which holds the agreement."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TABLES = ("message", "receipt", "provider_state")
BEFORE, NOW = "channel IN ('email', 'sms', 'voice')", "channel IN ('email', 'sms', 'voice', 'helper')"
CONTACTS_BEFORE, CONTACTS_NOW = "channel IN ('email', 'sms')", "channel IN ('email', 'sms', 'helper')"
OF_HELPER = {
    "ck_contact_agreed_on": "(channel = 'helper') = (agreed_on IS NOT NULL)",
    "ck_contact_relation": "(channel = 'helper') = (relation_cell IS NOT NULL)",
}
MESSAGES = "SELECT id FROM message WHERE channel = 'helper'"


def upgrade() -> None:
    for table in TABLES:
        _check(table, NOW)
    _check("contact", CONTACTS_NOW)
    with op.batch_alter_table("contact") as contact:
        contact.add_column(sa.Column("relation_cell", sa.LargeBinary()))
        contact.add_column(sa.Column("agreed_on", sa.Date()))
        for name, condition in OF_HELPER.items():
            contact.create_check_constraint(op.f(name), condition)


def downgrade() -> None:
    # Earlier releases know no helper: what was sent to one is deleted, as their addresses are.
    op.execute("DELETE FROM receipt WHERE channel = 'helper'")
    op.execute("DELETE FROM provider_state WHERE channel = 'helper'")
    op.execute(f"UPDATE receipt SET message_id = NULL WHERE message_id IN ({MESSAGES})")  # nosec B608
    op.execute(f"DELETE FROM attempt WHERE message_id IN ({MESSAGES})")  # nosec B608
    op.execute(f"UPDATE link SET message_id = NULL WHERE message_id IN ({MESSAGES})")  # nosec B608
    op.execute("DELETE FROM message WHERE channel = 'helper'")
    op.execute("DELETE FROM contact WHERE channel = 'helper'")
    with op.batch_alter_table("contact") as contact:
        for name in OF_HELPER:
            contact.drop_constraint(op.f(name), type_="check")
        contact.drop_column("relation_cell")
        contact.drop_column("agreed_on")
    _check("contact", CONTACTS_BEFORE)
    for table in TABLES:
        _check(table, BEFORE)


def _check(table: str, condition: str) -> None:
    name = op.f(f"ck_{table}_channel")
    with op.batch_alter_table(table) as changed:
        changed.drop_constraint(name, type_="check")
        changed.create_check_constraint(name, condition)
