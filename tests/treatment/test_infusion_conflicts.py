"""Two coordinators correct the same infusion: the second sees what changed and by whom, and loses nothing typed."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.course import Infusion
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import add_subject
from tests.support.staff_browser import add_account, confirm, save, sign_in, sign_in_colleague, submit
from tests.treatment.test_infusions import FORM, NAUSEA

CORRECTION = {**FORM, "reason": "typed wrongly"}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with one infusion of 0.5 mg/kg at 70.5 kg; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 2), enrolled_on=date(2026, 2, 20))
    assert save(client, f"/subjects/{subject.id}/infusions/new", FORM).status_code == 303
    return subject


@pytest.fixture
def colleague(another_client: Callable[[], FlaskClient], session: Session) -> FlaskClient:
    """The browser of another coordinator of the clinic."""
    return sign_in_colleague(another_client(), session)


def recorded(session: Session) -> Infusion:
    session.expire_all()
    return session.scalars(select(Infusion).where(Infusion.voided_at.is_(None))).one()


def page_of(session: Session, subject: Subject) -> str:
    return f"/subjects/{subject.id}/infusions/{recorded(session).id}"


def test_the_second_to_correct_an_infusion_sees_what_changed_and_saves_on_top_of_it(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = page_of(session, subject)
    first = {**CORRECTION, "dose_mg_per_kg": "0.6", "reason": "read from the pump"}
    mine = {**CORRECTION, "weight_kg": "72", **NAUSEA, "reason": "scale was wrong"}
    assert save(colleague, page, first).status_code == 303
    refused = submit(client, page, mine, page="/subjects")
    assert refused.status_code == 422
    assert "Robin Colleague changed this on Mar 2, 2026, 10:00" in refused.text
    assert "(read from the pump)" in refused.text
    assert "Dose in mg per kg: 0.5 → 0.6" in refused.text
    kept = shown_form(refused)
    assert (kept["weight_kg"], kept["term_0"], kept["grade_0"], kept["reason"]) == ("72", "nausea", "1", mine["reason"])
    assert kept["dose_mg_per_kg"] == "0.6"  # which was not touched here
    newer = recorded(session)
    assert f'action="{page_of(session, subject)}"' in refused.text
    assert (
        confirm(client, client.post(page_of(session, subject), data={**kept, "status": "completed"})).status_code == 303
    )
    saved = recorded(session)
    assert (saved.replaces_id, saved.dose_mg_per_kg, saved.weight_kg) == (newer.id, Decimal("0.6"), Decimal("72.0"))
    assert [event.term for event in saved.adverse_events] == ["nausea"]


def test_a_conflict_between_preview_and_saving_is_shown_too(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    course = f"/subjects/{subject.id}/course"
    ended = {"end-ended_on-day": "2", "end-ended_on-month": "3", "end-ended_on-year": "2026", "end-reason": "one only"}
    assert save(client, f"{course}/end", ended, page=course).status_code == 303
    page = page_of(session, subject)
    preview = submit(client, page, {**CORRECTION, "given_on-day": "1"})
    assert "Nothing is saved yet." in preview.text
    assert save(colleague, page, {**CORRECTION, "minutes": "45"}).status_code == 303
    refused = confirm(client, preview)
    assert refused.status_code == 422
    assert "Duration in minutes: 40 → 45" in refused.text
    kept = shown_form(refused)
    assert (kept["given_on-day"], kept["minutes"]) == ("1", "45")


def test_an_infusion_that_was_removed_in_the_meantime_can_be_recorded_from_what_was_typed(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = page_of(session, subject)
    assert save(colleague, f"{page}/remove", {"remove-reason": "not given"}, page=page).status_code == 303
    refused = submit(client, page, {**CORRECTION, "dose_mg_per_kg": "0.7"}, page="/subjects")
    assert refused.status_code == 422
    assert "Robin Colleague changed this" in refused.text
    assert "(not given)" in refused.text
    kept = shown_form(refused)
    assert kept["dose_mg_per_kg"] == "0.7"
    assert f'action="/subjects/{subject.id}/infusions/new"' in refused.text
    again = client.post(f"/subjects/{subject.id}/infusions/new", data={**kept, "status": "completed"})
    assert confirm(client, again).status_code == 303
    assert recorded(session).dose_mg_per_kg == Decimal("0.7")


def test_the_second_to_remove_an_infusion_sees_its_correction_first(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = page_of(session, subject)
    assert save(colleague, page, {**CORRECTION, "dose_mg_per_kg": "0.6"}).status_code == 303
    refused = submit(client, f"{page}/remove", {"remove-reason": "not given"}, page="/subjects")
    assert refused.status_code == 422
    assert "Dose in mg per kg: 0.5 → 0.6" in refused.text
    assert shown_form(refused)["remove-reason"] == "not given"
    newer = page_of(session, subject)
    assert save(client, f"{newer}/remove", {"remove-reason": "not given"}, page=newer).status_code == 303


def test_the_url_of_a_corrected_infusion_leads_to_its_correction(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = page_of(session, subject)
    assert save(colleague, page, {**CORRECTION, "dose_mg_per_kg": "0.6"}).status_code == 303
    led = client.get(page)
    assert (led.status_code, led.location) == (303, page_of(session, subject))
    newer = page_of(session, subject)
    assert save(colleague, f"{newer}/remove", {"remove-reason": "not given"}, page=newer).status_code == 303
    assert client.get(newer).status_code == 404
