"""On the patient's page and in the files "not asked", "asked, not answered" and "none reported" differ."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import unanswered
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent
from tests.conftest import Clock
from tests.support.course_builder import add_subject, record_infusions
from tests.support.history_builder import answer_visit, course_of
from tests.support.staff_browser import add_account, sign_in

MONDAY = date(2026, 3, 2)
CHECKLIST = "adverse-effects-infusion-day"
NONE: list[int | None] = [0] * 12
MILD_AND_SEVERE: list[int | None] = [1, 3, None, *[0] * 9]
OVER = datetime(2026, 3, 10, 15, tzinfo=UTC)  # every window of the infusion days

pytestmark = pytest.mark.usefixtures("shipped_protocols")


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    """Four infusion days: none reported, effects reported, asked and not answered, not asked."""
    course = course_of(session, add_subject(session, clock.now, planned_start_on=MONDAY))
    for number in range(4):
        clock.set(datetime(2026, 3, 2 + number, 18, tzinfo=UTC))
        record_infusions(session, course, clock.now, MONDAY + timedelta(days=number))
        if number:
            _answer(session, course, number, clock)
    clock.set(OVER)
    unanswered.record_missed(session, now=OVER)
    session.commit()
    return course


def _answer(session: Session, course: Course, number: int, clock: Clock) -> None:
    """The patient answers about the day before, or is only asked."""
    day = MONDAY + timedelta(days=number - 1)
    visit = session.scalars(select(Visit).where(Visit.course_id == course.id, Visit.infusion_day == number)).one()
    assert visit.anchor_on == day
    if number <= 2:
        answer_visit(session, visit, clock.now, {CHECKLIST: NONE if number == 1 else MILD_AND_SEVERE})
        return
    message = session.scalars(select(Message).where(Message.visit_id == visit.id)).all()[0]
    message.state, message.sent_at = MessageState.SENT, clock.now


def test_they_differ_on_the_page(client: FlaskClient, session: Session, course: Course) -> None:
    add_account(session, "clinician")
    session.commit()
    sign_in(client, "clinician@clinic.example")
    page = client.get(f"/subjects/{course.subject_id}").text
    section = page[page.index('id="effects"') : page.index('id="treatment"')]
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>\n(.*?)</tr>", section, re.DOTALL)]
    cells = [[cell.strip() for cell in row.split("|") if cell.strip()] for row in rows if "Infusion day" in row]
    assert cells == [
        ["Infusion day 1", "Mar 3, 2026", "None reported"],
        ["Infusion day 2", "Mar 4, 2026", "2 reported, 1 of them moderate or severe, 1 without an answer"],
        ["Infusion day 3", "Mar 5, 2026", "Asked, not answered"],
        ["Infusion day 4", "Not asked", "–"],
    ]


def test_they_differ_in_the_files(session: Session, course: Course) -> None:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, "long", out, Extent(OVER))
    found = {
        (row["VISITNUM"], row["VISIT"], row["QSTESTCD"], row["QSSTAT"], row["QSSTRESN"], row["ASKDY"])
        for row in csv.DictReader(io.StringIO(out.getvalue()))
        if row["QSCAT"] == CHECKLIST and row["QSTESTCD"] in ("AED2", "QSALL")
    }
    assert found == {
        ("6.01", "Infusion day 1", "AED2", "", "0", "2"),
        ("6.02", "Infusion day 2", "AED2", "", "3", "3"),
        ("6.03", "Infusion day 3", "QSALL", "NOT DONE", "", "4"),
        ("6.04", "Infusion day 4", "QSALL", "NOT DONE", "", ""),
    }
