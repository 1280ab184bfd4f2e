"""`pro-tracker check-ledger` finds answers that are lost, changed, or filed under another visit or language."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from pro_tracker.domain.response_codes import EditSource
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services.answer_corrections import amendments
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.answering import late_answers, responses, saving, visit_context
from pro_tracker.services.answering.request_context import Given, RequestContext
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import PATIENT
from tests.support.ledger_fixture import LedgerFixture, at
from tests.support.patient_browser import PAIN

LOST = "answer not stored as it was given"
UNKNOWN = "answer stored that was never given"
NOT_KEPT = "late answer not kept"
FIRST, SECOND = "PAININ9", "PAININ22"
NOON = at(10, 9, 15)
PHONE = RequestContext(PATIENT, NOON, device="access-1")

pytestmark = pytest.mark.dialects("sqlite", "postgresql")


def give(ledger: LedgerFixture, answers: dict[str, int | None], context: RequestContext = PHONE) -> None:
    """Saves answers of the notified subject, and logs them."""
    visit = visit_context.by_visit(ledger.session, ledger.visit(ledger.subject).id)
    log(ledger, visit.visit_id, answers, context)
    if late_answers.is_over(visit, context.now):
        late_answers.keep(ledger.session, visit, {PAIN: answers}, context)
    else:
        saving.save_answers(ledger.session, visit, {PAIN: answers}, context)


def log(ledger: LedgerFixture, visit_id: int, answers: dict[str, int | None], context: RequestContext = PHONE) -> None:
    known: dict[str, Any] = {"device": context.device, "sequence": context.sequence, "language": "en"}
    entry = {"visit": visit_id, "instrument": PAIN, "answers": answers, "given_at": context.given_at, **known}
    ledger.entries.insert(-1, {"at": context.now, "event": "answer", "subject": ledger.subject.id, **entry})


def send(ledger: LedgerFixture) -> None:
    visit = visit_context.by_visit(ledger.session, ledger.visit(ledger.subject).id)
    context = replace(PHONE, now=NOON + timedelta(minutes=1))
    responses.complete(ledger.session, visit, context)
    entry = {"at": context.now, "event": "answered", "subject": ledger.subject.id, "visit": visit.visit_id}
    ledger.entries.insert(-1, entry)


@pytest.fixture
def begun(ledger: LedgerFixture) -> LedgerFixture:
    """A visit with two answers; an older answer to the first arrived after it."""
    give(ledger, {FIRST: 4})
    older = replace(PHONE, device="access-2", given=Given(NOON - timedelta(minutes=9), 1))
    give(ledger, {FIRST: 1}, older)
    give(ledger, {SECOND: None})
    return ledger


@pytest.fixture
def sent(begun: LedgerFixture) -> LedgerFixture:
    """The same visit, sent, and another answer after that."""
    send(begun)
    give(begun, {FIRST: 5}, replace(PHONE, now=NOON + timedelta(minutes=5)))
    return begun


def test_answers_in_progress_and_sent_are_found_where_they_belong(begun: LedgerFixture, tmp_path: Path) -> None:
    assert begun.findings(tmp_path) == {}
    send(begun)
    give(begun, {FIRST: 5}, replace(PHONE, now=NOON + timedelta(minutes=5)))
    assert begun.findings(tmp_path) == {}


def lose_an_answer(ledger: LedgerFixture) -> None:
    ledger.session.execute(delete(DraftAnswer).where(DraftAnswer.link_id == FIRST))


def let_the_older_answer_win(ledger: LedgerFixture) -> None:
    ledger.session.execute(update(DraftAnswer).where(DraftAnswer.link_id == FIRST).values(value=1))


def forget_the_language(ledger: LedgerFixture) -> None:
    ledger.session.execute(update(DraftAnswer).where(DraftAnswer.link_id == SECOND).values(language="es"))


@pytest.mark.parametrize("inject", [lose_an_answer, let_the_older_answer_win, forget_the_language])
def test_a_changed_draft_is_found(
    begun: LedgerFixture, inject: Callable[[LedgerFixture], None], tmp_path: Path
) -> None:
    inject(begun)
    assert begun.findings(tmp_path) == {LOST: 1}


def test_answers_filed_under_another_person_are_found_on_both_sides(begun: LedgerFixture, tmp_path: Path) -> None:
    for entry in begun.entries:
        if entry["event"] == "answer":
            entry["visit"], entry["subject"] = begun.visit(begun.waiting).id, begun.waiting.id
    assert begun.findings(tmp_path) == {LOST: 2, UNKNOWN: 2}


def test_a_late_answer_that_is_lost_or_changes_the_record_is_found(sent: LedgerFixture, tmp_path: Path) -> None:
    sent.session.execute(delete(LateAnswer))
    assert sent.findings(tmp_path) == {NOT_KEPT: 1}
    row = sent.session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    row.answers = {**row.answers, FIRST: 5}
    assert sent.findings(tmp_path) == {LOST: 1}


def test_a_response_that_is_lost_is_found(sent: LedgerFixture, tmp_path: Path) -> None:
    sent.session.execute(delete(Score))
    sent.session.execute(delete(QuestionnaireResponse))
    assert sent.findings(tmp_path)[LOST] == 2


def amend(ledger: LedgerFixture, answers: dict[str, int | None]) -> None:
    """Corrects answers of the sent visit, and logs it."""
    row = ledger.session.scalars(
        select(QuestionnaireResponse).filter_by(instrument_code=PAIN, status="completed")
    ).one()
    facts = AmendmentFacts(answers, EditSource.PATIENT, "meant another answer")
    amendments.amend(ledger.session, COORDINATOR, row, facts, now=NOON + timedelta(hours=2))
    entry = {"visit": row.visit_id, "instrument": PAIN, "answers": answers, "subject": ledger.subject.id}
    ledger.entries.insert(-1, {"at": NOON + timedelta(hours=2), "event": "amended", **entry})


def test_a_correction_stands_and_a_late_answer_equal_to_what_was_sent_is_not_missing(
    begun: LedgerFixture, tmp_path: Path
) -> None:
    send(begun)
    give(begun, {FIRST: 4}, replace(PHONE, now=NOON + timedelta(minutes=5)))
    amend(begun, {FIRST: 2})
    assert begun.findings(tmp_path) == {}
    begun.remove_entries("amended")
    assert begun.findings(tmp_path) == {LOST: 1}
