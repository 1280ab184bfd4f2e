"""Until when answers before treatment count, when planning last changed a visit, and until when subjects are held.

Baselines of courses that began get the moment at which they began, as planning does for later ones: the start of the
first infusion, else when it was recorded or the end of its day.
"""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

END_OF_DAY = time(23, 59, 59)
BATCH = 1000
INFUSIONS = sa.text(
    "SELECT infusion.course_id, infusion.given_on, infusion.started_at_local, infusion.recorded_at, site.time_zone"
    " FROM infusion JOIN course ON course.id = infusion.course_id JOIN site ON site.id = course.site_id"
    " WHERE infusion.voided_at IS NULL"
).columns(given_on=sa.Date, started_at_local=sa.Time, recorded_at=UtcDateTime)
SET = sa.text("UPDATE visit SET counts_until = :began_at WHERE course_id = :course AND visit_number = 1").bindparams(
    sa.bindparam("began_at", type_=UtcDateTime)
)


def upgrade() -> None:
    op.add_column("visit", sa.Column("counts_until", UtcDateTime()))
    op.add_column("visit", sa.Column("replanned_at", UtcDateTime()))
    op.add_column("subject", sa.Column("held_from", UtcDateTime()))
    op.add_column("subject", sa.Column("held_until", UtcDateTime()))
    connection = op.get_bind()
    began: dict[int, datetime] = {}
    for row in connection.execute(INFUSIONS):
        at = _began_at(row)
        began[row.course_id] = min(at, began.get(row.course_id, at))
    rows = [{"course": course, "began_at": at} for course, at in began.items()]
    for start in range(0, len(rows), BATCH):
        connection.execute(SET, rows[start : start + BATCH])


def downgrade() -> None:
    op.drop_column("subject", "held_until")
    op.drop_column("subject", "held_from")
    op.drop_column("visit", "replanned_at")
    op.drop_column("visit", "counts_until")


def _began_at(row: Any) -> datetime:
    zone = ZoneInfo(row.time_zone)
    started_at: time | None = row.started_at_local
    if started_at is not None:
        return datetime.combine(row.given_on, started_at, zone)
    day_from, day_until = (datetime.combine(row.given_on, at, zone) for at in (time.min, END_OF_DAY))
    recorded_at: datetime = row.recorded_at
    return max(day_from, min(recorded_at, day_until))
