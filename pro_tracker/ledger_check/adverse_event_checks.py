"""Checks that answers about symptoms and adverse events agree, read with plain SQL. Works on PostgreSQL and SQLite."""

from sqlalchemy import Connection, text

from pro_tracker.ledger_check.context import CheckResult

# Of infusions in effect: answers of yes and no, each with how many adverse events in effect describe the symptom.
ANSWERS = (
    "SELECT infusion.id, infusion_symptom.code, infusion_symptom.answer, (SELECT COUNT(*) FROM adverse_event"
    " WHERE adverse_event.infusion_id = infusion.id AND adverse_event.voided_at IS NULL"
    " AND COALESCE(adverse_event.symptom_code, 'other') = infusion_symptom.code) AS events"
    " FROM infusion_symptom JOIN infusion ON infusion.id = infusion_symptom.infusion_id"
    " WHERE infusion.voided_at IS NULL AND infusion_symptom.answer IN ('yes', 'no')"
)
EVENTS = (
    "SELECT adverse_event.id, infusion.voided_at AS infusion_voided_at, adverse_event.course_id,"
    " infusion.course_id AS infusion_course_id FROM adverse_event"
    " LEFT JOIN infusion ON infusion.id = adverse_event.infusion_id WHERE adverse_event.voided_at IS NULL"
)


def check_adverse_events(connection: Connection) -> list[CheckResult]:
    """Runs the checks over all infusions and adverse events that are in effect."""
    return [_check_answers(connection), _check_events(connection)]


def _check_answers(connection: Connection) -> CheckResult:
    """Finds a reported symptom that is described by no adverse event, and one that is although the answer is no."""
    rows = connection.execute(text(ANSWERS)).all()
    findings = [
        f"infusion {row.id}: {row.code} is {row.answer}, with {row.events} adverse events"
        for row in rows
        if (row.answer == "yes") != (row.events > 0)
    ]
    return CheckResult("symptom against its adverse events", len(rows), findings)


def _check_events(connection: Connection) -> CheckResult:
    """Finds an adverse event in effect whose infusion is voided, or is of another course."""
    rows = connection.execute(text(EVENTS)).all()
    findings: list[str] = []
    for row in rows:
        if row.infusion_voided_at is not None:
            findings.append(f"adverse event {row.id} is of an infusion that was voided")
        if row.infusion_course_id not in (None, row.course_id):
            findings.append(f"adverse event {row.id} is of an infusion of another course")
    return CheckResult("adverse event without its infusion", len(rows), findings)
