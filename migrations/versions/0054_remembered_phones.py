"""Accesses that last until the questions are over, on a phone whose owner asked for that."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("visit_access") as access:
        access.add_column(sa.Column("remembered_until", UtcDateTime))


def downgrade() -> None:
    with op.batch_alter_table("visit_access") as access:
        access.drop_column("remembered_until")
