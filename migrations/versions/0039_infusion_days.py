"""The number of the infusion day that a visit asks about: such an event has one visit for each day with an infusion."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ONCE = sa.text("infusion_day IS NULL")
EACH_DAY = sa.text("infusion_day IS NOT NULL")


def upgrade() -> None:
    op.add_column("visit", sa.Column("infusion_day", sa.Integer()))
    with op.batch_alter_table("visit") as visit:
        visit.drop_constraint("uq_visit_course_id_event_code", type_="unique")
    for name, columns, which in (
        ("uq_visit_once", ["course_id", "event_code"], ONCE),
        ("uq_visit_infusion_day", ["course_id", "event_code", "anchor_on"], EACH_DAY),
    ):
        op.create_index(name, "visit", columns, unique=True, postgresql_where=which, sqlite_where=which)


def downgrade() -> None:
    op.drop_index("uq_visit_infusion_day", table_name="visit")
    op.drop_index("uq_visit_once", table_name="visit")
    with op.batch_alter_table("visit") as visit:
        visit.create_unique_constraint("uq_visit_course_id_event_code", ["course_id", "event_code"])
    op.drop_column("visit", "infusion_day")
