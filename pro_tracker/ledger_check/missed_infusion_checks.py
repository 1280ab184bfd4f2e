"""Checks days on which no infusion was given, though it was planned, with plain SQL for PostgreSQL and SQLite."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, text

from pro_tracker.ledger_check.context import CheckResult

IN_EFFECT = "SELECT COUNT(*) FROM missed_infusion WHERE voided_at IS NULL"
GIVEN = (
    "SELECT missed_infusion.id, infusion.id AS infusion_id FROM missed_infusion JOIN infusion"
    " ON infusion.course_id = missed_infusion.course_id AND infusion.given_on = missed_infusion.planned_on"
    " WHERE missed_infusion.voided_at IS NULL AND infusion.voided_at IS NULL"
)
AFTER_LEAVING = (
    "SELECT missed_infusion.id FROM missed_infusion JOIN course ON course.id = missed_infusion.course_id"
    " JOIN subject ON subject.id = course.subject_id WHERE missed_infusion.voided_at IS NULL"
    " AND (missed_infusion.recorded_at > subject.withdrawn_at"
    " OR missed_infusion.recorded_at > subject.death_recorded_at)"
)


def check_missed_infusions(connection: Connection) -> list[CheckResult]:
    """Runs the checks over all missed days that are in effect."""
    examined = connection.execute(text(IN_EFFECT)).scalar_one()
    given = connection.execute(text(GIVEN))
    after_leaving = connection.execute(text(AFTER_LEAVING))
    contradicted = [f"missed infusion {row.id}, infusion {row.infusion_id}" for row in given]
    return [
        CheckResult("infusion on a day that was missed", examined, contradicted),
        CheckResult("missed infusion of a patient who had left", examined, _ids(after_leaving)),
    ]


def _ids(rows: Iterable[Any]) -> list[str]:
    return [f"missed infusion {row.id}" for row in rows]
