"""A label of each subject, which says on their pages whose questions they are."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("subject") as subject:
        subject.add_column(sa.Column("label", sa.String(), nullable=False, server_default=""))
        subject.create_check_constraint(op.f("ck_subject_label"), "length(label) <= 12")


def downgrade() -> None:
    with op.batch_alter_table("subject") as subject:
        subject.drop_constraint(op.f("ck_subject_label"), type_="check")
        subject.drop_column("label")
