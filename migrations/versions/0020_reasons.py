"""CHECKs on the reasons why a message ended unsent and why a visit ended without answers."""

from collections.abc import Iterable

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OF_VISITS = (
    *("refused", "too-ill", "language", "wrong-number", "hospital", "died", "clinic", "paused", "started-not-sent"),
    *("not-reached", "no-contact", "no-reply", "entered-late", "withdrawn", "new-course", "no-date"),
    "entered-in-error",
)
OF_MESSAGES = dict.fromkeys(
    ["answered", "withdrawn", "window-closed", "superseded", "no-contact", "re-planned", "paused", *OF_VISITS]
)
CHECKED: dict[str, dict[str, Iterable[str]]] = {
    "message": {"end_reason": OF_MESSAGES},
    "visit": {"void_reason": OF_VISITS, "missed_reason": OF_VISITS},
}


def upgrade() -> None:
    for table, columns in CHECKED.items():
        with op.batch_alter_table(table) as changed:
            for column, codes in columns.items():
                listed = ", ".join(f"'{code}'" for code in codes)
                changed.create_check_constraint(op.f(f"ck_{table}_{column}"), f"{column} IN ({listed})")


def downgrade() -> None:
    for table, columns in CHECKED.items():
        with op.batch_alter_table(table) as changed:
            for column in columns:
                changed.drop_constraint(op.f(f"ck_{table}_{column}"), type_="check")
