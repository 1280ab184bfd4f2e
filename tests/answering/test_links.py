"""Personal links: access, identity confirmation, locking, error pages with a next step, and fresh links."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from tests.conftest import Clock
from tests.support.patient_browser import (
    Patient,
    add_patient,
    begin,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    url,
)

WRONG = date(1975, 3, 28)
CLINIC_PHONE = "+1 216 555 0100"


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def fresh_links(session: Session) -> int:
    return session.scalar(select(func.count()).where(Message.kind == "fresh-link")) or 0


def test_a_token_has_128_random_bits_and_is_stored_only_as_a_hash(session: Session, patient: Patient) -> None:
    stored = session.scalars(select(Link.token_hash)).one()
    assert len(patient.token) == 22
    assert len(stored) == 32
    assert patient.token.encode() not in stored


def test_the_first_request_takes_the_token_out_of_the_address(client: FlaskClient, patient: Patient) -> None:
    page = client.get(f"/v/{patient.token}")
    assert (page.status_code, page.location) == (302, url(client, patient))
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert patient.token not in str(page.headers)


def test_opening_a_link_changes_no_row(client: FlaskClient, session: Session, patient: Patient) -> None:
    before = session.scalar(select(func.count()).select_from(AuditEvent))
    for _ in range(3):
        assert heading(open_link(client, patient)) == "Questions for you"
    assert session.scalar(select(func.count()).select_from(AuditEvent)) == before
    assert session.get_one(Visit, patient.visit.id).started_at is None


def test_the_start_page_shows_no_personal_data(client: FlaskClient, patient: Patient) -> None:
    page = open_link(client, patient)
    assert "Zoë" not in page.text
    assert "ketamine" not in page.text
    assert "call your local emergency number" in page.text


def test_the_right_birth_date_leads_to_the_first_question(client: FlaskClient, patient: Patient) -> None:
    page = begin(client, patient)
    assert place(page) == "item/1"


def test_no_question_is_shown_before_the_birth_date(client: FlaskClient, patient: Patient) -> None:
    open_link(client, patient)
    for path in ("item/1", "review"):
        assert get(client, patient, path).location == url(client, patient)


def test_both_outcomes_of_a_birth_date_are_audited_without_the_date(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    give_birth_date(client, give_birth_date(client, open_link(client, patient), WRONG))
    events = session.scalars(select(AuditEvent).where(AuditEvent.actor_kind == "patient").order_by(AuditEvent.id)).all()
    assert [event.action for event in events] == ["identity.refuse", "identity.confirm"]
    assert all("1975" not in event.detail for event in events)


def test_the_confirmation_lasts_four_hours(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    begin(client, patient)
    clock.advance(hours=3, minutes=59)
    assert get(client, patient, "item/1").status_code == 200
    clock.advance(minutes=2)
    assert get(client, patient, "item/1").location == url(client, patient)


def test_a_confirmation_does_not_carry_over_to_another_persons_link(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    other = add_patient(session, clock.now, record_number="MRN-2", email="other@patients.example", mobile="")
    begin(client, patient)
    assert heading(open_link(client, other)) == "Questions for you"
    assert get(client, other, "item/1").location == url(client, other)


def test_an_unknown_link_shows_the_clinics_phones(client: FlaskClient, patient: Patient) -> None:
    page = client.get(f"/v/{patient.token[:-1]}")
    assert page.status_code == 410
    assert heading(page) == "This link does not work"
    assert CLINIC_PHONE in page.text


def test_without_a_link_the_page_says_to_open_it_again(client: FlaskClient, patient: Patient) -> None:
    page = get(client, patient, "")
    assert page.status_code == 410
    assert "open the link in our message again" in page.text


def test_a_revoked_link_offers_a_fresh_one(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    links.revoke(session, Actor(ActorKind.ACCOUNT, "1"), patient.visit.id, now=clock.now)
    page = open_link(client, patient)
    assert page.status_code == 410
    assert "Send me a new link" in page.text
    assert CLINIC_PHONE in page.text


def test_a_closed_window_says_when_it_closed_and_whom_to_call(
    client: FlaskClient, patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at)
    page = open_link(client, patient)
    assert page.status_code == 410
    assert heading(page) == "The time for these questions is over"
    assert "March 11, 2026" in page.text
    assert CLINIC_PHONE in page.text


def test_a_visit_that_is_not_open_yet_says_from_when(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    clock.set(patient.visit.opens_at - timedelta(seconds=1))
    page = open_link(client, patient)
    assert heading(page) == "Not open yet"
    assert "March 1, 2026" in page.text


def test_the_link_of_a_void_visit_says_that_no_answers_are_needed(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    patient.visit.voided_at, patient.visit.void_reason = clock.now, UnansweredReason.WITHDRAWN
    session.commit()
    assert "You do not need to answer these questions anymore. Thank you." in open_link(client, patient).text


def ask_fresh_link(client: FlaskClient, patient: Patient) -> str:
    page = open_link(client, patient)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = client.post(url(client, patient, "fresh-link"), data={"csrf_token": token}, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text.replace(token, "")


def test_a_fresh_link_goes_to_the_preferred_contact_at_once(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    ask_fresh_link(client, patient)
    message = session.scalars(select(Message)).one()
    assert (message.visit_id, message.kind, message.channel) == (patient.visit.id, "fresh-link", "email")
    assert (message.send_at, message.state) == (clock.now, "planned")


def test_a_fresh_link_goes_to_the_other_contact_when_the_preferred_one_bounced(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    session.scalars(select(Contact).where(Contact.channel == "email")).one().state = ContactState.BOUNCED
    ask_fresh_link(client, patient)
    assert session.scalars(select(Message.channel)).all() == ["sms"]


def test_asking_for_a_fresh_link_looks_the_same_without_a_contact(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient, clock: Clock
) -> None:
    unreachable = add_patient(session, clock.now, record_number="MRN-2", email="", mobile="")
    theirs, ours = ask_fresh_link(another_client(), unreachable), ask_fresh_link(client, patient)
    theirs = theirs.replace(url(client, unreachable), url(client, patient))
    assert theirs.replace("· 02<", "· 01<") == ours  # apart from the label and the address of each
    assert fresh_links(session) == 1


def test_a_fourth_fresh_link_in_a_day_is_not_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answers = {ask_fresh_link(client, patient) for _ in range(4)}
    assert len(answers) == 1
    assert fresh_links(session) == 3
    clock.advance(days=1, seconds=1)
    ask_fresh_link(client, patient)
    assert fresh_links(session) == 4


def test_a_fresh_link_asked_on_a_closed_visit_leads_to_the_one_open_now(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at)
    ask_fresh_link(client, patient)
    assert fresh_links(session) == 0
    later = Visit(
        course_id=patient.visit.course_id,
        protocol_code=patient.visit.protocol_code,
        protocol_version=patient.visit.protocol_version,
        subject_id=patient.visit.subject_id,
        event_code="3-months",
        visit_number=3,
        anchor_on=clock.now.date(),
        opens_at=clock.now,
        due_at=clock.now,
        closes_at=clock.now + timedelta(days=30),
        planned_at=clock.now,
    )
    session.add(later)
    ask_fresh_link(client, patient)
    assert session.scalars(select(Message.visit_id)).all() == [later.id]


def test_the_token_is_in_no_page_and_no_log(
    client: FlaskClient, patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    page = begin(client, patient)
    assert patient.token not in page.text
    assert patient.token not in caplog.text


def test_a_browser_without_cookies_is_advised_what_to_do(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now)
    page = another_client().get(url(client, patient))  # where the link leads, without the cookie that it sets
    assert page.status_code == 410
    assert "your browser may block cookies" in page.text
    assert "your browser may block cookies" not in client.get("/v/unknown").text
