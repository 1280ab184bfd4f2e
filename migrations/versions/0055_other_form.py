"""The reason `other-form` of a response that does not count, since another form of the same questions does."""

from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

CODES = (
    *("refused", "too-ill", "language", "wrong-number", "hospital", "died", "clinic", "paused", "started-not-sent"),
    *("not-reached", "no-contact", "no-reply", "entered-late", "withdrawn", "new-course", "no-date"),
    *("entered-in-error", "duplicate"),
)
NEW = "other-form"


def upgrade() -> None:
    _replace_check((*CODES, NEW))


def downgrade() -> None:
    # Earlier releases know answers that were begun and not sent.
    op.execute(f"UPDATE questionnaire_response SET stop_reason = 'started-not-sent' WHERE stop_reason = '{NEW}'")  # nosec B608
    _replace_check(CODES)


def _replace_check(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    name = op.f("ck_questionnaire_response_stop_reason")
    with op.batch_alter_table("questionnaire_response") as altered:
        altered.drop_constraint(name, type_="check")
        altered.create_check_constraint(name, f"stop_reason IN ({listed})")
