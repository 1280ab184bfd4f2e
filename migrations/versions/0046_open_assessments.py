"""Figures count what is still open apart, and each occurrence of an event that comes several times by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

KEY = ("protocol_code", "site_code", "event_code", "instrument_code", "scale_code")
FORMER_KEY = "uq_aggregate_protocol_code_site_code_event_code_instrument_code_scale_code"
# Stored figures follow from other tables: the next refresh computes all of them, as in a new installation.
EMPTY = "DELETE FROM aggregate"


def upgrade() -> None:
    op.execute(EMPTY)
    with op.batch_alter_table("aggregate") as aggregate:
        aggregate.add_column(sa.Column("occurrence", sa.Integer(), nullable=False, server_default="1"))
        aggregate.add_column(sa.Column("n_open", sa.Integer(), nullable=False, server_default="0"))
        aggregate.drop_constraint(op.f(FORMER_KEY), type_="unique")
        aggregate.create_unique_constraint("uq_aggregate_row", [*KEY, "occurrence"])
        aggregate.create_check_constraint(op.f("ck_aggregate_open"), "n_answered + n_open <= n_expected")


def downgrade() -> None:
    op.execute(EMPTY)
    with op.batch_alter_table("aggregate") as aggregate:
        aggregate.drop_constraint(op.f("ck_aggregate_open"), type_="check")
        aggregate.drop_constraint("uq_aggregate_row", type_="unique")
        aggregate.create_unique_constraint(op.f(FORMER_KEY), list(KEY))
        aggregate.drop_column("n_open")
        aggregate.drop_column("occurrence")
