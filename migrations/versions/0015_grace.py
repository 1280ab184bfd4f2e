"""Until when a draft may still be sent after its window closed."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("visit_draft", sa.Column("grace_until", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("visit_draft", "grace_until")
