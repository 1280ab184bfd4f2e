"""The source of answers that were moved from the wrong visit."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BEFORE = ("patient", "paper", "entry-error", "late-answer")


def upgrade() -> None:
    _replace_check((*BEFORE, "wrong-visit"))


def downgrade() -> None:
    # Earlier releases know no moved answers: what they show for them is an error of entry, which is true of the visit.
    op.execute("UPDATE questionnaire_response SET edit_source = 'entry-error' WHERE edit_source = 'wrong-visit'")
    _replace_check(BEFORE)


def _replace_check(codes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{code}'" for code in codes)
    name = op.f("ck_questionnaire_response_edit_source")
    with op.batch_alter_table("questionnaire_response") as table:
        table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, f"edit_source IN ({listed})")
