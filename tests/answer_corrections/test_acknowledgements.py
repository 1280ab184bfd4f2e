"""A clinician marks the answers of a visit as looked at; the patient reads so where the protocol shows it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.acknowledgement import Acknowledgement
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import links
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.patient_browser import Patient, begin, get
from tests.support.staff_browser import add_account, csrf_token, sign_in

SEEN = "Your care team looked at your answers (Last infusion) on May 8, 2026."


@pytest.fixture(autouse=True)
def protocol_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"looked_at": True, "results": ["pcs.total"]}

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject who answered after five infusions, with an open visit at three months."""
    subject = treated(session, date(2026, 2, 16), datetime(2026, 2, 20, 18, tzinfo=UTC))
    answer_visit(session, visit_of(session, subject, "last-infusion"), datetime(2026, 2, 22, 15, tzinfo=UTC), {})
    clock.set(datetime(2026, 5, 8, 15, tzinfo=UTC))
    session.commit()
    return subject


def press(client: FlaskClient, subject: Subject, visit_id: int, button: str = "") -> TestResponse:
    page = f"/subjects/{subject.id}"
    form = {"csrf_token": csrf_token(client, page)}
    return client.post(f"{page}/visits/{visit_id}/looked-at{button}", data=form, follow_redirects=True)


def patients_page(client: FlaskClient, session: Session, subject: Subject, clock: Clock) -> str:
    visit = visit_of(session, subject, "3-months")
    patient = Patient(visit, links.issue(session, visit.id, now=clock.now), 0)
    session.commit()
    begin(client, patient)
    return get(client, patient, "results").text


def test_a_mark_is_shown_with_day_and_name_and_can_be_undone(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    sign_in(client, add_account(session, "clinician"))
    visit_id = visit_of(session, subject, "last-infusion").id
    assert "Mark as looked at" in client.get(f"/subjects/{subject.id}").text
    assert "Looked at on May 8, 2026 by The clinician" in press(client, subject, visit_id).text
    press(client, subject, visit_id)  # again, in another tab
    undone = press(client, subject, visit_id, "/undo")
    assert "Looked at on" not in undone.text
    assert "Mark as looked at" in undone.text
    actions = select(AuditEvent.action).where(AuditEvent.action.startswith("answers.")).order_by(AuditEvent.id)
    assert session.scalars(actions).all() == ["answers.acknowledge", "answers.undo-acknowledge"]
    row = session.scalars(select(Acknowledgement)).one()
    assert row.undone_by_id == row.account_id


def test_the_patient_reads_it_and_no_longer_once_it_is_undone(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    assert "looked at your answers" not in patients_page(client, session, subject, clock)
    sign_in(client, add_account(session, "clinician"))
    visit_id = visit_of(session, subject, "last-infusion").id
    press(client, subject, visit_id)
    assert SEEN in patients_page(client, session, subject, clock)
    press(client, subject, visit_id, "/undo")
    assert "looked at your answers" not in patients_page(client, session, subject, clock)


def test_answers_that_came_after_the_mark_were_not_looked_at(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    sign_in(client, add_account(session, "clinician"))
    visit = visit_of(session, subject, "last-infusion")
    press(client, subject, visit.id)
    visit.completed_at = clock.now + timedelta(minutes=10)  # opened again, and sent once more
    session.commit()
    clock.advance(minutes=20)
    assert "Looked at on" not in client.get(f"/subjects/{subject.id}").text
    assert "Looked at on May 8, 2026" in press(client, subject, visit.id).text


def test_without_answers_there_is_nothing_to_mark(client: FlaskClient, session: Session, subject: Subject) -> None:
    sign_in(client, add_account(session, "clinician"))
    refused = press(client, subject, visit_of(session, subject, "3-months").id)
    assert "There are no answers to these questions yet." in refused.text
    assert session.scalars(select(Acknowledgement)).all() == []


@pytest.mark.parametrize(("role", "sites", "status"), [("coordinator", (), 403), ("clinician", ("south",), 404)])
def test_only_clinicians_of_the_site_mark(
    client: FlaskClient, session: Session, subject: Subject, role: str, sites: tuple[str, ...], status: int
) -> None:
    sign_in(client, add_account(session, role, *sites))
    form = {"csrf_token": csrf_token(client, "/subjects")}
    visit_id = visit_of(session, subject, "last-infusion").id
    refused = client.post(f"/subjects/{subject.id}/visits/{visit_id}/looked-at", data=form)
    assert refused.status_code == status
    assert session.scalars(select(Acknowledgement)).all() == []
