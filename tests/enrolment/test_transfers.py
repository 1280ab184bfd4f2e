"""Transfers: another clinic works with the patient from then on, and courses count where they were begun."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.services.enrolment import transfers
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseFacts
from pro_tracker.web.access import Access
from tests.conftest import Clock
from tests.servers.smtp import SmtpServer
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import COORDINATOR, add_course, add_subject
from tests.support.every_route import Route, routes
from tests.support.history_builder import answer_visit, course_of, treated, visit_of
from tests.support.sending_fixtures import add_baseline, sending
from tests.support.staff_browser import add_account, add_site, confirm, csrf_token, save, sign_in, submit

OF_SUBJECT = {"subject_id", "visit_id", "call_id", "pause_id", "infusion_id", "study_code", "late_id"}
REASON = "moved to another town"
Browsers = Callable[[], FlaskClient]


@pytest.fixture(autouse=True)
def _clinics(session: Session) -> None:
    add_site(session, "north").phone = "+1 216 555 0111"
    add_site(session, "south").phone = "+1 216 555 0222"
    session.commit()


def staff(browser: FlaskClient, session: Session, *sites: str, role: str = "coordinator") -> FlaskClient:
    """Signs in an account of these sites."""
    sign_in(browser, add_account(session, role, *sites, email=f"{role}.{'.'.join(sites)}@clinic.example"))
    return browser


@pytest.fixture
def north(another_client: Browsers, session: Session) -> FlaskClient:
    return staff(another_client(), session, "north")


@pytest.fixture
def south(another_client: Browsers, session: Session) -> FlaskClient:
    return staff(another_client(), session, "south")


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A patient of North with five infusions and an answered baseline."""
    found = treated(session, date(2026, 2, 25), clock.now, family_name="Geheim", record_number="MRN-secret")
    answer_visit(session, visit_of(session, found, "baseline"), clock.now - timedelta(days=6), {})
    session.commit()
    return found


def page_of(subject: Subject) -> str:
    return f"/subjects/{subject.id}/transfer"


def form(on: date, *, site: str = "south", reason: str = REASON) -> dict[str, str]:
    parts = {f"transferred_on-{part}": str(getattr(on, part)) for part in ("day", "month", "year")}
    return {**parts, "site_code": site, "reason": reason}


def send(browser: FlaskClient, subject: Subject, on: date, **changes: str) -> TestResponse:
    return save(browser, page_of(subject), form(on, **changes))


def transfer(session: Session, subject: Subject, clock: Clock, site: str = "south") -> None:
    transfers.transfer(session, COORDINATOR, subject, TransferFacts(site, clock.now.date(), REASON), now=clock.now)
    session.commit()


def test_a_transfer_is_previewed_saved_and_audited_and_the_study_code_stays(
    session: Session, clock: Clock, north: FlaskClient, subject: Subject
) -> None:
    preview = submit(north, page_of(subject), form(clock.now.date()))
    assert "Nothing is saved yet" in preview.text
    for words in ("North Clinic", "South Clinic", "+1 216 555 0111", "+1 216 555 0222", "stay as they are"):
        assert words in preview.text
    assert session.scalars(select(Transfer)).all() == []

    saved = confirm(north, preview)

    assert (saved.status_code, saved.location) == (303, f"/transferred/{subject.id}")
    assert (subject.site.code, course_of(session, subject).site.code) == ("south", "north")
    assert subject.study_code.startswith("north-")
    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.transfer")).all()
    assert event.subject_id == subject.id
    assert "2026-03-02" in event.detail
    assert REASON not in event.detail


def test_the_new_clinic_sees_the_patient_and_why_and_can_transfer_back(
    session: Session, clock: Clock, north: FlaskClient, south: FlaskClient, subject: Subject
) -> None:
    assert south.get(f"/subjects/{subject.id}").status_code == 404
    send(north, subject, clock.now.date())

    page = south.get(f"/subjects/{subject.id}").text
    assert "from North Clinic to South Clinic" in page
    assert "begun at North Clinic" in page
    ledger = south.get(f"/subjects/{subject.id}/ledger").text
    assert "Transferred to another clinic" in ledger
    assert "north → south" in ledger
    assert REASON in ledger

    back = send(south, subject, clock.now.date(), site="north")
    assert back.status_code == 303
    assert north.get(f"/subjects/{subject.id}").status_code == 200
    assert south.get(f"/subjects/{subject.id}").status_code == 404
    assert north.get(f"/transferred/{subject.id}").status_code == 404


def test_an_account_of_both_clinics_stays_on_the_patients_page(
    session: Session, clock: Clock, another_client: Browsers, subject: Subject
) -> None:
    both = staff(another_client(), session, "north", "south")
    assert send(both, subject, clock.now.date()).location == f"/subjects/{subject.id}"
    assert "Transferred to another clinic:" not in both.get("/subjects").text


@pytest.mark.parametrize(
    ("days", "changes", "message"),
    [
        (1, {}, "This day lies in the future."),
        (-30, {}, "The patient was enrolled after this day."),
        (0, {"site": "north"}, "Choose the clinic that the patient goes to."),
        (0, {"site": "east"}, "Choose the clinic that the patient goes to."),
        (0, {"reason": " "}, "Say why the patient goes to another clinic."),
    ],
)
def test_a_wrong_entry_gets_a_message_and_changes_nothing(
    clock: Clock, north: FlaskClient, subject: Subject, days: int, changes: dict[str, str], message: str
) -> None:
    page = send(north, subject, clock.now.date() + timedelta(days=days), **changes)

    assert (page.status_code, message in page.text) == (422, True)
    assert subject.site.code == "north"


def test_a_transfer_is_not_dated_before_the_last_one(
    session: Session, clock: Clock, south: FlaskClient, subject: Subject
) -> None:
    transfer(session, subject, clock)
    page = send(south, subject, clock.now.date() - timedelta(days=1), site="north")
    assert "The last transfer was after this day." in page.text


def test_a_colleague_who_transferred_first_is_named_to_the_second(
    session: Session, clock: Clock, another_client: Browsers, subject: Subject
) -> None:
    add_site(session, "west")
    both = staff(another_client(), session, "north", "south", "west")
    shown = {**shown_form(both.get(page_of(subject))), **form(clock.now.date(), site="west")}
    transfer(session, subject, clock)

    page = submit(both, page_of(subject), shown)

    assert page.status_code == 422
    assert "Recorded now: clinic: South Clinic" in page.text
    assert subject.site.code == "south"


@pytest.mark.dialects("postgresql")
def test_of_two_transfers_at_once_the_second_starts_where_the_first_one_went(
    session: Session, clock: Clock, subject: Subject
) -> None:
    add_site(session, "west")
    session.commit()
    subject_id, both_have_read = subject.id, Barrier(2)

    def go(site: str) -> None:
        with db.Session() as own:
            found = own.get_one(Subject, subject_id)
            both_have_read.wait(10)
            facts = TransferFacts(site, clock.now.date(), REASON)
            transfers.transfer(own, COORDINATOR, found, facts, now=clock.now)
            own.commit()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go, ("south", "west")))

    session.expire_all()
    first, second = transfers.of_subject(session, subject_id)
    assert first.from_site.code == "north"
    assert second.from_site is first.to_site
    assert subject.site is second.to_site


def test_messages_after_the_transfer_name_the_new_clinic_and_its_telephone(
    session: Session, clock: Clock, smtp_server: SmtpServer, north: FlaskClient
) -> None:
    with sending(session, clock, smtp_server) as post:
        course = add_baseline(session, clock)
        found = session.get_one(Subject, course.subject_id)
        transfer(session, found, clock)
        post.sweep()
        (mail,) = smtp_server.accepted
        assert "South Clinic" in mail.text
        assert "+1 216 555 0222" in mail.text
        assert "North Clinic" not in mail.text


def test_open_calls_go_to_the_new_clinic_and_are_nobodys_any_more(
    session: Session, clock: Clock, north: FlaskClient, south: FlaskClient, subject: Subject
) -> None:
    visit = visit_of(session, subject, "last-infusion")
    call = Call(subject_id=subject.id, visit_id=visit.id, reason="no-contact", opened_at=clock.now)
    session.add(call)
    session.flush()
    submit(north, f"/calls/{call.id}/claim", {}, page=f"/calls/{call.id}")
    assert call.caller_id is not None

    preview = submit(north, page_of(subject), form(clock.now.date()))
    assert "One open call goes to the call list of South Clinic." in preview.text
    confirm(north, preview)

    session.refresh(call)
    claim = [call.caller_id, call.calling_until]
    assert claim == [None, None]
    assert "Geheim" in south.get("/calls").text
    assert "Geheim" not in north.get("/calls").text


def test_a_new_course_at_the_new_clinic_is_counted_there(session: Session, clock: Clock, subject: Subject) -> None:
    transfer(session, subject, clock)
    second = add_course(session, subject, clock.now, date(2026, 6, 1))
    assert second.site.code == "south"
    assert [course.site.code for course in session.scalars(select(Course).order_by(Course.number))] == [
        "north",
        "south",
    ]


def test_the_former_clinic_reads_its_own_courses_and_no_name_contact_or_later_course(
    session: Session, clock: Clock, north: FlaskClient, subject: Subject
) -> None:
    transfer(session, subject, clock)
    add_course(session, subject, clock.now, date(2026, 6, 1))
    session.commit()

    assert "Transferred to another clinic: 1" in north.get("/subjects").text
    listed = north.get("/transferred").text
    assert subject.study_code in listed
    page = north.get(f"/transferred/{subject.id}").text
    for words in ("South Clinic", "Feb 25, 2026", "5 of 5 planned infusions given", "Pain interference", "baseline"):
        assert words in page, words
    for secret in ("Zoë", "Geheim", "MRN-secret", "patients.example", "5550123", "Course 2", "Jun 1"):
        assert secret not in page + listed, secret
    assert "<form" not in page.partition("<main")[2]


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("role", ["coordinator", "clinician"])
def test_every_other_route_about_the_patient_is_a_404_for_the_former_clinic(
    app: Flask, another_client: Browsers, session: Session, clock: Clock, subject: Subject, role: str
) -> None:
    browser = staff(another_client(), session, "north", role=role)
    found = routes(app, _rows(session, subject, clock))
    transfer(session, subject, clock)
    token = csrf_token(browser, "/subjects")

    answers = {
        f"{route.method} {route.rule}": _request(browser, route, token).status_code
        for route in found
        if _may_use(app, route, role) and route.rule.arguments & OF_SUBJECT
    }

    readable = answers.pop("GET /transferred/<uuid:subject_id>")
    assert readable == 200
    assert len(answers) > (30 if role == "coordinator" else 5)
    assert {path: status for path, status in answers.items() if status != 404} == {}


@pytest.mark.dialects("sqlite")
def test_no_list_shows_the_patient_to_the_former_clinic(
    app: Flask, north: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    found = routes(app, _rows(session, subject, clock))
    transfer(session, subject, clock)
    pages = [each for each in found if each.method == "GET" and not each.rule.arguments]
    lists = [each for each in pages if _may_use(app, each, "coordinator")]
    query = {"patient": subject.study_code}  # as FHIR asks for a patient
    shown = {str(each.rule): north.get(each.path({}), query_string=query).text for each in lists}

    assert len(shown) > 5
    naming = {path for path, text in shown.items() if "Geheim" in text or subject.study_code in text}
    assert naming == {"/transferred"}
    search = submit(north, "/subjects", {"search": "MRN-secret"}).text
    assert "Geheim" not in search


@pytest.mark.parametrize("role", ["researcher", "administrator"])
def test_other_roles_of_the_former_clinic_read_nothing_of_the_patient(
    another_client: Browsers, session: Session, clock: Clock, subject: Subject, role: str
) -> None:
    browser = staff(another_client(), session, "north", role=role)
    transfer(session, subject, clock)
    assert browser.get(f"/transferred/{subject.id}").status_code == 403


def test_a_third_clinic_and_a_patient_who_never_left_are_404(
    another_client: Browsers, session: Session, clock: Clock, north: FlaskClient, subject: Subject
) -> None:
    other = staff(another_client(), session, "west")
    stayed = add_subject(session, clock.now)
    transfer(session, subject, clock)
    assert other.get(f"/transferred/{subject.id}").status_code == 404
    assert north.get(f"/transferred/{stayed.id}").status_code == 404


def test_the_first_clinic_does_not_learn_where_the_second_one_sends_the_patient(
    session: Session, clock: Clock, north: FlaskClient, subject: Subject
) -> None:
    add_site(session, "west")
    transfer(session, subject, clock)
    transfer(session, subject, clock, "west")
    page = north.get(f"/transferred/{subject.id}").text
    assert "South Clinic" in page
    assert "West Clinic" not in page


def _rows(session: Session, subject: Subject, clock: Clock) -> dict[str, str]:
    """Returns, by name, what the parts of URLs stand for, all of it about one subject."""
    course = course_of(session, subject)
    infusion = session.scalars(select(Infusion.id).where(Infusion.course_id == course.id)).first()
    visit = visit_of(session, subject, "last-infusion")
    call = Call(subject_id=subject.id, visit_id=visit.id, reason="no-contact", opened_at=clock.now)
    session.add(call)
    facts = PauseFacts(clock.now.date(), None, "hospital")
    pause = pauses.begin(session, COORDINATOR, subject, facts, now=clock.now)
    session.commit()
    ids = {"subject_id": subject.id, "call_id": call.id, "pause_id": pause.id, "infusion_id": infusion}
    names = {"study_code": subject.study_code, "code": "pcs", "kind": "long", "channel": "email", "_page": "x"}
    more = {
        "late_id": "1",
        "merge_id": "1",
        "event_id": "1",
        "missed_id": "1",
        "treatment_id": "1",
        "test_id": "1",
        "goal_id": "1",
        "rating_id": "1",
        "decision_id": "1",
        "text_id": "1",
        "contact_id": "1",
        "position": "1",
        "tag": "0123456789ab",
        "questionnaire_id": "pcs-1.0-en",
    }
    account = {"account_id": "1", "token": "x", "visit": "x", "filename": "x", "visit_id": visit.id}
    return {**{name: str(value) for name, value in (ids | account).items()}, **names, **more}


def _may_use(app: Flask, route: Route, role: str) -> bool:
    declared: Access = vars(app.view_functions[route.rule.endpoint])["access"]
    return declared.kind == "staff" and Role(role) in declared.roles


def _request(browser: FlaskClient, route: Route, token: str) -> TestResponse:
    path = route.path({})
    return browser.get(path) if route.method == "GET" else browser.post(path, data={"csrf_token": token})
