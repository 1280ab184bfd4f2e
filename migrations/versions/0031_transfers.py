"""The site of each course, and transfers of subjects to another site.

Nobody could be transferred until now, so a course was at the site of its subject. Reverting loses who came from where:
earlier releases count every course at the site that the subject belongs to now.
"""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

FILL = "UPDATE course SET site_id = (SELECT subject.site_id FROM subject WHERE subject.id = course.subject_id)"


def upgrade() -> None:
    op.add_column("course", sa.Column("site_id", sa.Integer()))
    op.execute(FILL)
    with op.batch_alter_table("course") as table:
        table.alter_column("site_id", existing_type=sa.Integer(), nullable=False)
        table.create_foreign_key(op.f("fk_course_site_id"), "site", ["site_id"], ["id"])
    op.create_index(op.f("ix_course_site_id"), "course", ["site_id"])
    op.create_table(
        "transfer",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("from_site_id", sa.Integer(), nullable=False),
        sa.Column("to_site_id", sa.Integer(), nullable=False),
        sa.Column("transferred_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("from_site_id <> to_site_id", name=op.f("ck_transfer_sites")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_transfer_subject_id")),
        sa.ForeignKeyConstraint(["from_site_id"], ["site.id"], name=op.f("fk_transfer_from_site_id")),
        sa.ForeignKeyConstraint(["to_site_id"], ["site.id"], name=op.f("fk_transfer_to_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
    )
    op.create_index(op.f("ix_transfer_subject_id"), "transfer", ["subject_id"])


def downgrade() -> None:
    op.drop_table("transfer")
    op.drop_index(op.f("ix_course_site_id"), "course")
    with op.batch_alter_table("course") as table:
        table.drop_constraint(op.f("fk_course_site_id"), type_="foreignkey")
        table.drop_column("site_id")
