"""`pro-tracker check-ledger` knows consent forms: what was answered to them, and what may be asked and sent then."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from pro_tracker.domain.consent import ConsentMode, ConsentOutcome, ConsentPurpose
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.call import Call
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import saving, visit_context
from pro_tracker.services.answering.request_context import Given, RequestContext
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.wording import consent_forms
from tests.simulation.test_ledger_check import OF_CONSENT
from tests.support.consent_fixtures import with_consent_form
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import PATIENT
from tests.support.ledger_fixture import LedgerFixture, at

DECLINED = "sent after a declined consent form"
NOT_STORED = "consent not stored as it was answered"
NO_CONSENT = "answer without consent"
LEFT_TO_ASK = "left to ask after a declined consent form"
MISSING = "missing, or more than one hour late"
NOT_DUE = "sent but not due"

Defect = Callable[[LedgerFixture], None]

pytestmark = pytest.mark.dialects("sqlite")


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Before `ledger`, whose courses follow the protocol with the form."""
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


def findings(ledger: LedgerFixture, folder: Path) -> dict[str, int]:
    return ledger.findings(folder, folder / "protocols")


def decide(ledger: LedgerFixture, when: datetime, outcome: str, *, is_logged: bool = True) -> ConsentDecision:
    """Answers the form on the phone of the patient, and logs it."""
    agreed = {ConsentPurpose.CARE: True} if outcome == "given" else {}
    form = consent_forms.form("example")
    facts = ConsentFacts(form, ConsentOutcome(outcome), ConsentMode.OWN_DEVICE, "en", agreed, "Zoë Demo")
    facts = replace(facts, visit_id=ledger.visit(ledger.subject).id)
    decision = consent_decisions.record(ledger.session, COORDINATOR, ledger.subject, facts, now=when)
    if is_logged:
        log(ledger, when, decision)
    return decision


def log(ledger: LedgerFixture, when: datetime, decision: ConsentDecision) -> None:
    is_given = decision.outcome is ConsentOutcome.GIVEN
    ledger.log(
        when,
        "consent",
        decision=decision.id,
        form=decision.form_code,
        version=decision.version,
        outcome=decision.outcome,
        given_at=decision.given_at,
        copy_of_visit=ledger.visit(ledger.subject).id if is_given else None,
    )


def answer(ledger: LedgerFixture, when: datetime) -> None:
    """Saves an answer by the service, which leaves the question of consent to the pages, and logs it."""
    visit = visit_context.by_visit(ledger.session, ledger.visit(ledger.subject).id)
    code = visit.questionnaire.items[0].instrument_code
    answers = {visit.questionnaire.items[0].link_id: 2}
    context = RequestContext(PATIENT, when, device="phone", given=Given(when, 1))
    saving.save_answers(ledger.session, visit, {code: answers}, context)
    known = {"visit": visit.visit_id, "instrument": code, "answers": answers, "language": visit.language}
    ledger.log(when, "answer", **known, given_at=when, device="phone", sequence=1)


def copy_of_consent(ledger: LedgerFixture) -> Message:
    return ledger.session.scalars(select(Message).where(Message.kind == "consent-copy")).one()


def message_after_a_decline(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 8, 59), "declined")


def message_after_a_decline_of_the_other_record(ledger: LedgerFixture) -> None:
    """Both records are of one person, who declined under the other one."""
    ledger.session.get_one(Subject, ledger.waiting.id).merged_into_id = ledger.subject.id
    ledger.log(at(8, 8), "merged", subject=ledger.waiting.id, into=ledger.subject.id)
    form = consent_forms.form("example")
    facts = ConsentFacts(form, ConsentOutcome.DECLINED, ConsentMode.OWN_DEVICE, "en")
    decision = consent_decisions.record(ledger.session, COORDINATOR, ledger.subject, facts, now=at(9, 8, 59))
    decision.subject_id = ledger.waiting.id
    known = {"subject": ledger.waiting.id, "decision": decision.id, "form": "example", "version": "1"}
    ledger.log(at(9, 8, 59), "consent", **known, outcome="declined", given_at=at(9, 8, 59), copy_of_visit=None)


def message_left_after_a_decline(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 12), "declined")
    message = ledger.message(2)
    message.state, message.end_reason = MessageState.PLANNED, None


def call_left_after_a_decline(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 12), "declined")
    visit = ledger.visit(ledger.subject)
    ledger.session.add(Call(subject_id=ledger.subject.id, visit_id=visit.id, reason="no-contact", opened_at=at(9, 13)))


def answer_before_consent(ledger: LedgerFixture) -> None:
    answer(ledger, at(9, 11))
    decide(ledger, at(9, 12), "given")


def answer_after_a_decline(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 11), "given")
    decide(ledger, at(9, 12), "declined")
    answer(ledger, at(9, 13))


def answer_after_consent_was_removed(ledger: LedgerFixture) -> None:
    decision = decide(ledger, at(9, 11), "given")
    decision.account_id = None
    decision.voided_at, decision.void_reason = at(9, 12), "another patient's paper"
    ledger.log(at(9, 12), "consent-removed", decision=decision.id)
    answer(ledger, at(9, 13))


def decision_lost(ledger: LedgerFixture) -> None:
    ledger.session.delete(decide(ledger, at(9, 12), "given"))


def decision_that_was_never_made(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 12), "given", is_logged=False)


def decision_stored_as_the_other_one(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 12), "given").version = "0"


def second_copy_of_one_consent(ledger: LedgerFixture) -> None:
    decide(ledger, at(9, 12), "given")
    copy = copy_of_consent(ledger)
    ledger.send(copy, at(9, 12, 1))
    ledger.send(ledger.add_copy(copy, step=1), at(9, 12, 2))


def no_message_after_the_patient_agreed_again(ledger: LedgerFixture) -> None:
    """The reminder of the 9th at 9 is due once the patient agrees, at 10."""
    ledger.entries.remove(ledger.accepted(1))
    message = ledger.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None
    ledger.session.flush()
    decide(ledger, at(9, 8), "declined")
    decide(ledger, at(9, 10), "given")


DEFECTS: dict[Defect, dict[str, int]] = {
    message_after_a_decline: {DECLINED: 1},
    message_after_a_decline_of_the_other_record: {DECLINED: 1},
    message_left_after_a_decline: {LEFT_TO_ASK: 1},
    call_left_after_a_decline: {LEFT_TO_ASK: 1},
    answer_before_consent: {NO_CONSENT: 1},
    answer_after_a_decline: {NO_CONSENT: 1},
    answer_after_consent_was_removed: {NO_CONSENT: 1},
    decision_lost: {NOT_STORED: 1},
    decision_that_was_never_made: {NOT_STORED: 1},
    decision_stored_as_the_other_one: {NOT_STORED: 1},
    second_copy_of_one_consent: {NOT_DUE: 1},
    no_message_after_the_patient_agreed_again: {MISSING: 1},
}


@pytest.mark.parametrize("inject", DEFECTS, ids=lambda inject: inject.__name__)
def test_a_defect_of_consent_is_found_and_nothing_else(ledger: LedgerFixture, inject: Defect, tmp_path: Path) -> None:
    inject(ledger)
    assert findings(ledger, tmp_path) == DEFECTS[inject]


def test_every_check_of_consent_can_fail() -> None:
    assert {check for found in DEFECTS.values() for check in found} >= OF_CONSENT


def test_consent_before_the_answer_and_a_copy_of_it_give_no_finding(ledger: LedgerFixture, tmp_path: Path) -> None:
    decide(ledger, at(9, 22), "given")  # in the quiet hours, as is the copy
    ledger.send(copy_of_consent(ledger), at(9, 22, 1))
    answer(ledger, at(9, 22, 5))
    assert findings(ledger, tmp_path) == {}


def test_nothing_is_missing_while_the_form_is_declined(ledger: LedgerFixture, tmp_path: Path) -> None:
    ledger.entries.remove(ledger.accepted(1))
    message = ledger.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None
    ledger.session.flush()
    decide(ledger, at(8, 12), "declined")
    assert findings(ledger, tmp_path) == {}


def test_a_decline_that_staff_removed_does_not_count(ledger: LedgerFixture, tmp_path: Path) -> None:
    decision = decide(ledger, at(8, 12), "declined")
    decision.voided_at, decision.void_reason = at(8, 13), "another patient"
    ledger.log(at(8, 13), "consent-removed", decision=decision.id)
    assert findings(ledger, tmp_path) == {}
