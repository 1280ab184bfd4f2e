"""The file of snoozes: each "not today" with its study days and reason, confirmed or not, undone or not."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.record import ledger, ledger_file
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent
from tests.conftest import Clock
from tests.support.course_builder import add_course, add_subject, visits_of

NOW = datetime(2026, 3, 10, 3, 0, tzinfo=UTC)  # on the evening of 9 March in New York


def put_off(session: Session, clock: Clock) -> Subject:
    """Adds a subject whose infusions begin on 20 March, who put the baseline off three times: one is undone."""
    clock.set(NOW)
    subject = add_subject(session, NOW)
    visit = visits_of(session, add_course(session, subject, NOW, date(2026, 3, 20)))["baseline"]
    session.add(Snooze(visit_id=visit.id, days=3, until_on=date(2026, 3, 12), requested_at=NOW))
    messages = [message for message in session.query(Message).order_by(Message.id) if message.visit_id == visit.id]
    for number, reason in enumerate((SnoozeReason.PAIN, SnoozeReason.NO_TIME)):
        session.add(
            Snooze(
                visit_id=visit.id,
                days=1,
                until_on=date(2026, 3, 14 + number),
                requested_at=NOW + timedelta(days=4 + number),
                reason=reason,
                message_id=messages[number].id,
                undone_at=NOW + timedelta(days=4) if number == 0 else None,
            )
        )
    session.commit()
    return subject


def rows(*names: str) -> list[tuple[str, ...]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, "snoozes", out, Extent(NOW))
    return [tuple(row[name] for name in names) for row in csv.DictReader(io.StringIO(out.getvalue()))]


def test_each_not_today_has_a_row_with_study_days_and_its_reason(session: Session, clock: Clock) -> None:
    subject = put_off(session, clock)
    columns = ("SNZSEQ", "VISIT", "SNZDY", "SNZENDY", "SNZREAS", "SNZCONF", "SNZUNDO")
    assert rows(*columns) == [
        ("1", "Baseline", "-11", "-8", "", "Y", "N"),
        ("2", "Baseline", "-7", "-6", "pain", "N", "Y"),
        ("3", "Baseline", "-6", "-5", "no-time", "N", "N"),
    ]
    assert rows("USUBJID", "VISITNUM")[0] == (subject.study_code, "1")
    subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope = NOW, "no use", WithdrawalScope.DATA
    session.commit()
    assert rows("SNZSEQ") == []


def test_the_ledger_file_lists_them_with_the_visit(session: Session, clock: Clock) -> None:
    subject = put_off(session, clock)
    out = io.StringIO(newline="")
    ledger_file.write(ledger.ledger(session, subject), out)
    found = {row["NOT_TODAY"] for row in csv.DictReader(io.StringIO(out.getvalue())) if row["VISIT"] == "baseline"}
    assert found == {"2026-03-12=confirmed; 2026-03-14=pain undone; 2026-03-15=no-time"}
