"""Answers are moved to the right visit or the right person, and nothing of them stays where they were."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import free_texts, saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.results import aggregates
from tests.answer_corrections.conftest import FIRST_ON
from tests.answer_corrections.test_amendments import figures
from tests.conftest import Clock
from tests.support.answer_corrections import (
    amend_url,
    amendment,
    answers_of,
    answers_url,
    as_seen,
    columns,
    current,
    in_effect,
    raw_scores,
    shown_form,
    submit_seen,
)
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import add_subject, messages_of
from tests.support.history_builder import NRS, PATIENT, PCS, PI, answer_visit, treated, visit_of
from tests.support.staff_browser import add_site, confirm, save

WHY = "opened the other patient's link"


@pytest.fixture
def other(session: Session, clock: Clock) -> Subject:
    """Another patient of the clinic, whose baseline is open and was not answered."""
    other = add_subject(session, clock.now, planned_start_on=FIRST_ON, given_name="Otto")
    session.commit()
    return other


def move(
    client: FlaskClient, session: Session, subject: Subject, other: Subject, which: str = "all", **more: str
) -> TestResponse:
    """Moves answers of the subject's baseline to the other's, warnings confirmed; returns the reply."""
    url = answers_url(session, subject, "move")
    found = submit_seen(client, url, {"which": which, "study_code": other.study_code, "find": "1"})
    target = visit_of(session, other, more.pop("event", "baseline"))
    data = {**shown_form(found), "target": str(target.id), "reason": WHY, "sure": "y", **more}
    return confirm(client, client.post(url, data=data))


def test_answers_go_to_the_right_person_with_their_scores(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject, other: Subject
) -> None:
    before, answered_at = current(session, subject, NRS), clock.now
    kept = columns(before)
    clock.advance(minutes=10)
    assert move(client, session, subject, other).status_code == 303
    after = current(session, other, NRS)
    assert (after.status, after.replaces_id, after.subject_id) == ("amended", before.id, other.id)
    assert (after.edit_source, after.edit_reason, after.edited_by_id) == ("wrong-visit", WHY, coordinator.id)
    assert (answers_of(after), raw_scores(session, after), after.authored_at) == ([8], [8], answered_at)
    assert columns(before) == {**kept, "status": "entered-in-error"}
    there, here = visit_of(session, other, "baseline"), visit_of(session, subject, "baseline")
    assert (there.completed_at, here.completed_at) == (answered_at, None)
    assert {(each.state, each.end_reason) for each in messages_of(session, there)} == {("ended", "answered")}
    assert "planned" in {each.state for each in messages_of(session, here)}
    assert in_effect(session, subject) == {}


def test_nothing_of_the_answers_stays_visible_where_they_were(
    client: FlaskClient, session: Session, subject: Subject, other: Subject
) -> None:
    assert move(client, session, subject, other).status_code == 303
    assert "No answers yet." in client.get(f"/subjects/{subject.id}").text
    page = client.get(answers_url(session, subject)).text
    assert "Moved away, to the visit or person whose answers they are" in page
    assert WHY.replace("'", "&#39;") in page
    for text in ("Quite a bit", other.study_code, "Otto"):
        assert text not in page
    there = client.get(answers_url(session, other)).text
    assert "Quite a bit" in there
    assert "Moved here from another visit or person" in there
    assert subject.study_code not in there
    resources = client.get(f"/fhir/Patient/{other.study_code}/$everything").get_json()["entry"]
    edits = [each["resource"] for each in resources if each["resource"]["resourceType"] == "Provenance"]
    assert len(edits) == 5
    assert not any("entity" in each for each in edits)
    log = client.get(f"/subjects/{subject.id}/ledger").text
    assert other.study_code not in log
    assert "Answers moved away" in log


def test_answers_that_were_amended_before_the_move_are_not_shown_where_they_were(
    client: FlaskClient, session: Session, subject: Subject, other: Subject
) -> None:
    before = current(session, subject, PI)
    assert save(client, amend_url(session, subject, PI), amendment(before, {0: "5"})).status_code == 303
    assert "Very much" in client.get(answers_url(session, subject)).text
    assert move(client, session, subject, other).status_code == 303
    page = client.get(answers_url(session, subject)).text
    assert "the patient said so on the telephone" in page
    assert ("Quite a bit" in page, "Very much" in page) == (False, False)


def test_the_preview_of_a_move_pairs_each_scale_with_itself(
    client: FlaskClient, session: Session, subject: Subject, other: Subject
) -> None:
    url = answers_url(session, subject, "move")
    found = submit_seen(client, url, {"which": PCS, "study_code": other.study_code, "find": "1"})
    target = str(visit_of(session, other, "baseline").id)
    preview = client.post(url, data={**shown_form(found), "target": target, "reason": WHY, "sure": "y"})
    rows = re.findall(r'<td class="number">([0-9]+)</td><td class="number">([0-9]+)</td>', preview.text)
    assert len(rows) == 4  # the total and its three parts, all different
    assert [before for before, _after in rows] == [after for _before, after in rows]


def test_a_move_has_an_audit_row_for_each_person(
    client: FlaskClient, session: Session, coordinator: Account, subject: Subject, other: Subject
) -> None:
    before = current(session, subject, NRS)
    assert move(client, session, subject, other, NRS).status_code == 303
    after = current(session, other, NRS)
    events = session.scalars(select(AuditEvent).where(AuditEvent.action.startswith("response.move")))
    found = {event.action: (event.subject_id, json.loads(event.detail)) for event in events}
    assert found == {
        "response.move-away": (
            subject.id, {"visit": before.visit_id, "instruments": [NRS], "responses": [before.id]}
        ),
        "response.move-here": (
            other.id, {"visit": after.visit_id, "instruments": [NRS], "responses": [after.id]}
        ),
    }  # fmt: skip


def test_a_suspicious_move_is_confirmed_first(
    client: FlaskClient, session: Session, subject: Subject, other: Subject
) -> None:
    refused = move(client, session, subject, other, sure="")
    assert refused.status_code == 422
    assert "Confirm that you have checked this." in refused.text
    assert "The answers go to another person." in refused.text
    kept = shown_form(refused)
    assert kept["reason"] == WHY
    assert current(session, subject, NRS).status == "completed"


def test_one_instrument_goes_to_another_visit_of_the_same_person(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account
) -> None:
    subject = treated(session, clock.now.date() - timedelta(days=6), clock.now)
    after_course = visit_of(session, subject, "last-infusion")
    answer_visit(session, after_course, clock.now, {NRS: [4]})
    session.commit()
    url = answers_url(session, subject, "move", event="last-infusion")
    found = submit_seen(client, url, {"which": NRS, "study_code": subject.study_code, "find": "1"})
    data = {**shown_form(found), "target": str(visit_of(session, subject, "baseline").id), "reason": WHY, "sure": "y"}
    preview = client.post(url, data=data)
    assert "Nothing is saved yet." in preview.text
    assert confirm(client, preview).status_code == 303
    assert in_effect(session, subject) == {NRS: "amended"}
    assert NRS not in in_effect(session, subject, event="last-infusion")
    assert visit_of(session, subject, "baseline").completed_at is None
    assert visit_of(session, subject, "last-infusion").completed_at is None  # open again, for this instrument


def test_only_visits_that_ask_these_questions_and_have_no_answers_are_offered(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject, other: Subject
) -> None:
    answer_visit(session, visit_of(session, other, "baseline"), clock.now, {})
    session.commit()
    url = answers_url(session, subject, "move")
    found = submit_seen(client, url, {"which": NRS, "study_code": other.study_code, "find": "1"})
    assert "has no visit that asks these questions" in found.text
    taken = move(client, session, subject, other)
    assert taken.status_code == 422
    assert current(session, subject, NRS).status == "completed"


@pytest.mark.dialects("sqlite")
def test_a_patient_of_another_site_is_not_found(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    add_site(session, "south")
    there = add_subject(session, clock.now, planned_start_on=FIRST_ON, site_code="south", given_name="Unseen")
    url = answers_url(session, subject, "move")
    refused = submit_seen(client, url, {"which": NRS, "study_code": there.study_code, "find": "1"})
    assert refused.status_code == 422
    assert "There is no such patient at your sites." in refused.text
    assert "Unseen" not in refused.text


def test_what_the_other_had_begun_is_kept_as_late_answers(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject, other: Subject
) -> None:
    visit = visit_of(session, other, "baseline")
    context = visit_context.by_visit(session, visit.id)
    saving.save_answers(session, context, first_answer(context), at(clock))
    session.commit()
    assert move(client, session, subject, other).status_code == 303
    late = session.scalars(select(LateAnswer)).one()
    assert (late.visit_id, late.instrument_code, late.value) == (visit.id, PI, 5)
    assert session.scalars(select(DraftAnswer)).all() == []
    assert "Answers that arrived late" in client.get(answers_url(session, other)).text


def first_answer(context: visit_context.VisitContext) -> dict[str, dict[str, int | None]]:
    item = context.questionnaire.items[0]
    return {item.instrument_code: {item.link_id: 5}}


def at(clock: Clock) -> RequestContext:
    return RequestContext(PATIENT, clock.now)


def test_an_alert_goes_with_the_answers_to_the_right_person(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    coordinator: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        wrong, right = (add_subject(session, clock.now, planned_start_on=FIRST_ON) for _ in range(2))
        answer_visit(session, visit_of(session, wrong, "baseline"), clock.now, {"phq-9": 2})
        session.commit()
        assert move(client, session, wrong, right, "phq-9").status_code == 303
        calls = {call.subject_id: call.closed_at is None for call in session.scalars(select(Call))}
        assert calls == {wrong.id: False, right.id: True}


def test_refreshed_figures_equal_rebuilt_ones_after_a_move(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject, other: Subject
) -> None:
    aggregates.rebuild(session, now=clock.now)
    session.commit()
    clock.advance(minutes=11)
    assert move(client, session, subject, other).status_code == 303
    aggregates.refresh(session, now=clock.now)
    refreshed = figures(session)
    assert refreshed["baseline", NRS] == 8
    aggregates.rebuild(session, now=clock.now)
    assert figures(session) == refreshed


def test_the_second_to_move_sees_who_was_first(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject, other: Subject
) -> None:
    url = answers_url(session, subject, "move")
    seen = as_seen(client, url)
    assert move(colleague, session, subject, other, NRS).status_code == 303
    target = str(visit_of(session, other, "baseline").id)
    mine = {
        "which": PI,
        "study_code": other.study_code,
        "target": target,
        "sure": "y",
        "reason": "mine",
        "as_shown": seen,
    }
    refused = save(client, url, mine)
    assert refused.status_code == 422
    assert "Robin Colleague" in refused.text
    assert shown_form(refused)["reason"] == "mine"
    assert confirm(client, client.post(url, data={**shown_form(refused), "target": target})).status_code == 303
    assert in_effect(session, other) == {NRS: "amended", PI: "amended"}
    assert visit_of(session, other, "baseline").completed_at is None
    assert {each.state for each in session.scalars(select(Message).where(Message.visit_id == int(target)))} >= {
        "planned"
    }


def test_what_was_written_in_the_free_line_goes_with_the_answers(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    coordinator: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    week = "adverse-effects-week"
    with asking_at_baseline(tmp_path, monkeypatch, week, plans={week: PLAN}):
        wrong, right = (add_subject(session, clock.now, planned_start_on=FIRST_ON) for _ in range(2))
        visit = visit_of(session, wrong, "baseline")
        answer_visit(session, visit, clock.now, {week: 0})
        context = visit_context.by_visit(session, visit.id)
        free_texts.keep_late(session, context, {week: "my tongue is numb"}, at(clock))
        session.commit()
        assert move(client, session, wrong, right, week).status_code == 303
        assert free_texts.current(session, visit.id) == {}
        assert free_texts.current(session, visit_of(session, right, "baseline").id) == {week: "my tongue is numb"}
        assert "tongue" not in client.get(f"/subjects/{wrong.id}").text
        assert "tongue" in client.get(f"/subjects/{right.id}").text
