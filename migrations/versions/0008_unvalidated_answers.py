"""How many answers behind a cohort figure were given to wording that is not validated."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("aggregate") as aggregate:
        aggregate.add_column(sa.Column("n_unvalidated", sa.Integer(), server_default="0", nullable=False))
    # Until the next refresh counts them: rather too many than too few.
    op.execute("UPDATE aggregate SET n_unvalidated = n_answered")
    with op.batch_alter_table("aggregate") as aggregate:
        aggregate.create_check_constraint(op.f("ck_aggregate_unvalidated"), "n_unvalidated <= n_answered")


def downgrade() -> None:
    with op.batch_alter_table("aggregate") as aggregate:
        aggregate.drop_constraint(op.f("ck_aggregate_unvalidated"), type_="check")
        aggregate.drop_column("n_unvalidated")
