"""Former values of corrected identities, and which links were ended by wrong birth dates.

Until now nothing but wrong birth dates ended a link by itself; one that refused a birth date and is revoked is taken
for such a link.
"""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import UtcDateTime

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

FIELDS = "'given-name', 'family-name', 'birth-date', 'record-number', 'sex', 'consent-version', 'consent-on'"
ENDED_BY_FAILURES = (
    "UPDATE link SET revoked_by_failures = TRUE WHERE revoked_at IS NOT NULL AND EXISTS"
    " (SELECT 1 FROM audit_event WHERE audit_event.action = 'identity.refuse' AND audit_event.actor_kind = 'patient'"
    " AND audit_event.subject_id = (SELECT visit.subject_id FROM visit WHERE visit.id = link.visit_id)"
    " AND audit_event.actor_id = CAST(link.id AS VARCHAR))"
)


def upgrade() -> None:
    op.create_table(
        "identity_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("former_cell", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("account_id", sa.Integer()),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(f"field IN ({FIELDS})", name=op.f("ck_identity_change_field")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_identity_change_account_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_identity_change_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_change")),
    )
    op.create_index(op.f("ix_identity_change_subject_id"), "identity_change", ["subject_id"])
    with op.batch_alter_table("link") as table:
        table.add_column(sa.Column("revoked_by_failures", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.create_check_constraint(
            op.f("ck_link_revoked_by_failures"), "revoked_at IS NOT NULL OR NOT revoked_by_failures"
        )
    op.execute(ENDED_BY_FAILURES)


def downgrade() -> None:
    with op.batch_alter_table("link") as table:
        table.drop_constraint(op.f("ck_link_revoked_by_failures"), type_="check")
        table.drop_column("revoked_by_failures")
    op.drop_table("identity_change")
