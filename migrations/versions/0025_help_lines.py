"""The emergency number and the crisis line of each site, which pages name where a patient may need them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.add_column(sa.Column("emergency_number", sa.String(), nullable=False, server_default=""))
        site.add_column(sa.Column("crisis_line", JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.drop_column("crisis_line")
        site.drop_column("emergency_number")
