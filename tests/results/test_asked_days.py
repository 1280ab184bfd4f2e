"""The files say on which day a subject was asked, and tell "not asked" from "asked and not answered"."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.calling import call_attempts, unanswered
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import treated, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in

FIRST_ON = date(2026, 1, 12)  # five infusions, so the last one is day 5 and the visit after it opens on day 6
TREATED_AT = datetime(2026, 1, 16, 23, 0, tzinfo=UTC)
ASKED_AT = datetime(2026, 1, 18, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)

Asking = Callable[[Session, Visit], object]


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    clock.set(NOW)
    add_site(session)
    return treated(session, FIRST_ON, TREATED_AT)


def by_message(session: Session, visit: Visit) -> None:
    message = session.scalars(select(Message).where(Message.visit_id == visit.id)).all()[0]
    message.state, message.sent_at = MessageState.SENT, ASKED_AT


def in_a_call(session: Session, visit: Visit) -> None:
    _call(session, visit, "reached")


def in_vain(session: Session, visit: Visit) -> None:
    _call(session, visit, "voicemail")


def _call(session: Session, visit: Visit, outcome: str) -> None:
    reason = CallReason.ALL_REMINDERS_SENT
    call = Call(subject_id=visit.subject_id, visit_id=visit.id, reason=reason, opened_at=ASKED_AT)
    session.add(call)
    session.flush()
    call_attempts.record(session, COORDINATOR, call.id, CallAttemptFacts(outcome), now=ASKED_AT)


def in_the_clinic(session: Session, visit: Visit) -> None:
    links.issue(session, visit.id, now=ASKED_AT)


@pytest.mark.parametrize(
    ("asking", "day"), [(by_message, "7"), (in_a_call, "7"), (in_the_clinic, "7"), (in_vain, ""), (None, "")]
)
def test_the_day_asked_is_one_on_which_the_subject_was_asked(
    session: Session, subject: Subject, asking: Asking | None, day: str
) -> None:
    if asking is not None:
        asking(session, visit_of(session, subject, "last-infusion"))
    unanswered.record_missed(session, now=NOW)
    session.commit()
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, "long", out, Extent(NOW))
    rows = [row for row in csv.DictReader(io.StringIO(out.getvalue())) if row["VISITNUM"] == "2"]
    assert {(row["QSSTAT"], row["VISITDY"], row["ASKDY"]) for row in rows} == {("NOT DONE", "6", day)}


def test_the_ledger_of_a_patient_has_the_moment(client: FlaskClient, session: Session, subject: Subject) -> None:
    in_the_clinic(session, visit_of(session, subject, "last-infusion"))
    add_account(session, "coordinator", "north")
    session.commit()
    sign_in(client, "coordinator@clinic.example")
    page = client.get(f"/subjects/{subject.id}/ledger")
    assert "Asked without a message, first on Jan 18, 2026" in page.text
    file = client.get(f"/subjects/{subject.id}/ledger.csv").text
    asked = {row["VISIT"]: row["ASKED_AT"] for row in csv.DictReader(io.StringIO(file)) if row["VISIT"]}
    assert asked == {"baseline": "", "last-infusion": "2026-01-18T10:00:00-05:00", "3-months": "", "6-months": ""}
