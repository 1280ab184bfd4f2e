"""Forms about one patient that two users change at once: the second sees who changed what, and loses nothing typed."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.course import Course
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.history_builder import course_of, treated
from tests.support.staff_browser import add_account, confirm, save, sign_in, sign_in_colleague, submit
from tests.treatment.test_wrong_entries import day

TODAY = date(2026, 3, 2)


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with two infusions of a course that goes on; a coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, TODAY - timedelta(days=2), clock.now, n_infusions=2)
    session.commit()
    return subject


@pytest.fixture
def colleague(another_client: Callable[[], FlaskClient], session: Session) -> FlaskClient:
    """The browser of another coordinator of the clinic."""
    return sign_in_colleague(another_client(), session)


def shown(client: FlaskClient, url: str) -> dict[str, str]:
    return shown_form(client.get(url))


def test_the_second_to_end_a_course_can_put_the_right_end_in_its_place(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/course"
    opened = shown(client, page)
    first = {**day("end-ended_on", TODAY), "end-reason": "moved away"}
    assert save(colleague, f"{page}/end", {**shown(colleague, page), **first}).status_code == 303
    mine = {**opened, **day("end-ended_on", TODAY - timedelta(days=1)), "end-reason": "no effect"}
    refused = client.post(f"{page}/end", data=mine)
    assert refused.status_code == 422
    for text in ("Robin Colleague", "last day: Mar 2, 2026", "reason: moved away"):
        assert text in refused.text
    kept = shown_form(refused)
    assert (kept["end-ended_on-day"], kept["end-reason"]) == ("1", "no effect")
    assert confirm(client, client.post(f"{page}/end", data=kept)).status_code == 303
    session.expire_all()
    ended = course_of(session, subject)
    assert (ended.ended_on, ended.end_reason) == (TODAY - timedelta(days=1), "no effect")


def test_the_second_to_withdraw_a_subject_sees_what_was_recorded(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/withdraw"
    opened = shown(client, page)
    assert save(colleague, page, {**shown(colleague, page), "scope": "asking", "reason": "no time"}).status_code == 303
    refused = client.post(page, data={**opened, "scope": "data", "reason": "changed her mind"})
    assert refused.status_code == 422
    for text in ("Robin Colleague", "reason: no time"):
        assert text in refused.text
    kept = shown_form(refused)
    assert (kept["scope"], kept["reason"]) == ("data", "changed her mind")
    session.expire_all()
    assert subject.withdrawn_scope == "asking"
    assert confirm(client, client.post(page, data=kept)).status_code == 303
    session.expire_all()
    assert subject.withdrawn_scope == "data"


def begin_pause(client: FlaskClient, session: Session, subject: Subject) -> str:
    """Records a pause from today without an end; returns the URL of its page."""
    page = f"/subjects/{subject.id}/pauses"
    assert (
        save(client, page, {**day("from_on", TODAY), **day("until_on", None), "reason": "hospital"}).status_code == 303
    )
    return f"{page}/{session.scalars(select(Pause.id)).one()}"


def test_the_second_to_change_a_pause_sees_its_new_last_day(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = begin_pause(client, session, subject)
    opened = shown(client, page)
    first = {**shown(colleague, page), **day("until_on", TODAY + timedelta(days=5)), "reason": "called"}
    assert save(colleague, page, first).status_code == 303
    mine = {**opened, **day("until_on", TODAY + timedelta(days=9)), "reason": "letter"}
    refused = client.post(page, data=mine)
    assert refused.status_code == 422
    for text in ("Robin Colleague", "last day: Mar 7, 2026"):
        assert text in refused.text
    kept = shown_form(refused)
    assert (kept["until_on-day"], kept["reason"]) == ("11", "letter")
    assert confirm(client, client.post(page, data=kept)).status_code == 303


def test_what_was_typed_about_a_pause_that_was_removed_is_kept_for_a_new_one(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = begin_pause(client, session, subject)
    opened = shown(client, page)
    assert save(colleague, f"{page}/remove", {"remove-reason": "other patient"}, page=page).status_code == 303
    refused = client.post(page, data={**opened, **day("until_on", TODAY + timedelta(days=9)), "reason": "letter"})
    assert refused.status_code == 422
    for text in ("Robin Colleague", "other patient"):
        assert text in refused.text
    kept = shown_form(refused)
    assert (kept["from_on-day"], kept["until_on-day"], kept["reason"]) == ("2", "11", "letter")
    assert client.get(page).status_code == 404
    assert submit(client, f"{page}/remove", {"remove-reason": "x"}, page="/subjects").status_code == 422
    assert confirm(client, client.post(f"/subjects/{subject.id}/pauses", data=kept)).status_code == 303


@pytest.mark.dialects("sqlite")
def test_an_end_that_was_entered_twice_alike_is_one_end(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/course"
    end = {**day("end-ended_on", TODAY), "end-reason": "moved away"}
    mine = {**shown(client, page), **end}
    assert save(colleague, f"{page}/end", {**shown(colleague, page), **end}).status_code == 303
    assert client.post(f"{page}/end", data=mine).status_code == 422
    assert session.scalars(select(Course.end_reason)).all() == ["moved away"]
