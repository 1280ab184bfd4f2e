"""The default protocol of each site. Before, the first protocol by name took every new subject."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# A site goes on with the protocol of its newest course, so that an update redirects no subject.
OF_NEWEST_COURSE = """
    UPDATE site SET protocol_code = COALESCE((
        SELECT course.protocol_code FROM course JOIN subject ON subject.id = course.subject_id
        WHERE subject.site_id = site.id ORDER BY course.created_at DESC, course.id DESC LIMIT 1), '')
"""


def upgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.add_column(sa.Column("protocol_code", sa.String(), nullable=False, server_default=""))
    op.execute(OF_NEWEST_COURSE)


def downgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.drop_column("protocol_code")
