"""Consent forms: which protocol has one, what people decided, the mail with a copy; what sites say about themselves."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

OUTCOMES = "'given', 'declined', 'stopped-asking', 'stopped-use'"
MODES = "'own-device', 'clinic-device', 'telephone', 'paper'"
OF_FORM = "outcome = 'given' OR outcome = 'declined'"
OPEN = sa.text("outcome <> 'given' AND acknowledged_at IS NULL AND voided_at IS NULL")
KINDS = {
    "message": ("'reminder', 'snooze', 'fresh-link'", "'consent-copy'"),
    "definition": ("'protocol', 'instrument', 'text-pack'", "'consent'"),
}
COPIES = "SELECT id FROM message WHERE kind = 'consent-copy'"


def upgrade() -> None:
    for table, (before, new) in KINDS.items():
        _check_kind(table, f"{before}, {new}")
    op.create_table(
        "protocol_consent",
        sa.Column("protocol_code", sa.String(), nullable=False),
        sa.Column("protocol_version", sa.String(), nullable=False),
        sa.Column("form_code", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("protocol_code", "protocol_version", name=op.f("pk_protocol_consent")),
    )
    _create_decisions()
    with op.batch_alter_table("site") as site:
        site.add_column(sa.Column("patient_pages", Json, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.drop_column("patient_pages")
    op.drop_table("consent_decision")
    op.drop_table("protocol_consent")
    # Earlier releases know no consent form.
    op.execute(f"UPDATE receipt SET message_id = NULL WHERE message_id IN ({COPIES})")  # nosec B608
    op.execute(f"DELETE FROM attempt WHERE message_id IN ({COPIES})")  # nosec B608
    op.execute(f"UPDATE link SET message_id = NULL WHERE message_id IN ({COPIES})")  # nosec B608
    op.execute("DELETE FROM message WHERE kind = 'consent-copy'")
    op.execute("DELETE FROM definition WHERE kind = 'consent'")
    for table, (before, _new) in KINDS.items():
        _check_kind(table, before)


def _create_decisions() -> None:
    op.create_table(
        "consent_decision",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("form_code", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=True),
        *(sa.Column(f"agreed_{purpose}", sa.Boolean(), nullable=True) for purpose in ("care", "registry", "sharing")),
        sa.Column("signed_name_cell", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_by_id", sa.Integer(), nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        _check("outcome", f"outcome IN ({OUTCOMES})"),
        _check("mode", f"mode IN ({MODES})"),
        _check("version", f"({OF_FORM}) = (length(version) > 0)"),
        _check("signed_on", "(mode = 'paper') = (signed_on IS NOT NULL)"),
        _check("voided", "(voided_at IS NULL) = (void_reason IS NULL)"),
        _check("acknowledged", "(acknowledged_at IS NULL) = (acknowledged_by_id IS NULL)"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_consent_decision_subject_id_subject")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_consent_decision_account_id_account")),
        sa.ForeignKeyConstraint(
            ["acknowledged_by_id"], ["account.id"], name=op.f("fk_consent_decision_acknowledged_by_id_account")
        ),
        sa.UniqueConstraint("key", name=op.f("uq_consent_decision_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_decision")),
    )
    op.create_index(op.f("ix_consent_decision_subject_id"), "consent_decision", ["subject_id"])
    op.create_index(
        "ix_consent_decision_open", "consent_decision", ["subject_id"], postgresql_where=OPEN, sqlite_where=OPEN
    )


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_consent_decision_{name}"))


def _check_kind(table: str, kinds: str) -> None:
    name = op.f(f"ck_{table}_kind")
    with op.batch_alter_table(table) as changed:
        changed.drop_constraint(name, type_="check")
        changed.create_check_constraint(name, f"kind IN ({kinds})")
