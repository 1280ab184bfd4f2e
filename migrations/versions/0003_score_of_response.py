"""A score belongs to its response, which knows visit and subject: two keys and two indexes fewer to write each time."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("visit_id", "subject_id")


def upgrade() -> None:
    with op.batch_alter_table("score") as score:
        for column in COLUMNS:
            score.drop_index(f"ix_score_{column}")
            score.drop_constraint(f"fk_score_{column}", type_="foreignkey")
            score.drop_column(column)


def downgrade() -> None:
    with op.batch_alter_table("score") as score:
        score.add_column(sa.Column("visit_id", BigInt, nullable=True))
        score.add_column(sa.Column("subject_id", sa.Uuid(), nullable=True))
    of_response = "FROM questionnaire_response WHERE questionnaire_response.id = score.response_id"
    for column in COLUMNS:
        op.execute(f"UPDATE score SET {column} = (SELECT {column} {of_response})")  # nosec B608  our own names
    with op.batch_alter_table("score") as score:
        for column, target in zip(COLUMNS, ("visit.id", "subject.id"), strict=True):
            score.alter_column(column, nullable=False)
            score.create_foreign_key(f"fk_score_{column}", target.partition(".")[0], [column], ["id"])
            score.create_index(f"ix_score_{column}", [column])
