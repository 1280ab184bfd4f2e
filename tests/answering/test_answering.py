"""Answering a visit: every answer is kept as it is given, and sending makes one record with its scores."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import AnswerOutOfRange, InvalidInput, UnknownItem
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import audit
from pro_tracker.services.answering import request_context, responses, saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.audit import Actor
from tests.conftest import Clock
from tests.support.patient_browser import (
    BATTERY,
    N_ITEMS,
    PAIN,
    Patient,
    add_patient,
    answer,
    answer_all,
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


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_an_answer_is_saved_as_it_is_given_and_leads_to_the_next_question(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = answer(client, begin(client, patient), 3)
    assert place(page) == "item/2"
    assert draft(session, patient) == {PAIN: {"PAININ9": 3}}
    assert session.get_one(Visit, patient.visit.id).started_at == clock.now


def test_the_page_says_which_question_of_how_many_it_is(client: FlaskClient, patient: Patient) -> None:
    page = begin(client, patient)
    assert f"<title>Question 1 of {N_ITEMS}: " in page.text
    assert '<fieldset class="govuk-fieldset options" lang="en">' in page.text


def test_going_back_shows_the_answer_given(client: FlaskClient, patient: Patient) -> None:
    answer(client, begin(client, patient), 3)
    assert 'value="3" checked' in get(client, patient, "item/1").text


def test_an_answer_can_be_changed_before_sending(client: FlaskClient, session: Session, patient: Patient) -> None:
    first = begin(client, patient)
    answer(client, first, 3)
    answer(client, first, 5)
    assert draft(session, patient) == {PAIN: {"PAININ9": 5}}


def test_a_question_can_be_left_unanswered_on_purpose(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = post(client, begin(client, patient), {"skip": "yes"})
    assert place(page) == "item/2"
    assert draft(session, patient) == {PAIN: {"PAININ9": None}}
    assert "You chose not to answer this question." in get(client, patient, "item/1").text


def test_continuing_without_an_answer_asks_for_one(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = post(client, begin(client, patient), {})
    assert page.status_code == 422
    assert "<title>Error: Question 1" in page.text
    assert 'href="#answer-1"' in page.text
    assert count(session, VisitDraft) == 0


@pytest.mark.parametrize("value", ["0", "6", "-1", "3.0", "three", ""])
def test_an_answer_that_is_no_option_is_refused(
    client: FlaskClient, session: Session, patient: Patient, value: str
) -> None:
    page = answer(client, begin(client, patient), value)
    assert page.status_code == 422
    assert count(session, VisitDraft) == 0


def test_a_question_that_does_not_exist_is_a_404(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    assert [get(client, patient, f"item/{number}").status_code for number in (0, N_ITEMS + 1)] == [404, 404]


def test_another_device_goes_on_at_the_first_open_question(
    client: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient
) -> None:
    page = begin(client, patient)
    for _ in range(3):
        page = answer(client, page, 1)
    assert place(begin(another_client(), patient)) == "item/4"


def test_answers_from_two_devices_end_in_one_draft(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient
) -> None:
    other = another_client()
    here, there = begin(client, patient), begin(other, patient)
    answer(client, here, 1)
    second = get(other, patient, "item/2")
    answer(other, second, 2)
    answer(other, there, 4)
    assert draft(session, patient) == {PAIN: {"PAININ9": 4, "PAININ22": 2}}


def test_the_review_lists_every_answer_with_a_way_to_change_it(client: FlaskClient, patient: Patient) -> None:
    page = answer_all(client, patient)
    assert place(page) == "review"
    assert "Your answers are saved but not sent yet." in page.text
    assert page.text.count(">Change</a>") == N_ITEMS
    back = answer(client, get(client, patient, "item/5?review"), 1)
    assert place(back) == "review"


def test_the_review_says_how_many_questions_have_no_answer(client: FlaskClient, patient: Patient) -> None:
    answer(client, begin(client, patient), 1)
    assert f"{N_ITEMS - 1} questions have no answer." in get(client, patient, "review").text


def test_the_review_of_nothing_leads_to_the_first_question(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    assert get(client, patient, "review").location == url(client, patient, "item/1")


def test_sending_makes_one_response_an_instrument_with_what_it_was_asked_with(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    thanks = post(client, answer_all(client, patient), {})
    assert (place(thanks), heading(thanks)) == ("sent", "Thank you")
    assert "call your local emergency number" in thanks.text
    rows = session.scalars(select(QuestionnaireResponse).order_by(QuestionnaireResponse.id)).all()
    assert [row.instrument_code for row in rows] == BATTERY
    pain = rows[0]
    assert pain.answers == dict.fromkeys(pain.answers, 2)
    assert len(pain.answers) == 8
    assert (pain.status, pain.mode, pain.authored_at) == ("completed", "self-web", clock.now)
    assert (pain.language, pain.text_pack_validated) == ("en", False)
    assert pain.instrument_version
    assert pain.text_pack_version
    visit = session.get_one(Visit, patient.visit.id)
    assert visit.completed_at == clock.now
    assert count(session, VisitDraft) == 0


def test_sending_scores_every_scale(client: FlaskClient, session: Session, patient: Patient) -> None:
    post(client, answer_all(client, patient), {})
    scores = {(row.instrument_code, row.scale_code): row for row in session.scalars(select(Score))}
    assert len(scores) == 8  # one for each of five forms, and three subscales of one of them
    pain = scores[PAIN, "total"]
    assert (pain.raw_score, pain.t_score, pain.status) == (16, 55.8, "scored")
    assert (scores["pcs", "total"].raw_score, scores["pain-intensity-nrs", "total"].raw_score) == (26, 2)
    assert {row.response_id for row in scores.values()} == set(session.scalars(select(QuestionnaireResponse.id)))


def test_an_unanswered_item_is_recorded_as_such_and_its_form_has_no_score(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = post(client, begin(client, patient), {"skip": "yes"})
    for _ in range(N_ITEMS - 1):
        page = answer(client, page, 2)
    post(client, page, {})
    response = session.scalars(select(QuestionnaireResponse).where(QuestionnaireResponse.instrument_code == PAIN)).one()
    score = session.scalars(select(Score).where(Score.response_id == response.id)).one()
    assert response.answers["PAININ9"] is None
    assert (score.status, score.raw_score, score.n_answered) == ("not-scored", None, 7)
    assert score.reason


def test_a_few_answers_can_be_sent(client: FlaskClient, session: Session, patient: Patient) -> None:
    answer(client, begin(client, patient), 1)
    post(client, get(client, patient, "review"), {})
    assert count(session, QuestionnaireResponse) == len(BATTERY)


def test_nothing_at_all_cannot_be_sent(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = begin(client, patient)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert client.post(url(client, patient, "review"), data={"csrf_token": token}).status_code == 422
    assert count(session, QuestionnaireResponse) == 0


def test_sending_ends_the_reminders_and_closes_the_call(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    for step, state in enumerate(("sent", "planned", "planned")):
        session.add(
            Message(
                subject_id=patient.visit.subject_id,
                visit_id=patient.visit.id,
                kind="reminder",
                step=step,
                template="reminder",
                channel="email",
                local_on=clock.now.date(),
                local_time=clock.now.time(),
                send_at=clock.now,
                state=state,
                sent_at=clock.now if state == "sent" else None,
                created_at=clock.now,
            )
        )
    call = Call(
        subject_id=patient.visit.subject_id, visit_id=patient.visit.id, reason="no-contact", opened_at=clock.now
    )
    session.add(call)
    session.flush()
    post(client, answer_all(client, patient), {})
    states = session.execute(select(Message.state, Message.end_reason).order_by(Message.step)).all()
    assert [tuple(row) for row in states] == [("sent", None), ("ended", "answered"), ("ended", "answered")]
    assert (session.get_one(Call, call.id).outcome, session.get_one(Call, call.id).closed_at) == ("answered", clock.now)


def test_sending_writes_an_audit_row_without_an_answer_and_the_chain_holds(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    post(client, answer_all(client, patient), {})
    last = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert last is not None
    assert (last.action, last.actor_kind, last.subject_id) == ("visit.complete", "patient", patient.visit.subject_id)
    assert last.detail == f'{{"mode":"self-web","visit":{patient.visit.id}}}'
    assert audit.first_invalid_event(session) is None


def test_a_double_tap_sends_once(client: FlaskClient, session: Session, patient: Patient) -> None:
    review = answer_all(client, patient)
    post(client, review, {})
    again = post(client, review, {})
    assert heading(again) == "Thank you"
    assert count(session, QuestionnaireResponse) == len(BATTERY)
    assert count(session, Score) == 8


def test_the_back_button_after_sending_shows_no_answer_and_saves_none(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    review = answer_all(client, patient)
    item = get(client, patient, "item/3")
    post(client, review, {})
    pages = [get(client, patient, "item/3"), get(client, patient, "review"), answer(client, item, 5)]
    assert [page.status_code for page in pages] == [409, 409, 200]
    for page in pages:
        assert "checked" not in page.text
        assert page.headers["Cache-Control"] == "no-store"
    assert heading(pages[2]) == "We had your answers already"
    assert count(session, VisitDraft) == 0


def test_a_used_link_says_when_the_answers_were_sent(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    post(client, answer_all(client, patient), {})
    clock.advance(days=2)
    page = open_link(client, patient)
    assert page.status_code == 409
    assert "March 2, 2026" in page.text
    assert "+1 216 555 0100" in page.text


def test_the_thank_you_page_is_for_answers_that_were_sent(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    assert get(client, patient, "sent").location == url(client, patient)


def test_a_started_visit_can_be_finished_after_its_window_closed(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at - timedelta(minutes=1))
    answer(client, begin(client, patient), 3)
    clock.set(patient.visit.closes_at + timedelta(hours=23))
    page = begin(client, patient)
    for _ in range(N_ITEMS - 1):
        page = answer(client, page, 3)
    assert place(post(client, page, {})) == "sent"
    assert count(session, QuestionnaireResponse) == len(BATTERY)


def test_a_patient_who_returns_in_the_grace_period_sees_until_when_to_finish(
    client: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at - timedelta(minutes=1))
    answer(client, begin(client, patient), 3)
    assert "You can answer until March 11, 2026." in open_link(another_client(), patient).text
    clock.set(patient.visit.closes_at + timedelta(hours=2))
    page = open_link(another_client(), patient)
    # 24 hours after that answer, at 10:59 in New York, where summer time has begun.
    assert "you can still finish what you started until March 12, 2026, 10:59" in page.text
    assert "You can answer until" not in page.text


def test_a_closed_window_takes_no_first_answer(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    clock.set(patient.visit.closes_at)
    shown = answer(client, page, 3)
    assert (shown.status_code, heading(shown)) == (403, "Questions for you")  # after days, the birth date comes first
    assert count(session, VisitDraft) == 0


def test_a_window_that_closes_while_answering_keeps_the_draft_and_says_so(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at - timedelta(hours=1))
    review = answer_all(client, patient)
    clock.advance(hours=24)
    page = post(client, review, {})
    assert page.status_code == 410
    assert heading(page) == "The time for these questions is over"
    assert len(draft(session, patient)) == len(BATTERY)
    assert count(session, QuestionnaireResponse) == 0


def test_a_script_gets_the_next_url_as_json_instead_of_a_redirect(client: FlaskClient, patient: Patient) -> None:
    page = begin(client, patient)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    data = {"csrf_token": token, "answer": "1"}
    answered = client.post(url(client, patient, "item/1"), data=data, headers={"X-Requested-With": "fetch"})
    assert answered.json == {"next": url(client, patient, "item/2")}


def test_a_form_without_its_token_is_refused(client: FlaskClient, session: Session, patient: Patient) -> None:
    begin(client, patient)
    assert client.post(url(client, patient, "item/1"), data={"answer": "1"}).status_code == 400
    assert count(session, VisitDraft) == 0


def test_the_pages_speak_the_subjects_language(client: FlaskClient, session: Session, clock: Clock) -> None:
    spanish = add_patient(session, clock.now, language="es")
    page = open_link(client, spanish)
    assert '<html lang="es" dir="ltr">' in page.text
    assert heading(page) == "Preguntas para usted"
    item = give_birth_date(client, page)
    assert f"Pregunta 1 de {N_ITEMS}" in item.text
    assert 'lang="es"' in item.text
    post(client, answer(client, item, 1), {"skip": "yes"})
    post(client, get(client, spanish, "review"), {})
    assert set(session.scalars(select(QuestionnaireResponse.language))) == {"es"}


def test_the_service_refuses_what_no_form_would_send(session: Session, patient: Patient, clock: Clock) -> None:
    context = visit_context.by_visit(session, patient.visit.id)
    with pytest.raises(UnknownItem):
        saving.save_answers(session, context, {PAIN: {"PAININ1": 1}}, request_context.of_patient(1, clock.now))
    with pytest.raises(AnswerOutOfRange):
        saving.save_answers(session, context, {PAIN: {"PAININ9": 6}}, request_context.of_patient(1, clock.now))
    with pytest.raises(InvalidInput, match="no answer to send"):
        responses.complete(session, context, RequestContext(Actor(ActorKind.ACCOUNT, "1"), clock.now))


@pytest.mark.dialects("postgresql")
def test_sending_34_items_waits_for_the_database_twice(client: FlaskClient, patient: Patient, tmp_path: Path) -> None:
    review = answer_all(client, patient)
    waits = round_trips(tmp_path / "trace", lambda: post(client, review, {}, follow_redirects=False))
    assert waits == 2


@pytest.mark.dialects("postgresql")
def test_saving_an_answer_waits_for_the_database_twice(client: FlaskClient, patient: Patient, tmp_path: Path) -> None:
    page = answer(client, begin(client, patient), 1)
    waits = round_trips(tmp_path / "trace", lambda: post(client, page, {"answer": "1"}, follow_redirects=False))
    assert waits == 2


def round_trips(path: Path, request: Callable[[], TestResponse]) -> int:
    """Returns the round trips of a request to PostgreSQL, from the libpq trace of the only pooled connection."""
    engine = db.Session.kw["bind"]
    engine.dispose()
    with path.open("w+") as trace:
        pooled = engine.raw_connection()
        pooled.driver_connection.pgconn.trace(trace.fileno())
        pooled.close()
        assert request().status_code == 303
        engine.dispose()
        trace.seek(0)
        sides = [side for line in trace for side in line.split("\t") if side in ("F", "B")]
    return sum(1 for pair in pairwise(sides) if pair == ("F", "B"))
