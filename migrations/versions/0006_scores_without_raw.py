"""A score of an adaptive test is a T-score without a raw score."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RAW, EITHER = "raw_score IS NOT NULL", "raw_score IS NOT NULL OR t_score IS NOT NULL"


def upgrade() -> None:
    _scored_means(EITHER)


def downgrade() -> None:
    """Fails while there is a score of an adaptive test: it is not thrown away."""
    _scored_means(RAW)


def _scored_means(condition: str) -> None:
    with op.batch_alter_table("score") as score:
        score.drop_constraint(op.f("ck_score_scored"), type_="check")
        score.create_check_constraint(op.f("ck_score_scored"), f"(status = 'scored') = ({condition})")
