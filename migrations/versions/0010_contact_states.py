"""A contact may be somebody else's number; staff vouch for an address, and acknowledge that one is closed."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATES = "'active', 'bounced', 'stopped'"
COLUMNS = ("vouched_at", "acknowledged_at")


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("contact", sa.Column(column, UtcDateTime()))
    with op.batch_alter_table("contact") as contact:
        contact.drop_constraint(op.f("ck_contact_state"), type_="check")
        contact.create_check_constraint(op.f("ck_contact_state"), f"state IN ({STATES}, 'wrong-number')")
        contact.create_check_constraint(op.f("ck_contact_acknowledged"), "state <> 'active' OR acknowledged_at IS NULL")


def downgrade() -> None:
    op.execute("UPDATE contact SET state = 'bounced' WHERE state = 'wrong-number'")
    with op.batch_alter_table("contact") as contact:
        contact.drop_constraint(op.f("ck_contact_acknowledged"), type_="check")
        contact.drop_constraint(op.f("ck_contact_state"), type_="check")
        contact.create_check_constraint(op.f("ck_contact_state"), f"state IN ({STATES})")
        for column in COLUMNS:
            contact.drop_column(column)
