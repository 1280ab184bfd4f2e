"""A raw score that is a mean of items is stored without rounding; until now it was rounded to two decimals.

Only a mean can be a fraction: sums are whole numbers, pro-rated ones are rounded up. Its sum of whole item values is
what the rounded mean gives for that many answers, since the rounding is off by less than half a point for fewer than
100 of them.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

FRACTIONS = "raw_score IS NOT NULL AND raw_score <> round(raw_score) AND n_answered BETWEEN 1 AND 99"


def upgrade() -> None:
    op.execute(f"UPDATE score SET raw_score = round(raw_score * n_answered) / n_answered WHERE {FRACTIONS}")  # nosec B608


def downgrade() -> None:
    op.execute(f"UPDATE score SET raw_score = round(raw_score * 100) / 100 WHERE {FRACTIONS}")  # nosec B608
