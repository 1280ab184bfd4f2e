"""Adverse events of any day: recorded from the patient's page or a call, corrected, voided, and seen by clinicians."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.call import Call
from pro_tracker.models.course import AdverseEvent
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.history_builder import course_of, treated, visit_of
from tests.support.staff_browser import add_account, save, sign_in, sign_in_colleague, submit
from tests.treatment.test_infusions import NAUSEA


def day(name: str, on: date | None) -> dict[str, str]:
    parts = {"day": on.day, "month": on.month, "year": on.year} if on else dict.fromkeys(("day", "month", "year"), "")
    return {f"{name}-{part}": str(value) for part, value in parts.items()}


FORM = {
    "term": "Headache",
    "ctcae_grade": "2",
    "source": "VOLUNTEERED",
    "emergency_response": "no",
    "started_at_local": "",
    **day("found_on", date(2026, 3, 2)),
    **day("started_on", date(2026, 3, 1)),
    **day("ended_on", None),
    **dict.fromkeys(("outcome", "relatedness", "action_taken", "is_serious"), ""),
}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with two infusions, on 26 and 27 February; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return treated(session, date(2026, 2, 26), clock.now, n_infusions=2)


def new(subject: Subject) -> str:
    return f"/subjects/{subject.id}/adverse-events/new"


def record(client: FlaskClient, subject: Subject, **changes: Any) -> TestResponse:
    return submit(client, new(subject), {**FORM, **changes})


def recorded(session: Session) -> list[AdverseEvent]:
    session.expire_all()
    return list(session.scalars(select(AdverseEvent).where(AdverseEvent.voided_at.is_(None)).order_by(AdverseEvent.id)))


def page_of(session: Session, subject: Subject) -> str:
    return f"/subjects/{subject.id}/adverse-events/{recorded(session)[-1].id}"


def test_an_event_reported_days_later_is_recorded_and_seen_by_clinicians(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, subject: Subject
) -> None:
    assert record(client, subject, outcome="RECOVERING/RESOLVING", relatedness="POSSIBLE").status_code == 303
    (event,) = recorded(session)
    assert (event.course_id, event.infusion_id) == (course_of(session, subject).id, None)
    assert (event.term, event.ctcae_grade, event.source, event.found_on) == (
        "Headache",
        2,
        "VOLUNTEERED",
        date(2026, 3, 2),
    )
    clinician = another_client()
    sign_in(clinician, add_account(session, "clinician"))
    shown = clinician.get(f"/subjects/{subject.id}").text
    assert "Headache, grade 2" in shown
    assert "Said without being asked" in shown
    assert "outcome: Getting better" in shown
    assert record(clinician, subject, term="Dizziness").status_code == 303  # clinicians record, too
    assert "Adverse event recorded" in client.get(f"/subjects/{subject.id}/ledger").text


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"term": ""}, "Say what the adverse event was."),
        ({"ctcae_grade": ""}, "Choose the CTCAE grade."),
        ({"source": ""}, "Choose whether it was asked about."),
        ({"emergency_response": ""}, "Say whether someone had to respond at once."),
        ({"ctcae_grade": "5", "outcome": "RECOVERED/RESOLVED"}, "Grade 5 and a fatal outcome go together."),
        ({"outcome": "FATAL"}, "Grade 5 and a fatal outcome go together."),
        (day("found_on", date(2026, 3, 3)), "This day lies in the future."),
        (day("started_on", date(2026, 3, 3)), "This day lies in the future."),
        (day("found_on", date(2026, 2, 28)), "It began after the day on which it was found."),
        (day("ended_on", date(2026, 2, 28)), "It ended before it began."),
        (day("started_on", date(2026, 2, 20)), "No infusion is recorded by this day"),
        ({**day("started_on", None), "started_at_local": "08:00"}, "There is a time of onset without its day."),
        ({"term": "x" * 201}, "longer than 200 characters"),
        ({"outcome": "better"}, ""),
    ],
)
def test_what_cannot_be_is_refused_and_the_form_keeps_what_was_typed(
    client: FlaskClient, session: Session, subject: Subject, changes: dict[str, str], words: str
) -> None:
    answer = record(client, subject, **changes)
    if not words:
        assert answer.status_code == 303  # a made choice that is not of the list counts as none
        return
    assert answer.status_code == 422
    assert words in answer.text
    assert shown_form(answer)["term"] == {**FORM, **changes}["term"]
    assert recorded(session) == []


def test_an_event_is_corrected_and_voided_with_reasons_and_its_history_is_shown(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    record(client, subject)
    page = page_of(session, subject)
    shown = shown_form(client.get(page))
    assert "Nothing differs" in submit(client, page, {**shown, "reason": "x"}).text
    over = {**shown, "outcome": "RECOVERED/RESOLVED", **day("ended_on", date(2026, 3, 2))}
    assert "Say why the adverse event is corrected" in submit(client, page, {**over, "reason": " "}).text
    assert submit(client, page, {**over, "reason": "called back"}).status_code == 303
    (event,) = recorded(session)
    assert (event.outcome, event.ended_on) == ("RECOVERED/RESOLVED", date(2026, 3, 2))
    assert client.get(page).location == page_of(session, subject)
    newer = page_of(session, subject)
    clock.advance(minutes=5)
    assert submit(client, f"{newer}/void", {"void-reason": "another patient"}, page=newer).status_code == 303
    assert recorded(session) == []
    history = client.get(f"/subjects/{subject.id}").text
    assert "Corrected or entered in error: 2" in history
    assert "called back" in history
    assert "another patient" in history
    ledger = client.get(f"/subjects/{subject.id}/ledger").text
    assert "Adverse event marked as entered in error" in ledger
    assert "called back" in ledger
    assert client.get(newer).status_code == 404


@pytest.mark.dialects("sqlite")
def test_the_second_to_correct_an_event_sees_what_changed_and_loses_nothing(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, subject: Subject
) -> None:
    colleague = sign_in_colleague(another_client(), session)
    record(client, subject)
    page = page_of(session, subject)
    shown = shown_form(client.get(page))
    first = {**FORM, "ctcae_grade": "3", "reason": "worse than thought"}
    assert submit(colleague, page, first).status_code == 303
    refused = submit(client, page, {**shown, "relatedness": "UNLIKELY", "reason": "mine"}, page="/subjects")
    assert refused.status_code == 422
    assert "Robin Colleague changed this" in refused.text
    kept = shown_form(refused)
    assert (kept["ctcae_grade"], kept["relatedness"], kept["reason"]) == ("3", "UNLIKELY", "mine")
    assert client.post(page_of(session, subject), data=kept).status_code == 303
    (event,) = recorded(session)
    assert (event.ctcae_grade, event.relatedness) == (3, "UNLIKELY")


@pytest.mark.dialects("sqlite")
def test_an_event_of_an_infusion_is_followed_up_here_and_removed_there(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    given = course_of(session, subject).infusions[-1]
    infusion = f"/subjects/{subject.id}/infusions/{given.id}"
    shown = {**shown_form(client.get(infusion)), "asked": "as-marked", **NAUSEA, "reason": "said at the end"}
    assert save(client, infusion, shown).status_code == 303
    page = page_of(session, subject)
    assert "Correct the answer there" in client.get(page).text
    refused = submit(client, f"{page}/void", {"void-reason": "wrong"}, page=page)
    assert "It was reported at an infusion." in refused.text
    over = {**shown_form(client.get(page)), "outcome": "RECOVERED/RESOLVED", **day("ended_on", date(2026, 2, 28))}
    assert submit(client, page, {**over, "reason": "followed up"}).status_code == 303
    assert "said at the end" in client.get(f"/subjects/{subject.id}").text
    newest = course_of(session, subject).infusions[-1]
    again = f"/subjects/{subject.id}/infusions/{newest.id}"
    weight = {**shown_form(client.get(again)), "weight_kg": "69", "reason": "scale"}
    assert save(client, again, weight).status_code == 303
    (event,) = recorded(session)
    assert (event.outcome, event.ended_on) == ("RECOVERED/RESOLVED", date(2026, 2, 28)), "the follow-up is kept"
    newest = course_of(session, subject).infusions[-1]
    last = f"/subjects/{subject.id}/infusions/{newest.id}"
    assert save(client, f"{last}/remove", {"remove-reason": "not given"}, page=last).status_code == 303
    assert recorded(session) == []


@pytest.mark.dialects("sqlite")
def test_an_infusion_form_from_before_a_follow_up_is_shown_it(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    given = course_of(session, subject).infusions[-1]
    infusion = f"/subjects/{subject.id}/infusions/{given.id}"
    shown = {**shown_form(client.get(infusion)), "asked": "as-marked", **NAUSEA, "reason": "said at the end"}
    save(client, infusion, shown)
    newest = f"/subjects/{subject.id}/infusions/{course_of(session, subject).infusions[-1].id}"
    stale = {**shown_form(client.get(newest)), "weight_kg": "66", "reason": "scale"}
    page = page_of(session, subject)
    graver = {**shown_form(client.get(page)), "ctcae_grade": "3", "reason": "asked again"}
    assert submit(client, page, graver).status_code == 303
    refused = submit(client, newest, stale)
    assert refused.status_code == 422
    assert "This was changed by" in refused.text
    assert shown_form(refused)["weight_kg"] == "66"
    assert recorded(session)[0].ctcae_grade == 3


@pytest.mark.dialects("sqlite")
def test_what_is_reported_in_a_call_is_recorded_from_its_page(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    course = course_of(session, subject)
    call = Call(
        subject_id=subject.id,
        visit_id=visit_of(session, subject, "baseline").id,
        reason="no-contact",
        opened_at=clock.now,
    )
    session.add(call)
    session.commit()
    page = client.get(f"/calls/{call.id}").text
    link = f"{new(subject)}?call={call.id}"
    assert link in page
    assert submit(client, link, FORM).location == f"/calls/{call.id}"
    assert [event.course_id for event in recorded(session)] == [course.id]


@pytest.mark.dialects("sqlite")
def test_a_patient_who_wants_nothing_used_gets_no_new_event_but_a_dead_one_may(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    save(client, f"/subjects/{subject.id}/withdraw", {"scope": "asking", "reason": "moved away"})
    assert record(client, subject).status_code == 303, "safety is recorded of those who are not asked any more"
    page = f"/subjects/{subject.id}/withdraw"
    save(client, page, {"scope": "data", "reason": "wants no use"})
    assert "does not want what is recorded to be used" in record(client, subject).text
