"""Unconfirmed snoozes: two taps from a message without the birth date, what they move, and what limits the harm."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallOutcome
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.answering import links, quick_snoozes, visit_context
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import (
    BIRTH_DATE,
    HIDDEN,
    Patient,
    add_patient,
    answer_all,
    begin,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post as send_form,
    url,
)
from tests.support.sending_fixtures import SendingHarness

LINK_IN_MAIL = re.compile(r"/v/([\w-]{22})\n")
REASONS = re.compile(r'<button[^>]* name="reason" value="([^"]+)">')
UNDO = "Undo: write to me as planned"
TOMORROW = date(2026, 3, 3)
ON_TOMORROW = "on March 3, 2026"


@pytest.fixture
def patient(session: Session, clock: Clock, post: SendingHarness) -> Patient:
    """A visit that is open from Monday 2 March, at ten in New York, until 11 March, with the link of its first mail."""
    patient = add_patient(session, clock.now)
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    session.commit()
    assert post.sweep() == ["sent"]
    return with_newest_link(session, patient, post)


def with_newest_link(session: Session, patient: Patient, post: SendingHarness) -> Patient:
    """Returns the patient with the link of the mail that was sent last."""
    found = LINK_IN_MAIL.search(post.server.accepted[-1].text)
    assert found
    return replace(patient, token=found[1], link_id=links.find(session, found[1]))


def from_message(client: FlaskClient, patient: Patient) -> TestResponse:
    """Opens the link of its own in the message."""
    return client.get(f"/v/{patient.token}/later", follow_redirects=True)


def tap(client: FlaskClient, page: TestResponse, reason: str = "tired") -> TestResponse:
    assert reason in REASONS.findall(page.text)
    return send_form(client, page, {"reason": reason})


def undo(client: FlaskClient, patient: Patient, page: TestResponse) -> TestResponse:
    hidden = dict(HIDDEN.findall(page.text))
    return client.post(url(client, patient, "not-today/undo"), data=hidden, follow_redirects=True)


def kept(session: Session) -> list[tuple[str | None, date, bool]]:
    """Returns reason, day, and whether it was undone, of each snooze."""
    session.rollback()
    rows = session.scalars(select(Snooze).order_by(Snooze.id))
    return [(row.reason, row.until_on, row.undone_at is not None) for row in rows]


def waiting(session: Session) -> list[tuple[str, date]]:
    """Returns kind and local date of the planned messages, by time."""
    session.rollback()
    rows = session.scalars(select(Message).where(Message.state == "planned").order_by(Message.send_at))
    return [(row.kind, row.local_on) for row in rows]


def test_two_taps_from_the_message_postpone_to_tomorrow_with_a_reason(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, post: SendingHarness
) -> None:
    page = from_message(client, patient)
    assert heading(page) == "Why not today?"
    assert REASONS.findall(page.text) == ["pain", "tired", "no-time", "other"]
    done = tap(client, page, "pain")
    assert (place(done), heading(done)) == ("not-today", "We will come back")
    assert ON_TOMORROW in done.text
    assert kept(session) == [("pain", TOMORROW, False)]
    clock.advance(hours=20)
    assert post.sweep() == []
    clock.set(datetime(2026, 3, 3, 14, 0, tzinfo=UTC))  # nine o'clock in New York
    assert post.sweep() == ["sent"]
    assert "You asked us to come back." in post.server.accepted[-1].text


def test_the_first_page_of_the_visit_offers_it(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = open_link(client, patient)
    assert f'href="{url(client, patient, "not-today")}"' in page.text
    tap(client, get(client, patient, "not-today"))
    assert kept(session) == [("tired", TOMORROW, False)]


def test_only_messages_before_that_day_move(client: FlaskClient, session: Session, patient: Patient) -> None:
    before = waiting(session)
    tap(client, from_message(client, patient))
    assert waiting(session) == [("snooze", TOMORROW), *(each for each in before if each[1] > TOMORROW)]


def test_it_is_stored_as_unconfirmed_with_message_and_moment_and_audited(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    tap(client, from_message(client, patient), "no-time")
    row = session.scalars(select(Snooze)).one()
    message = session.scalars(select(Message).where(Message.id == row.message_id)).one()
    assert (row.is_confirmed, row.requested_at, message.state) == (False, clock.now, "sent")
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "visit.snooze-unconfirmed")).one()
    assert (event.actor_kind, event.actor_id) == ("patient", str(patient.link_id))
    assert event.detail == f'{{"days":1,"reason":"no-time","visit":{patient.visit.id}}}'


@pytest.mark.parametrize("sent", [{}, {"reason": ""}, {"reason": "x"}])
def test_without_a_reason_nothing_changes_and_the_page_says_what_to_do(
    client: FlaskClient, session: Session, patient: Patient, sent: dict[str, str]
) -> None:
    page = send_form(client, from_message(client, patient), sent)
    assert page.status_code == 422
    assert "Nothing was changed yet. Tap one of the reasons, please." in page.text
    assert kept(session) == []


def test_fetching_any_address_changes_nothing_and_a_form_of_another_site_is_refused(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    from_message(client, patient)
    for path in ("not-today", "not-today?reason=tired"):
        assert get(client, patient, path).status_code == 200
    assert client.post(url(client, patient, "not-today"), data={"reason": "tired"}).status_code == 400
    assert kept(session) == []


def test_a_scanner_that_presses_each_button_once_leaves_the_plan_as_it_was(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    before = waiting(session)
    page = from_message(client, patient)
    for reason in SnoozeReason:
        done = send_form(client, page, {"reason": reason})
    undo(client, patient, done)
    assert kept(session) == [("pain", TOMORROW, True)]
    assert waiting(session) == before


def test_it_can_be_undone_once_on_the_page_that_confirms_it(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    before = waiting(session)
    page = from_message(client, patient)
    done = tap(client, page)
    assert UNDO in done.text
    undone = undo(client, patient, done)
    assert "You took back “not today”. We will write to you as planned." in undone.text
    assert waiting(session) == before
    again = send_form(client, page, {"reason": "pain"})
    assert REASONS.findall(again.text) == []
    assert kept(session) == [("tired", TOMORROW, True)], "once for each message"


def test_it_cannot_be_undone_after_its_message_was_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, post: SendingHarness
) -> None:
    done = tap(client, from_message(client, patient))
    clock.set(datetime(2026, 3, 3, 14, 0, tzinfo=UTC))
    assert post.sweep() == ["sent"]
    assert UNDO not in undo(client, patient, done).text
    assert kept(session) == [("tired", TOMORROW, False)]


def test_each_message_can_be_postponed_once_and_a_visit_three_times(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, post: SendingHarness
) -> None:
    for day in (3, 4, 5):
        tap(client, from_message(client, patient))
        clock.set(datetime(2026, 3, day, 14, 0, tzinfo=UTC))
        assert post.sweep() == ["sent"]
        assert REASONS.findall(from_message(client, patient).text) == [], "with the link of the earlier message"
        patient = with_newest_link(session, patient, post)
    page = from_message(client, patient)
    assert (heading(page), REASONS.findall(page.text)) == ("The questions stay open", [])
    assert len(kept(session)) == 3
    assert "Choose the day yourself" in page.text, "a confirmed person may still choose"


def test_a_confirmed_choice_stays_and_shows_no_undo(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = client.get(url(client, patient), query_string={"later": "yes"})
    assert page.status_code == 410, "without the cookie of the link"
    from_message(client, patient)
    page = client.get(url(client, patient), query_string={"later": "yes"})
    page = give_birth_date(client, page)
    assert place(page) == "snooze"
    send_form(client, page, {"until_on": "2026-03-05"})
    seen = send_form(client, from_message(client, patient), {"reason": "tired"})
    assert "on March 5, 2026" in seen.text
    assert UNDO not in seen.text
    undo(client, patient, seen)
    assert kept(session) == [(None, date(2026, 3, 5), False)]


def test_a_confirmed_choice_replaces_an_unconfirmed_one(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    tap(client, from_message(client, patient))
    begin(client, patient)
    send_form(client, get(client, patient, "snooze"), {"until_on": "2026-03-05"})
    assert [day for kind, day in waiting(session) if kind == "snooze"] == [date(2026, 3, 5)]


def test_a_second_device_sees_the_first_tap(
    client: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient
) -> None:
    tap(client, from_message(client, patient))
    page = from_message(another_client(), patient)
    assert (heading(page), ON_TOMORROW in page.text) == ("We will come back", True)


def test_the_link_still_opens_the_questions(client: FlaskClient, patient: Patient) -> None:
    tap(client, from_message(client, patient))
    assert place(begin(client, patient)) == "item/1"


@pytest.mark.parametrize(
    ("why", "status"), [("answered", 409), ("over", 410), ("replaced", 410), ("died", 410), ("held", 403)]
)
def test_where_the_questions_cannot_be_answered_nothing_is_postponed(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, why: str, status: int
) -> None:
    page = from_message(client, patient)
    subject = session.get_one(Subject, patient.visit.subject_id)
    if why == "answered":
        send_form(client, answer_all(client, patient), {})
    elif why == "over":
        clock.set(patient.visit.closes_at)
    elif why == "replaced":
        links.revoke(session, Actor(ActorKind.COMMAND, "test"), patient.visit.id, now=clock.now)
    elif why == "died":
        unknown = DeathFacts(None, DeathDatePrecision.UNKNOWN, "letter")
        deaths.record(session, COORDINATOR, subject, unknown, now=clock.now)
    else:
        subject.held_from, subject.held_until = clock.now, clock.now + timedelta(hours=12)
    session.commit()
    assert send_form(client, page, {"reason": "tired"}).status_code == status
    assert from_message(client, patient).status_code == status
    assert kept(session) == []


@pytest.mark.parametrize("why", ["last day", "no address", "refused by telephone"])
def test_where_no_message_could_be_sent_the_page_says_that_nothing_needs_doing(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, why: str
) -> None:
    page = from_message(client, patient)
    if why == "last day":
        clock.set(patient.visit.closes_at - timedelta(minutes=5))
    elif why == "no address":
        for contact in session.scalars(select(Contact)):
            contact.state = ContactState.STOPPED
    else:
        call = Call(subject_id=patient.visit.subject_id, visit_id=patient.visit.id, reason="no-contact")
        call.opened_at = call.closed_at = clock.now
        call.outcome = CallOutcome.REFUSED
        session.add(call)
    seen = send_form(client, page, {"reason": "tired"})
    assert heading(seen) == "The questions stay open"
    assert "You do not need to do anything." in seen.text
    assert kept(session) == []


def test_a_link_that_came_with_no_message_asks_for_the_birth_date(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    token = links.issue(session, patient.visit.id, now=clock.now)
    page = open_link(client, replace(patient, token=token))
    assert f'href="{url(client, patient)}?later=yes"' in page.text
    assert REASONS.findall(from_message(client, replace(patient, token=token)).text) == []
    page = give_birth_date(client, client.get(url(client, patient), query_string={"later": "yes"}), BIRTH_DATE)
    assert place(page) == "snooze"


def test_the_pages_speak_spanish(client: FlaskClient, session: Session, clock: Clock, post: SendingHarness) -> None:
    patient = add_patient(session, clock.now, language="es")
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    session.commit()
    assert post.sweep() == ["sent"]
    patient = with_newest_link(session, patient, post)
    page = from_message(client, patient)
    assert heading(page) == "¿Por qué hoy no?"
    assert "Demasiado cansancio" in page.text
    assert "Volveremos a escribirle el 3 de marzo de 2026" in tap(client, page).text


@pytest.mark.dialects("postgresql")
def test_two_devices_at_the_same_moment_leave_one_snooze(session: Session, patient: Patient, clock: Clock) -> None:
    def tap_too() -> None:
        with db.Session() as another:
            context = visit_context.by_link(another, patient.link_id)
            quick_snoozes.snooze(another, context, SnoozeReason.OTHER, now=clock.now)
            another.commit()

    context = visit_context.by_link(session, patient.link_id)
    quick_snoozes.snooze(session, context, SnoozeReason.TIRED, now=clock.now)
    second = Thread(target=tap_too)
    second.start()
    second.join(0.3)
    assert second.is_alive(), "it waits for the first"
    session.commit()
    second.join(10)
    assert kept(session) == [("tired", TOMORROW, False)]
