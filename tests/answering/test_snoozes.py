"""Snoozes ("not today"): when one is offered, its effect on messages, and that mail scanners cannot cause one."""

import re
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.interruption import Pause, Snooze
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import snoozes, visit_context
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.patient_browser import (
    BIRTH_DATE,
    HIDDEN,
    Patient,
    add_patient,
    begin,
    get,
    heading,
    open_link,
    place,
    post as send_form,
    url,
)
from tests.support.sending_fixtures import SendingHarness

BIRTH_PARTS = {"day": BIRTH_DATE.day, "month": BIRTH_DATE.month, "year": BIRTH_DATE.year}
LATER = {**{f"birth_date-{part}": str(value) for part, value in BIRTH_PARTS.items()}, "later": "yes"}
OFFER = "?later=yes"
WAIT = "Not today?"
TOMORROW, IN_THREE_DAYS = date(2026, 3, 3), date(2026, 3, 5)


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    """A visit that is open from Monday 2 March, at ten in the morning in New York, until 11 March."""
    patient = add_patient(session, clock.now)
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    session.commit()
    return patient


def not_today(client: FlaskClient, patient: Patient) -> TestResponse:
    """Submits the start page with the birth date. Returns the page that asks for the day."""
    return send_form(client, open_link(client, patient), LATER)


def choose(client: FlaskClient, patient: Patient, days: int) -> TestResponse:
    page = not_today(client, patient)
    return send_form(client, page, {"until_on": days_offered(page)[0 if days == 1 else -1]})


def days_offered(page: TestResponse) -> list[str]:
    return re.findall(r'name="until_on" type="radio" value="([^"]*)"', page.text)


def kept(session: Session) -> list[tuple[int, date]]:
    session.rollback()
    return [(row.days, row.until_on) for row in session.scalars(select(Snooze).order_by(Snooze.id))]


def waiting(session: Session) -> list[tuple[str, str, date]]:
    """Returns kind, template and local date of the planned messages, by time."""
    session.rollback()
    rows = session.scalars(select(Message).where(Message.state == "planned").order_by(Message.send_at))
    return [(row.kind, row.template, row.local_on) for row in rows]


def test_the_patient_chooses_a_day_and_sees_the_date_of_the_next_message(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = not_today(client, patient)
    assert "When should we ask you again?" in heading(page)
    assert "Tomorrow, Tuesday, March 3, 2026" in page.text
    assert "In 3 days, Thursday, March 5, 2026" in page.text
    done = send_form(client, page, {"until_on": "2026-03-05"})
    assert (place(done), heading(done)) == ("snoozed", "We will come back")
    assert "on March 5, 2026, and not before" in done.text
    assert "you can answer until March 11, 2026" in done.text
    assert kept(session) == [(3, IN_THREE_DAYS)]


def test_no_message_is_sent_before_that_day_and_the_snooze_message_on_it(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, post: SendingHarness
) -> None:
    assert post.sweep() == ["sent"]
    clock.advance(days=1)
    choose(client, patient, 3)  # the first reminder would come before that, the second later
    planned = waiting(session)
    assert planned[0] == ("snooze", "snooze", date(2026, 3, 6))
    assert [on for _kind, _template, on in planned] == sorted({on for _kind, _template, on in planned})
    clock.set(datetime(2026, 3, 6, 13, 59, tzinfo=UTC))
    assert post.sweep() == []
    clock.advance(minutes=1)  # nine o'clock in New York
    assert post.sweep() == ["sent"]
    assert "You asked us to come back." in post.server.accepted[-1].text


def test_a_snooze_is_audited_with_the_link_and_the_days(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    choose(client, patient, 1)
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "visit.snooze")).one()
    assert (event.actor_kind, event.actor_id) == ("patient", str(patient.link_id))
    assert event.detail == f'{{"days":1,"visit":{patient.visit.id}}}'


def test_the_link_keeps_working_and_answering_is_still_possible(client: FlaskClient, patient: Patient) -> None:
    choose(client, patient, 3)
    assert place(open_link(client, patient)) == "item/1"


def test_a_mail_scanner_that_opens_the_link_and_sends_its_forms_causes_no_snooze(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_link(client, patient)
    hidden = dict(HIDDEN.findall(page.text))
    assert client.post(url(client, patient), data={**hidden, "later": "yes"}).status_code == 422
    for path in ("snooze", "snoozed"):
        assert get(client, patient, path).location == url(client, patient)
    assert client.post(url(client, patient, "snooze"), data={**hidden, "until_on": "2026-03-03"}).status_code == 403
    begin(client, patient)
    assert get(client, patient, "snooze?until_on=2026-03-03").status_code == 200
    assert client.post(url(client, patient, "snooze"), data={"until_on": "2026-03-03"}).status_code == 400, (
        "without the token of our own form"
    )
    assert kept(session) == []


def test_a_wrong_birth_date_causes_no_snooze(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = send_form(client, open_link(client, patient), {**LATER, "birth_date-day": "1"})
    assert page.status_code == 422
    assert 'name="later"' in page.text, "after the right date the choice of a day follows"
    assert session.get_one(Visit, patient.visit.id).failed_checks == 1


def test_a_choice_has_to_be_made(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = send_form(client, not_today(client, patient), {})
    assert page.status_code == 422
    assert "Choose a day." in page.text
    assert send_form(client, page, {"until_on": "2026-03-04"}).status_code == 422, "not among the days of the protocol"
    assert kept(session) == []


def test_a_double_tap_is_one_snooze(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = not_today(client, patient)
    for _ in range(2):
        assert place(send_form(client, page, {"until_on": "2026-03-03"})) == "snoozed"
    assert kept(session) == [(1, TOMORROW)]
    assert [kind for kind, _template, _on in waiting(session)].count("snooze") == 1


def test_another_day_replaces_the_one_before(client: FlaskClient, session: Session, patient: Patient) -> None:
    choose(client, patient, 1)
    page = send_form(client, get(client, patient, "snooze"), {"until_on": "2026-03-05"})
    assert "on March 5, 2026, and not before" in page.text
    assert [on for kind, _template, on in waiting(session) if kind == "snooze"] == [IN_THREE_DAYS]


def test_a_double_tap_on_the_last_snooze_is_no_error(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    for _ in range(2):
        choose(client, patient, 1)
        clock.advance(days=1)
    page = not_today(client, patient)
    for _ in range(2):
        assert place(send_form(client, page, {"until_on": "2026-03-05"})) == "snoozed"
    assert len(kept(session)) == 3


def test_tomorrow_means_the_same_after_midnight(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    clock.set(datetime(2026, 3, 3, 4, 59, tzinfo=UTC))  # a minute before midnight in New York
    page = not_today(client, patient)
    clock.advance(minutes=2)
    again = send_form(client, page, {"until_on": "2026-03-03"})
    assert again.status_code == 422
    assert days_offered(again) == ["2026-03-04", "2026-03-06"]
    assert send_form(client, page, {"until_on": "2026-03-05"}).status_code == 422
    assert kept(session) == []


def test_a_snooze_is_offered_three_times_for_a_visit(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    for _ in range(3):
        clock.advance(days=1)
        choose(client, patient, 1)
    clock.advance(days=1)
    assert OFFER not in open_link(client, patient).text
    assert place(not_today(client, patient)) == "item/1"
    context = visit_context.by_link(session, patient.link_id)
    with pytest.raises(InvalidInput, match="Choose another one"):
        snoozes.snooze(session, context, clock.now.date() + timedelta(days=1), now=clock.now)
    assert len(kept(session)) == 3


@pytest.mark.parametrize(
    ("days_left", "offered"),
    [(9, [1, 3]), (3, [1, 3]), (2, [1]), (1, [1]), (0, [])],
)
def test_no_day_is_offered_on_which_no_message_would_be_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, days_left: int, offered: list[int]
) -> None:
    patient.visit.closes_at = clock.now + timedelta(days=days_left, minutes=1)
    patient.visit.due_at = min(patient.visit.due_at, patient.visit.closes_at)
    page = open_link(client, patient)
    assert (OFFER in page.text) == bool(offered)
    page = send_form(client, page, LATER)
    assert place(page) == ("snooze" if offered else "item/1")
    assert [date.fromisoformat(on).day - 2 for on in days_offered(page)] == offered


@pytest.mark.parametrize("why", ["no contact", "a pause"])
def test_no_snooze_is_offered_if_no_message_could_be_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, why: str
) -> None:
    if why == "no contact":
        for contact in session.scalars(select(Contact)):
            contact.state = ContactState.STOPPED
    else:
        today = clock.now.date()
        pause = Pause(
            subject_id=patient.visit.subject_id, from_on=today, until_on=None, reason="x", recorded_at=clock.now
        )
        session.add(pause)
    assert OFFER not in open_link(client, patient).text


def test_after_the_first_answer_a_snooze_is_offered_on_the_preferences_page(
    client: FlaskClient, patient: Patient
) -> None:
    assert f'href="{url(client, patient, "preferences")}"' in begin(client, patient).text
    assert f'href="{url(client, patient, "snooze")}"' in get(client, patient, "preferences").text


def test_no_snooze_is_offered_in_the_grace_period(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    clock.set(patient.visit.closes_at - timedelta(minutes=5))
    page = begin(client, patient)
    assert WAIT in page.text
    send_form(client, page, {"answer": "2"})
    clock.advance(minutes=10)
    page = get(client, patient, "item/1")
    assert (page.status_code, WAIT in page.text) == (200, False)
    assert WAIT not in get(client, patient, "review").text


def test_the_pages_speak_the_subjects_language(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now, language="es")
    page = not_today(client, patient)
    assert "¿Cuándo quiere que volvamos a preguntarle?" in heading(page)
    assert "Mañana, martes, 3 de marzo de 2026" in page.text
    assert "Volveremos a escribirle el 3 de marzo de 2026" in send_form(client, page, {"until_on": "2026-03-03"}).text


@pytest.mark.dialects("postgresql")
def test_two_devices_at_the_same_moment_leave_one_snooze(session: Session, patient: Patient, clock: Clock) -> None:
    def say_not_today() -> None:
        with db.Session() as another:
            snoozes.snooze(another, visit_context.by_link(another, patient.link_id), IN_THREE_DAYS, now=clock.now)
            another.commit()

    snoozes.snooze(session, visit_context.by_link(session, patient.link_id), IN_THREE_DAYS, now=clock.now)
    second = Thread(target=say_not_today)
    second.start()
    second.join(0.3)
    assert second.is_alive(), "it waits for the first"
    session.commit()
    second.join(10)
    assert kept(session) == [(3, IN_THREE_DAYS)]
