"""Texts that patients send: STOP by its first word, anything else on the worklist for staff to read."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.account_codes import Role
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course
from pro_tracker.models.incoming_text import IncomingText
from pro_tracker.models.subject import Contact
from pro_tracker.services.wording import text_keywords
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.staff_browser import add_account, add_site, sign_in
from tests.support.webhook_client import (
    MOBILE,
    SMS_SECRET,
    post_incoming_text,
    post_to_gateway,
    states,
    webhook_counts,
    with_secrets,
)

HANDLE = re.compile(r'action="([^"]+/handled)"')
TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return with_secrets(environment)


def kept(session: Session) -> list[str]:
    """Returns what is stored of texts, decrypted."""
    session.rollback()
    return [row.text for row in session.scalars(select(IncomingText).order_by(IncomingText.received_at))]


def as_staff(client: FlaskClient, session: Session, role: Role = Role.COORDINATOR, site: str = "north") -> FlaskClient:
    sign_in(client, add_account(session, role, site))
    return client


def mark(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Presses the first button "Mark as dealt with"."""
    address, token = HANDLE.search(page.text), TOKEN.search(page.text)
    assert address
    assert token
    return client.post(address[1], data={"csrf_token": token[1]}, follow_redirects=True)


@pytest.mark.parametrize(
    ("written", "event"),
    [
        *(
            ("Stop. Thank you", "stop"),
            ("STOP STOP", "stop"),
            ("¡ALTO!", "stop"),
            ("CANCELAR", "stop"),
            ("Pare", "stop"),
        ),
        *(
            ("stop-all", "stop"),
            ("opt out", "stop"),
            ("ＳＴＯＰ", "stop"),
            ("  stop  it now", "stop"),
            ("Baja, por favor", "stop"),
        ),
        *(("please stop", "other"), ("no más", "other"), ("wrong number", "other"), ("stopping by at 3", "other")),
        *(("START", "start"), ("Yes!", "start"), ("yes, I feel worse", "other"), ("Ayuda.", "help"), ("", "other")),
    ],
)
def test_stop_is_understood_by_its_first_word_and_other_keywords_alone(written: str, event: str) -> None:
    assert text_keywords.event_of(written) == event


@pytest.mark.parametrize(
    "written", ["Stop. Thank you", "STOP STOP", "CANCELAR", "PARE", "Alto, por favor", "HELP", "start"]
)
def test_a_keyword_with_courtesy_has_its_effect_and_leaves_nothing_to_read(
    client: FlaskClient, session: Session, course: Course, written: str
) -> None:
    post_incoming_text(client, written)
    assert kept(session) == []
    assert (states(session)["sms"] == "stopped") == (written not in ("HELP", "start"))


def test_words_beyond_stop_are_read_too(client: FlaskClient, session: Session, course: Course) -> None:
    post_incoming_text(client, "Stop. I feel worse than before")
    assert states(session)["sms"] == "stopped"
    assert kept(session) == ["Stop. I feel worse than before"]


@pytest.mark.parametrize("written", ["please stop", "no más", "wrong number", "yes, I feel worse", "thank you"])
def test_any_other_text_ends_nothing_and_is_kept(
    client: FlaskClient, session: Session, course: Course, written: str
) -> None:
    post_incoming_text(client, written)
    assert (kept(session), states(session)["sms"]) == ([written], "active")


def test_another_text_is_stored_encrypted_and_stands_on_the_worklist_until_it_is_dealt_with(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    post_incoming_text(client, "please stop\u202e <b>")
    row = session.scalars(select(IncomingText)).one()
    assert b"please" not in row.text_cell
    assert states(session)["sms"] == "active"
    staff = as_staff(client, session)
    home = staff.get("/worklist").text
    assert "Texted us</a></dt><dd>1</dd>" in home
    assert "please stop" not in home, "only the page of the patient shows it"
    page = staff.get(f"/subjects/{course.subject_id}/texts")
    assert "<bdi>please stop &lt;b&gt;</bdi>" in page.text
    done = mark(staff, page)
    assert "Dealt with on" in done.text
    assert "Texted us</a></dt><dd>0</dd>" in staff.get("/worklist").text
    actions = select(AuditEvent.action).where(AuditEvent.action.startswith("text."))
    assert list(session.scalars(actions.order_by(AuditEvent.id))) == ["text.receive", "text.handle"]
    ledger = staff.get(f"/subjects/{course.subject_id}/ledger").text
    assert "A text from the patient dealt with" in ledger
    assert "please" not in ledger


def test_a_text_that_two_members_of_staff_mark_keeps_the_first(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    post_incoming_text(client, "wrong number")
    staff = as_staff(client, session)
    page = staff.get(f"/subjects/{course.subject_id}/texts")
    mark(staff, page)
    first = session.scalars(select(IncomingText.handled_at)).one()
    clock.advance(minutes=5)
    assert mark(staff, page).status_code == 200
    assert session.scalars(select(IncomingText.handled_at)).one() == first


def test_staff_of_another_clinic_neither_see_nor_mark_it(client: FlaskClient, session: Session, course: Course) -> None:
    post_incoming_text(client, "no más")
    add_site(session, "south")
    staff = as_staff(client, session, site="south")
    assert "Texted us</a></dt><dd>0</dd>" in staff.get("/worklist").text
    assert staff.get(f"/subjects/{course.subject_id}/texts").status_code == 404
    text_id = session.scalars(select(IncomingText.id)).one()
    token = TOKEN.search(staff.get("/worklist").text)
    assert token
    data = {"csrf_token": token[1]}
    assert staff.post(f"/subjects/{course.subject_id}/texts/{text_id}/handled", data=data).status_code == 404
    assert session.scalars(select(IncomingText.handled_at)).one() is None


def test_a_text_that_comes_twice_is_one_row_by_twilio_and_by_a_gateway(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    event = {"id": "e-1", "event": "text", "text": "hola", "address": MOBILE}
    for _ in range(2):
        post_incoming_text(client, "call me", sid="SM1")
        post_to_gateway(client, clock, event, secret=SMS_SECRET)
        clock.advance(minutes=1)
    assert sorted(kept(session)) == ["call me", "hola"]


def test_a_text_from_an_unknown_number_is_counted_and_not_stored(
    client: FlaskClient, session: Session, course: Course
) -> None:
    post_incoming_text(client, "who is this?", sender="+12165550199")
    assert kept(session) == []
    assert webhook_counts(session) == {("twilio", "taken"): 1, ("twilio", "unknown-sender"): 1}


def test_a_text_from_a_shared_number_is_shown_with_each_patient(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    add_subject(session, clock.now, record_number="MRN-2", given_name="Bob")
    session.commit()
    assert len(session.scalars(select(Contact).where(Contact.channel == "sms")).all()) == 2
    post_incoming_text(client, "which of us?")
    assert kept(session) == ["which of us?", "which of us?"]


def test_a_picture_without_words_is_not_lost(client: FlaskClient, session: Session, course: Course) -> None:
    post_incoming_text(client, "", NumMedia="1")
    assert kept(session) == [""]
    page = as_staff(client, session, Role.CLINICIAN).get(f"/subjects/{course.subject_id}/texts")
    assert "No words: perhaps a picture." in page.text


def test_no_text_reaches_the_log(
    client: FlaskClient, session: Session, course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    post_incoming_text(client, "I feel dizzy")
    assert "dizzy" not in caplog.text
