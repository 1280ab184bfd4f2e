"""Consent before the first question: read, given purpose by purpose, declined, asked again for a new version."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.consent import ConsentPurpose
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.consent_fixtures import agree, decline, raise_version, with_consent_form
from tests.support.patient_browser import (
    Patient,
    add_patient,
    answer,
    begin,
    count,
    draft,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post,
    url,
)

ANSWER = {"item": "promis-pain-interference-8a.PAININ9", "value": 2, "given_at": 1000, "sequence": 1}
Agreed = Mapping[ConsentPurpose, bool]


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def other_client(another_client: Callable[[], FlaskClient]) -> FlaskClient:
    return another_client()


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def decisions(session: Session) -> list[tuple[str, str, Agreed]]:
    rows = session.scalars(select(ConsentDecision).order_by(ConsentDecision.id)).all()
    return [(row.version, row.outcome, dict(row.agreed)) for row in rows]


def outcomes(session: Session) -> list[str]:
    return [outcome for _version, outcome, _agreed in decisions(session)]


def follow(client: FlaskClient, patient: Patient, page: str) -> str:
    """Returns the page at which a browser arrives that asks for this one."""
    return place(client.get(url(client, patient, page), follow_redirects=True))


def send_kept(client: FlaskClient, patient: Patient, **changes: Any) -> TestResponse:
    """Sends an answer that a phone kept."""
    known = {"sent_at": 2000, "answers": [ANSWER], "seen": "", "send": False}
    return client.post(url(client, patient, "answers"), json={**known, **changes})


def planned(session: Session, patient: Patient) -> list[str]:
    rows = select(Message.kind).where(Message.visit_id == patient.visit.id, Message.state == "planned")
    return sorted(set(session.scalars(rows)))


def test_the_form_comes_after_the_birth_date_and_before_anything_is_asked(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    page = begin(client, patient)
    assert place(page) == "consent"
    assert "checked" not in page.text
    assert [follow(client, patient, each) for each in ("item/1", "review", "questions")] == ["consent"] * 3

    page = agree(client, page, "care", "registry")
    assert place(page) == "item/1"
    assert decisions(session) == [("1", "given", {"care": True, "registry": True, "sharing": False})]
    signed = session.scalars(select(ConsentDecision)).one()
    assert (signed.signed_name, signed.given_at, signed.mode) == ("Zoë Demo", clock.now, "own-device")
    assert b"Demo" not in (signed.signed_name_cell or b"")
    assert session.scalars(select(AuditEvent.actor_kind).where(AuditEvent.action == "consent.answer")).all() == [
        "patient"
    ]


@pytest.mark.parametrize(
    ("entered", "advice"),
    [
        ({"purposes": ["care"], "signed_name": " "}, "Type your name."),
        ({"purposes": ["registry"], "signed_name": "Zoë Demo"}, "only if you tick the first one"),
        ({"signed_name": "Zoë Demo"}, "only if you tick the first one"),
        ({"purposes": ["care"], "signed_name": "Z" * 121}, "at most 120 characters"),
        ({"purposes": ["care", "sales"], "signed_name": "Zoë Demo"}, "problem"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_recorded(
    client: FlaskClient, session: Session, patient: Patient, entered: dict[str, Any], advice: str
) -> None:
    page = post(client, begin(client, patient), entered)
    assert page.status_code == 422
    assert advice in page.text
    assert outcomes(session) == []


def test_a_decline_is_kind_and_recorded_and_ends_questions_and_messages(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    assert planned(session, patient) == ["reminder"]
    page = decline(client, begin(client, patient))
    assert heading(page) == "Thank you for telling us"
    assert "Your care stays the same" in page.text
    assert decisions(session)[0][1:] == ("declined", {"care": False, "registry": False, "sharing": False})
    assert follow(client, patient, "item/1") == "consent"
    assert planned(session, patient) == []

    clock.advance(minutes=1)
    agree(client, get(client, patient, "consent?again"), "care")  # the last one given counts
    assert outcomes(session) == ["declined", "given"]
    assert follow(client, patient, "item/1") == "item/1"
    assert planned(session, patient) == ["consent-copy", "reminder"]


def test_no_door_lets_an_answer_in_without_consent(client: FlaskClient, session: Session, patient: Patient) -> None:
    asked = begin(client, patient)
    posted = {"csrf_token": asked.text.split('name="csrf_token" value="')[1].split('"')[0], "answer": "2"}
    for page in ("item/1", "review"):
        assert client.post(url(client, patient, page), data=posted).location.endswith("/consent")
    kept = send_kept(client, patient)
    assert (kept.status_code, kept.json) == (
        401,
        {"visit": "unconfirmed", "outcomes": []},
    )  # the phone goes on keeping it
    assert draft(session, patient) == {}

    agree(client, asked, "care")
    assert send_kept(client, patient).json == {"visit": "open", "outcomes": ["saved"]}
    assert draft(session, patient) == {"promis-pain-interference-8a": {"PAININ9": 2}}


def test_of_two_devices_the_last_decision_counts_and_both_are_kept(
    client: FlaskClient, other_client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    agree(client, begin(client, patient), "care")
    second = give_birth_date(other_client, open_link(other_client, patient))
    assert place(second) == "item/1"
    clock.advance(minutes=1)
    decline(other_client, get(other_client, patient, "consent?again"))
    assert outcomes(session) == ["given", "declined"]
    assert send_kept(client, patient).status_code == 401
    assert follow(client, patient, "item/2") == "consent"


def test_a_new_version_is_asked_for_in_the_middle_of_a_visit_and_keeps_what_was_answered(
    client: FlaskClient, session: Session, patient: Patient, form_path: Path
) -> None:
    first = agree(client, begin(client, patient), "care")
    raise_version(form_path)
    assert place(answer(client, first, 2)) == "consent"  # it was asked under the version that counted then
    kept = send_kept(client, patient, send=True)
    assert (kept.status_code, count(session, QuestionnaireResponse)) == (401, 0)
    page = get(client, patient, "consent")
    assert "This text has changed" in page.text
    stale = post(client, page, {"version": "1", "purposes": "care", "signed_name": "Zoë Demo"})
    assert (stale.status_code, outcomes(session)) == (422, ["given"])

    page = agree(client, page, "care")
    assert (place(page), decisions(session)[1][0]) == ("item/2", "2")
    assert list(draft(session, patient)) == ["promis-pain-interference-8a"]


def test_the_same_answer_sent_twice_is_one(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = begin(client, patient)
    agree(client, page, "care")
    agree(client, page, "care")
    assert outcomes(session) == ["given"]
    assert planned(session, patient).count("consent-copy") == 1


def test_the_text_is_in_the_language_of_the_page(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now, language="es")
    page = begin(client, patient)
    assert heading(page) == "¿Podemos hacerle preguntas?"
    agree(client, page, "care")
    assert session.scalars(select(ConsentDecision.language)).one() == "es"


def test_the_copy_is_read_again_and_kept_after_the_birth_date_when_the_visit_is_over(
    client: FlaskClient, other_client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    agree(client, begin(client, patient), "care")
    session.get_one(Visit, patient.visit.id).completed_at = clock.now
    page = other_client.get(f"/v/{patient.token}/consent", follow_redirects=True)
    assert (place(page), "Zoë" in page.text) == ("consent/copy", False)
    assert get(other_client, patient, "consent/copy.txt").status_code == 303
    page = give_birth_date(other_client, page)
    assert "Zoë Demo" in page.text
    file = get(other_client, patient, "consent/copy.txt")
    assert file.headers["Content-Disposition"] == 'attachment; filename="consent-1.txt"'
    assert "[x] The clinic may ask me questions, and my care team may read my answers." in file.text
    assert "[ ] Researchers of the clinic may use my answers without my name." in file.text


@pytest.mark.dialects("sqlite")
def test_who_has_a_minute_only_is_asked_for_consent_and_still_has_a_minute_only(
    client: FlaskClient, patient: Patient
) -> None:
    begin(client, patient)
    page = client.get(url(client, patient, "item/1?short="), follow_redirects=True)
    assert (place(page), page.request.query_string) == ("consent", b"short=")
    assert f'action="{page.request.path}?short="' in page.text
