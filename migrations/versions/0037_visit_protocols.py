"""The protocol version of each visit, which stays when its course moves to another, and the reason of such a move."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

COLUMNS = ("protocol_code", "protocol_version")
REASONS = ("course-end", "anchor-date", "pause", "withdrawal", "response", "death")
NEW_REASON = "protocol"


def upgrade() -> None:
    with op.batch_alter_table("visit") as visit:
        for name in COLUMNS:
            visit.add_column(sa.Column(name, sa.String(), nullable=True))
    for name in COLUMNS:
        of_course = f"SELECT {name} FROM course WHERE course.id = visit.course_id"  # nosec B608  constants
        op.execute(f"UPDATE visit SET {name} = ({of_course})")  # nosec B608
    with op.batch_alter_table("visit") as visit:
        for name in COLUMNS:
            visit.alter_column(name, existing_type=sa.String(), nullable=False)
    _replace_reasons((*REASONS, NEW_REASON))


def downgrade() -> None:
    # The earlier release reads every visit by the protocol of its course, so the moves are all that is lost.
    op.execute(f"DELETE FROM correction WHERE what = '{NEW_REASON}'")  # nosec B608  a constant
    _replace_reasons(REASONS)
    with op.batch_alter_table("visit") as visit:
        for name in COLUMNS:
            visit.drop_column(name)


def _replace_reasons(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    with op.batch_alter_table("correction") as table:
        table.drop_constraint(op.f("ck_correction_what"), type_="check")
        table.create_check_constraint(op.f("ck_correction_what"), f"what IN ({listed})")
