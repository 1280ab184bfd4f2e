"""A coordinator amends answers: a new response with new scores, followed at once by everything that reads them."""

import csv
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.errors import ChangedSince
from pro_tracker.domain.response_codes import EditSource
from pro_tracker.models.account import Account
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services.answer_corrections import amendments
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.answering import saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.calling import unanswered
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent
from tests.answer_corrections.conftest import FIRST_ON
from tests.conftest import Clock
from tests.support.answer_corrections import (
    amend_url,
    amendment,
    answers_of,
    answers_url,
    columns,
    current,
    raw_scores,
    shown_form,
)
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR, add_subject, record_infusions
from tests.support.history_builder import NRS, PATIENT, PI, answer_visit, course_of, visit_of
from tests.support.staff_browser import SEEN, confirm, save, sign_in, submit


def test_an_amended_answer_makes_a_new_response_with_new_scores(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    before = current(session, subject, NRS)
    kept = columns(before)
    answered_at = clock.now
    clock.advance(minutes=10)
    saved = save(client, amend_url(session, subject, NRS), amendment(before, {0: "3"}, reason="meant 3"))
    assert (saved.status_code, saved.location) == (303, answers_url(session, subject))
    after = current(session, subject, NRS)
    assert (after.status, after.replaces_id, after.edited_at) == ("amended", before.id, clock.now)
    assert (after.edited_by_id, after.edit_reason, after.edit_source) == (coordinator.id, "meant 3", "patient")
    assert answers_of(after) == [3]
    assert (after.authored_at, after.mode, after.language) == (answered_at, "self-web", "en")
    assert (raw_scores(session, before), raw_scores(session, after)) == ([8], [3])
    assert columns(before) == {**kept, "status": "entered-in-error"}


def test_the_preview_shows_answers_and_scores_before_and_after_and_saves_nothing(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    before = current(session, subject, PI)
    preview = submit(client, amend_url(session, subject, PI), amendment(before, {0: "1", 1: "declined"}))
    assert "Nothing is saved yet." in preview.text
    for text in ("Quite a bit", "Not at all", "Would rather not answer", "7 of 8 items answered"):
        assert text in preview.text
    assert current(session, subject, PI).id == before.id


def test_an_answer_can_be_withheld_and_given_where_there_was_none(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=clock.now.date() + timedelta(days=7))
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {PI: [None, *[4] * 7]})
    session.commit()
    url = amend_url(session, subject, PI)
    before = current(session, subject, PI)
    assert save(client, url, amendment(before, {0: "2", 7: "declined"}, source="paper")).status_code == 303
    after = current(session, subject, PI)
    assert answers_of(after) == [2, *[4] * 6, None]
    assert list(after.missing.values()) == ["declined"]
    assert after.edit_source == "paper"


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({}, "Nothing differs from what is recorded."),
        ({"item_0": "3", "reason": ""}, "Say why the answers are corrected."),
        ({"item_0": "3", "source": ""}, "Choose how you know it."),
        ({"item_0": "3", "source": "late-answer"}, "Choose how you know it."),
        ({"item_0": "11"}, "Choose one of the list."),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_incomplete_amendment_is_refused_in_plain_words(
    client: FlaskClient, session: Session, subject: Subject, more: dict[str, str], advice: str
) -> None:
    before = current(session, subject, NRS)
    refused = submit(client, amend_url(session, subject, NRS), amendment(before, {}, **more))
    assert refused.status_code == 422
    assert advice in refused.text
    assert current(session, subject, NRS).id == before.id


def test_trend_files_and_fhir_follow_at_once(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    before = current(session, subject, NRS)
    assert save(client, amend_url(session, subject, NRS), amendment(before, {0: "3"})).status_code == 303
    page = client.get(f"/subjects/{subject.id}").text
    assert '<td class="number">3</td>' in page
    values = [row["QSORRES"] for row in long_file(session, clock) if row["QSCAT"] == NRS]
    assert values == ["3", "3.0"]  # the item, and the score
    found = client.get(f"/fhir/Patient/{subject.study_code}/$everything").get_json()
    by_id = {(each["resource"]["resourceType"], each["resource"]["id"]): each["resource"] for each in found["entry"]}
    after = current(session, subject, NRS)
    old, new = (by_id["QuestionnaireResponse", str(row.id)] for row in (before, after))
    assert (old["status"], "item" in old) == ("entered-in-error", False)
    assert (new["status"], new["item"][0]["answer"]) == ("amended", [{"valueInteger": 3}])
    revision = by_id["Provenance", f"{after.id}.edit"]
    assert revision["entity"][0]["what"] == {"reference": f"QuestionnaireResponse/{before.id}"}
    assert revision["target"] == [{"reference": f"QuestionnaireResponse/{after.id}"}]
    get_fhir_model_class("Provenance").model_validate(revision)
    observations = {key: each for (kind, key), each in by_id.items() if kind == "Observation"}
    mine = {key: (each["status"], each.get("valueQuantity", {}).get("value")) for key, each in observations.items()}
    assert mine[f"{before.id}.total"] == ("entered-in-error", None)
    assert mine[f"{after.id}.total"] == ("amended", 3)


def long_file(session: Session, clock: Clock) -> list[dict[str, str]]:
    text = io.StringIO(newline="")
    exports.write(session, "long", text, Extent(clock.now))
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_refreshed_figures_equal_rebuilt_ones_after_an_amendment(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    aggregates.rebuild(session, now=clock.now)
    clock.advance(minutes=11)  # past the overlap of two refreshes
    aggregates.refresh(session, now=clock.now)
    session.commit()
    clock.advance(minutes=11)
    before = current(session, subject, NRS)
    assert save(client, amend_url(session, subject, NRS), amendment(before, {0: "3"})).status_code == 303
    aggregates.refresh(session, now=clock.now)
    refreshed = figures(session)
    assert refreshed["baseline", NRS] == 3
    aggregates.rebuild(session, now=clock.now)
    assert figures(session) == refreshed


def test_an_amended_baseline_counts_the_later_visit_once_and_changes_what_it_is_compared_with(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    days = [FIRST_ON + timedelta(days=number) for number in range(5)]
    clock.advance(days=(days[-1] - clock.now.date()).days + 1)
    record_infusions(session, course_of(session, subject), clock.now, *days)
    clock.advance(days=1)
    answer_visit(session, visit_of(session, subject, "last-infusion"), clock.now, {NRS: [5]})
    session.commit()
    sign_in(client, coordinator)  # the session is over after these days
    before = current(session, subject, NRS)
    assert save(client, amend_url(session, subject, NRS), amendment(before, {0: "7"})).status_code == 303
    aggregates.rebuild(session, now=clock.now)
    rows = session.scalars(
        select(Aggregate).where(Aggregate.event_code == "last-infusion", Aggregate.instrument_code == NRS)
    )
    assert {(row.n_expected, row.n_answered, row.n_paired, row.mean_change) for row in rows} == {(1, 1, 1, -2.0)}


def figures(session: Session) -> dict[tuple[str, str], float | None]:
    session.expire_all()
    return {(row.event_code, row.instrument_code): row.mean for row in session.scalars(select(Aggregate))}


def test_the_second_to_amend_sees_what_changed_and_loses_nothing(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    url, before = amend_url(session, subject, PI), current(session, subject, PI)
    first = amendment(before, {0: "1"}, reason="asked again")
    mine = amendment(before, {3: "2"}, source="paper", reason="read the form")
    assert save(colleague, url, first).status_code == 303
    newer = current(session, subject, PI)
    refused = submit(client, url, mine)
    assert refused.status_code == 422
    assert "Robin Colleague changed this on" in refused.text
    assert "(asked again)" in refused.text
    assert "Quite a bit → Not at all" in refused.text
    kept = shown_form(refused)
    assert (kept["item_0"], kept["item_3"], kept["reason"], kept["source"]) == ("1", "2", "read the form", "paper")
    assert kept["as_shown"] == str(newer.id)
    assert confirm(client, client.post(url, data=kept)).status_code == 303
    after = current(session, subject, PI)
    assert after.replaces_id == newer.id
    assert answers_of(after) == [1, 4, 4, 2, 4, 4, 4, 4]


def test_a_conflict_between_preview_and_saving_is_shown_too(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    url, before = amend_url(session, subject, PI), current(session, subject, PI)
    preview = submit(client, url, amendment(before, {3: "2"}))
    assert SEEN.search(preview.text)
    assert save(colleague, url, amendment(before, {0: "1"})).status_code == 303
    refused = confirm(client, preview)
    assert refused.status_code == 422
    assert "Robin Colleague changed this on" in refused.text
    assert shown_form(refused)["item_3"] == "2"


def test_an_amended_answer_that_raises_an_alert_opens_its_call(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    coordinator: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        subject = add_subject(session, clock.now, planned_start_on=clock.now.date() + timedelta(days=7))
        answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {"phq-9": 0})
        session.commit()
        before = current(session, subject, "phq-9")
        assert save(client, amend_url(session, subject, "phq-9"), amendment(before, {8: "2"})).status_code == 303
        calls = session.scalars(select(Call)).all()
        assert [(call.reason, call.closed_at, call.subject_id) for call in calls] == [("alert", None, subject.id)]


def test_the_audit_row_holds_ids_and_codes_only_and_the_log_page_the_reason(
    client: FlaskClient, session: Session, coordinator: Account, subject: Subject
) -> None:
    before = current(session, subject, NRS)
    save(client, amend_url(session, subject, NRS), amendment(before, {0: "3"}, reason="meant three"))
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "response.amend")).one()
    after = current(session, subject, NRS)
    assert (event.subject_id, event.actor_id) == (subject.id, str(coordinator.id))
    assert json.loads(event.detail) == {
        "visit": after.visit_id,
        "instrument": NRS,
        "response": after.id,
        "response_before": before.id,
        "items": list(after.answers),
        "source": "patient",
    }
    log = client.get(f"/subjects/{subject.id}/ledger").text
    assert "Answers amended" in log
    assert "meant three" in log


def test_the_answers_page_shows_every_answer_and_who_corrected_what(
    client: FlaskClient, session: Session, coordinator: Account, subject: Subject
) -> None:
    before = current(session, subject, NRS)
    save(client, amend_url(session, subject, NRS), amendment(before, {0: "3"}, reason="meant three"))
    page = client.get(answers_url(session, subject)).text
    for text in ("Quite a bit", "own device", "English", "The coordinator", "meant three"):
        assert text in page
    assert "The patient said so" in page
    assert f'href="{answers_url(session, subject)}"' in client.get(f"/subjects/{subject.id}").text


def test_answers_that_were_never_sent_count_once_they_are_complete(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=clock.now.date() + timedelta(days=7))
    visit = visit_of(session, subject, "baseline")
    context = visit_context.by_visit(session, visit.id)
    items = [item.link_id for item in context.questionnaire.items if item.instrument_code == PI]
    given = {PI: dict.fromkeys(items[:6], 4)}
    saving.save_answers(session, context, given, RequestContext(PATIENT, clock.now))
    clock.set(visit.closes_at + timedelta(days=3))
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    sign_in(client, coordinator)
    url, stopped = amend_url(session, subject, PI), current(session, subject, PI)
    assert (stopped.status, stopped.stop_reason) == ("stopped", "started-not-sent")
    open_items = {"item_6": "4", "item_7": ""}
    still = {**amendment(stopped, {}, source="paper"), **open_items}
    assert save(client, url, still).status_code == 303
    part = current(session, subject, PI)
    assert (part.status, part.replaces_id) == ("stopped", stopped.id)
    assert save(client, url, {**amendment(part, {7: "4"}, source="paper")}).status_code == 303
    whole = current(session, subject, PI)
    assert (whole.status, raw_scores(session, whole)) == ("amended", [32])


@pytest.mark.dialects("postgresql")
def test_of_two_amendments_at_the_same_moment_one_is_saved(session: Session, clock: Clock, subject: Subject) -> None:
    response_id = current(session, subject, NRS).id
    session.commit()
    begin = threading.Barrier(2)

    def amend(value: int) -> str:
        with db.Session() as own:
            response = own.get_one(QuestionnaireResponse, response_id)
            facts = AmendmentFacts({next(iter(response.answers)): value}, EditSource.PATIENT, "asked again")
            begin.wait()
            try:
                amendments.amend(own, COORDINATOR, response, facts, now=clock.now)
                own.commit()
            except ChangedSince:
                return "refused"
            return "saved"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(amend, (3, 5))) == ["refused", "saved"]
    assert current(session, subject, NRS).replaces_id == response_id
