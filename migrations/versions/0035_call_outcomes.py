"""Outcomes of calls: in hospital, and died."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

OF_ATTEMPTS = ("reached", "voicemail", "no-answer", "wrong-number", "refused", "too-ill", "language")
OF_CALLS = (
    *("reached", "wrong-number", "refused", "too-ill", "language", "not-reached", "answered", "no-longer-wanted"),
)
ADDED = ("hospital", "died")


def upgrade() -> None:
    _check("call_attempt", (*OF_ATTEMPTS, *ADDED))
    _check("call", (*OF_CALLS, *ADDED))


def downgrade() -> None:
    # Of what earlier releases know, "too ill" ends the reminders of the visit as well.
    op.execute("UPDATE call_attempt SET outcome = 'too-ill' WHERE outcome IN ('hospital', 'died')")
    op.execute("UPDATE call SET outcome = 'too-ill' WHERE outcome = 'hospital'")
    op.execute("UPDATE call SET outcome = 'no-longer-wanted' WHERE outcome = 'died'")
    _check("call_attempt", OF_ATTEMPTS)
    _check("call", OF_CALLS)


def _check(table: str, codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    name = op.f(f"ck_{table}_outcome")
    with op.batch_alter_table(table) as changed:
        changed.drop_constraint(name, type_="check")
        changed.create_check_constraint(name, f"outcome IN ({listed})")
