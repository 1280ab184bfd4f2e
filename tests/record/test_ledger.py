"""The communication log of a subject: messages with their outcomes, calls, and changes with their authors."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.account import Account
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.record import ledger
from pro_tracker.services.treatment import course_plans, courses, infusion_corrections, pauses
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import CourseEndFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from pro_tracker.services.treatment.pauses import PauseEndFacts, PauseFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, infusion
from tests.support.patient_browser import answer, give_birth_date
from tests.support.sending_fixtures import SendingHarness, add_baseline, at, baseline
from tests.support.staff_browser import add_account, sign_in

CLINICIAN = "clinician@clinic.example"
LINK = re.compile(r"/v/[\w-]+")


@pytest.fixture
def address(session: Session, client: FlaskClient, course: Course) -> str:
    """Returns the path of the ledger; a clinician is signed in."""
    add_account(session, "clinician")
    session.commit()
    sign_in(client, CLINICIAN)
    return f"/subjects/{course.subject_id}/ledger"


def read(client: FlaskClient, address: str) -> str:
    """Returns the text of the page, with runs of white space as one space."""
    return " ".join(client.get(address).text.split())


def rows(client: FlaskClient, address: str) -> list[dict[str, str]]:
    """Returns the rows of the file other than changes."""
    return [row for row in file_rows(client, address) if row["RECORD"] != "change"]


def file_rows(client: FlaskClient, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(f"{address}.csv").text)))


def open_newest_link(post: SendingHarness, patient: FlaskClient) -> None:
    link = LINK.search(post.server.accepted[-1].text)
    assert link
    page = patient.get(link[0], follow_redirects=True)
    answer(patient, give_birth_date(patient, page), 2)


def test_the_ledger_says_when_the_first_message_will_be_sent(client: FlaskClient, address: str) -> None:
    page = read(client, address)
    assert "Not asked." in page
    assert "Mar 6, 2026, 9:00 AM" in page
    steps = [(row["KIND"], row["STEP"], row["PLANNED_FOR"], row["STATE"]) for row in rows(client, address)]
    assert steps == [
        ("reminder", "1", "2026-03-06T09:00", "planned"),
        ("reminder", "2", "2026-03-09T09:00", "planned"),
        ("reminder", "3", "2026-03-13T09:00", "planned"),
        ("reminder", "4", "2026-03-18T09:00", "planned"),
    ]


def test_a_message_can_be_followed_from_plan_to_answer(
    client: FlaskClient, another_client: Callable[[], FlaskClient], address: str, post: SendingHarness, clock: Clock
) -> None:
    clock.set(at(3, 6, 9, 1))
    assert post.sweep() == ["sent"]
    clock.set(at(3, 6, 12, 30))
    open_newest_link(post, another_client())
    sign_in(client, CLINICIAN)  # the session expired in the meantime
    assert "Asked once, on Mar 6, 2026, 9:01 AM." in read(client, address)
    first = rows(client, address)[0]
    assert first["CLAIMED_AT"] == first["ACCEPTED_AT"] == "2026-03-06T09:01:00-05:00"
    assert first["OPENED_AT"] == first["STARTED_AT"] == "2026-03-06T12:30:00-05:00"
    assert (first["STATE"], first["ATTEMPTS"], first["PROVIDER"], first["FINISHED_AT"]) == ("sent", "1", "smtp", "")


def test_a_link_that_a_mail_scanner_fetched_does_not_count_as_opened(
    client: FlaskClient, another_client: Callable[[], FlaskClient], address: str, post: SendingHarness
) -> None:
    post.sweep()
    link = LINK.search(post.server.accepted[-1].text)
    assert link
    another_client().get(link[0], follow_redirects=True)
    assert rows(client, address)[0]["OPENED_AT"] == ""


def test_the_ledger_says_why_a_message_was_not_sent(
    client: FlaskClient, address: str, session: Session, course: Course, post: SendingHarness, clock: Clock
) -> None:
    subject = session.get_one(Subject, course.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=clock.now)
    session.commit()
    assert {row["NOT_SENT_REASONS"] for row in rows(client, address)} == {"withdrawn"}
    page = read(client, address)
    assert "the patient withdrew" in page
    assert "moved away" not in page  # the free text of the reason stays on the subject page


def test_changes_name_who_made_them(client: FlaskClient, address: str, session: Session, course: Course) -> None:
    page = read(client, address)
    assert re.search(r"the operator \(command\)</td><td>Enrolled", page)


def test_page_and_file_say_what_each_change_was_about(
    client: FlaskClient, address: str, session: Session, course: Course, clock: Clock
) -> None:
    nurse = Actor(ActorKind.ACCOUNT, str(session.scalars(select(Account.id)).one()))
    start, number = date(2026, 3, 16), course.planned_infusions + 1
    course_plans.change_plan(session, nurse, course, CoursePlanFacts(start, number), now=clock.now)
    wrong = courses.record_infusion(session, nurse, course, infusion(date(2026, 3, 1)), now=clock.now)
    facts = infusion(date(2026, 3, 2))
    infusion_corrections.correct(session, nurse, wrong, InfusionCorrectionFacts(facts, "typed wrongly"), now=clock.now)
    page = read(client, address)
    assert "course 2; planned infusions 5 → 6; planned from Mar 20, 2026 → Mar 16, 2026" in page
    assert 'Infusion corrected</td><td class="wide">course 2; Mar 2, 2026; in place of Mar 1, 2026' in page
    changes = [row for row in file_rows(client, address) if row["RECORD"] == "change"]
    assert [row["CHANGE"] for row in changes[-3:]] == ["course.plan", "infusion.record", "infusion.correct"]
    assert {row["CHANGED_BY"] for row in changes[-3:]} == {"The clinician"}
    assert changes[-3]["CHANGED_AT"] == "2026-03-06T09:00:00-05:00"
    assert changes[-3]["ABOUT"] == "course=2; planned_infusions=5>6; planned_start_on=2026-03-20>2026-03-16"
    assert changes[-1]["ABOUT"] == "course=2; infusion_on=2026-03-02; infusion_on_before=2026-03-01"


def test_the_page_says_why_something_was_corrected_and_the_file_holds_no_free_text(
    client: FlaskClient, address: str, session: Session, course: Course, clock: Clock
) -> None:
    subject = session.get_one(Subject, course.subject_id)
    days = PauseFacts(date(2026, 3, 7), date(2026, 3, 9), "hospital stay")
    pause = pauses.begin(session, COORDINATOR, subject, days, now=clock.now)
    clock.advance(minutes=1)
    pauses.change_end(session, COORDINATOR, pause, PauseEndFacts(date(2026, 3, 8), "home early"), now=clock.now)
    wrong = courses.record_infusion(session, COORDINATOR, course, infusion(date(2026, 3, 1)), now=clock.now)
    infusion_corrections.remove(session, COORDINATOR, wrong, reason="another patient's", now=clock.now)
    courses.end_course(session, COORDINATOR, course, CourseEndFacts(date(2026, 3, 6), "tired of it"), now=clock.now)
    clock.advance(minutes=1)
    courses.reopen_course(session, COORDINATOR, course, reason="changed their mind", now=clock.now)
    page = read(client, address)
    assert 'Pause begun</td><td class="wide">from Mar 7, 2026; until Mar 9, 2026; hospital stay</td>' in page
    assert "until Mar 8, 2026; home early</td>" in page
    assert "course 2; Mar 1, 2026; another patient&#39;s</td>" in page
    assert 'Course opened again</td><td class="wide">course 2; changed their mind</td>' in page
    text = client.get(f"{address}.csv").text
    assert not [each for each in ("hospital", "early", "another", "their mind") if each in text]


def test_the_file_says_why_a_visit_was_not_answered(
    client: FlaskClient, address: str, session: Session, clock: Clock
) -> None:
    clock.set(at(3, 21, 9))
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    sign_in(client, CLINICIAN)
    assert {(row["DUE_AT"], row["NOT_ANSWERED"]) for row in rows(client, address)} == {
        ("2026-03-19T23:59:59-04:00", "no-reply")
    }


def test_staff_of_another_site_do_not_see_the_ledger(client: FlaskClient, session: Session, course: Course) -> None:
    add_account(session, "coordinator", "south", email="south@clinic.example")
    session.commit()
    sign_in(client, "south@clinic.example")
    assert client.get(f"/subjects/{course.subject_id}/ledger").status_code == 404
    assert client.get(f"/subjects/{course.subject_id}/ledger.csv").status_code == 404


def test_the_file_holds_no_identity(client: FlaskClient, address: str, session: Session, course: Course) -> None:
    text = client.get(f"{address}.csv").text
    subject = session.get_one(Subject, course.subject_id)
    named = (subject.identity.family_name, subject.identity.record_number, *(_addresses(session, subject)))
    assert subject.study_code in text
    assert not [each for each in named if each in text]


def test_a_long_history_takes_no_more_statements(session: Session, clock: Clock, post: SendingHarness) -> None:
    course = add_baseline(session, clock)
    subject = session.get_one(Subject, course.subject_id)
    short = _statements(session, subject)
    for day in (6, 9, 13):
        clock.set(at(3, day, 9))
        post.sweep()
    assert baseline(session, course).id
    assert _statements(session, session.get_one(Subject, course.subject_id)) == short


def _statements(session: Session, subject: Subject) -> int:
    session.refresh(subject)
    counted: list[str] = []
    engine = db.Session.kw["bind"]

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        counted.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    try:
        ledger.ledger(session, subject)
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return len(counted)


def _addresses(session: Session, subject: Subject) -> list[str]:
    return [contact.address for contact in session.query(Contact).where(Contact.subject_id == subject.id)]
