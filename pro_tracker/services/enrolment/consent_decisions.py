"""Records what a person decides about taking part: answers to a consent form, and withdrawals by the person.

What follows from a decision follows from its row: questions, messages, calls and research files read the newest one.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.consent import ANSWERS_TO_FORM, ConsentForm, ConsentMode, ConsentOutcome, ConsentPurpose
from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.wall_time import END_OF_DAY, local_date, moment
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.enrolment import consent_copies
from pro_tracker.services.planning import subject_lock, visits

MAX_NAME_LENGTH = 120
MAX_REASON_LENGTH = 500
OUTCOMES = {
    WithdrawalScope.ASKING: ConsentOutcome.STOPPED_ASKING,
    WithdrawalScope.DATA: ConsentOutcome.STOPPED_USE,
}


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """An answer to a consent form as it was given: `agreed` has each purpose of the form, {} for a decline.

    `signed_name`: as typed by the person. `signed_on`: the day on a paper, local to the subject; None without one.
    """

    form: ConsentForm
    outcome: ConsentOutcome
    mode: ConsentMode
    language: str
    agreed: Mapping[ConsentPurpose, bool] = field(default_factory=dict)
    signed_name: str = ""
    signed_on: date | None = None
    visit_id: int | None = None  # whose link leads to the copy; None where no mail with it is sent


class Mistake(NamedTuple):
    """An answer that staff recorded by mistake, and why it is none."""

    decision_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class OwnWithdrawal:
    """A withdrawal that the person chose on their own pages, and on whose device."""

    scope: WithdrawalScope
    mode: ConsentMode

    @property
    def outcome(self) -> ConsentOutcome:
        """The decision that this is."""
        return OUTCOMES[self.scope]


def record(session: Session, actor: Actor, subject: Subject, facts: ConsentFacts, *, now: datetime) -> ConsentDecision:
    """Records an answer to a form and re-plans: a decline ends the messages to come, consent revives them.

    The same answer sent twice is one. Raises InvalidInput without the purpose that is needed to ask anything, for a
    name that is too long, and for a day that has not come.
    """
    subject_lock.lock(session, subject)
    _check(facts, subject, now)
    known = newest(session, subject, facts.form.code)
    if known is not None and _is_same(known, facts):
        return known
    decision = _row(subject, facts, now)
    decision.account_id = _account_id(actor)
    if facts.signed_name:
        decision.signed_name = facts.signed_name.strip()
    session.add(decision)
    session.flush()
    _follow(session, subject, now)
    if facts.visit_id is not None and facts.outcome is ConsentOutcome.GIVEN:
        consent_copies.queue(session, subject, facts.visit_id, now=now)
    detail: audit.Detail = {
        "decision": decision.id,
        "outcome": facts.outcome,
        "version": facts.form.version,
        "mode": facts.mode,
    }
    audit.record(session, actor, "consent.answer", now=now, subject_id=subject.id, detail=detail)
    return decision


def record_withdrawal(
    session: Session, actor: Actor, subject: Subject, withdrawal: OwnWithdrawal, *, now: datetime
) -> None:
    """Records that the person withdrew by themselves, so that staff see it. The withdrawal itself is the caller's."""
    decision = ConsentDecision(
        subject_id=subject.id,
        form_code="",
        version="",
        outcome=withdrawal.outcome,
        mode=withdrawal.mode,
        language=subject.language,
        given_at=now,
        recorded_at=now,
    )
    session.add(decision)
    session.flush()
    detail: audit.Detail = {"decision": decision.id, "outcome": withdrawal.outcome, "mode": withdrawal.mode}
    audit.record(session, actor, "consent.withdraw", now=now, subject_id=subject.id, detail=detail)


def void(session: Session, actor: Actor, subject: Subject, mistake: Mistake, *, now: datetime) -> None:
    """Voids an answer that staff recorded by mistake; the one before it counts again.

    Raises InvalidInput for a missing reason, and for a decision that the person gave on these pages: it can only be
    followed by another one. Raises NotFound, ChangedSince.
    """
    subject_lock.lock(session, subject)
    decision = find(session, subject, mistake.decision_id)
    if decision.account_id is None:
        raise InvalidInput("The patient gave this answer. Record what the patient decides now instead.")
    if decision.voided_at is not None:
        raise ChangedSince("This entry was removed before.")
    text = mistake.reason.strip()
    if not text:
        raise InvalidInput("Say why the entry is removed.", field="reason")
    if len(text) > MAX_REASON_LENGTH:
        raise InvalidInput(f"Use at most {MAX_REASON_LENGTH} characters.", field="reason")
    decision.voided_at, decision.void_reason = now, text
    session.flush()
    _follow(session, subject, now)
    detail: audit.Detail = {"decision": decision.id}
    audit.record(session, actor, "consent.void", now=now, subject_id=subject.id, detail=detail)


def _follow(session: Session, subject: Subject, now: datetime) -> None:
    """Plans the messages again, and closes the calls that are no longer needed."""
    visits.replan(session, subject.id, now=now)
    calls.close_unneeded(session, now=now)


def acknowledge(session: Session, actor: Actor, subject: Subject, decision_id: int, *, now: datetime) -> None:
    """Records that staff know of a decline or a withdrawal, which leaves the worklist. Safe to repeat.

    Raises NotFound.
    """
    subject_lock.lock(session, subject)
    decision = find(session, subject, decision_id)
    if decision.outcome is ConsentOutcome.GIVEN or decision.acknowledged_at is not None:
        return
    decision.acknowledged_at, decision.acknowledged_by_id = now, _account_id(actor)
    detail: audit.Detail = {"decision": decision.id}
    audit.record(session, actor, "consent.acknowledge", now=now, subject_id=subject.id, detail=detail)


def find(session: Session, subject: Subject, decision_id: int) -> ConsentDecision:
    """Returns a decision of this person. Raises NotFound."""
    of_person = ConsentDecision.subject_id.in_(records_of(subject.id))
    decision = session.scalar(select(ConsentDecision).where(of_person, ConsentDecision.id == decision_id))
    if decision is None:
        raise NotFound("There is no such entry.")
    return decision


def history(session: Session, subject: Subject) -> Sequence[ConsentDecision]:
    """Returns every decision of the person, voided ones too, the newest first."""
    of_person = ConsentDecision.subject_id.in_(records_of(subject.id))
    newest_first = (ConsentDecision.given_at.desc(), ConsentDecision.id.desc())
    return session.scalars(select(ConsentDecision).where(of_person).order_by(*newest_first)).all()


def newest(session: Session, subject: Subject, form_code: str) -> ConsentDecision | None:
    """Returns the newest answer in effect of the person to a form; None without one."""
    for decision in history(session, subject):
        if is_answer_in_effect(decision) and decision.form_code == form_code:
            return decision
    return None


def is_answer_in_effect(decision: ConsentDecision) -> bool:
    """Returns whether the decision answers a form and was not voided."""
    return decision.outcome in ANSWERS_TO_FORM and decision.voided_at is None


def needs_staff(decision: ConsentDecision) -> bool:
    """Returns whether the decision is a decline or a withdrawal that no member of staff has acknowledged."""
    is_no = decision.outcome is not ConsentOutcome.GIVEN
    return is_no and decision.acknowledged_at is None and decision.voided_at is None


def _check(facts: ConsentFacts, subject: Subject, now: datetime) -> None:
    if len(facts.signed_name.strip()) > MAX_NAME_LENGTH:
        raise InvalidInput(f"Use at most {MAX_NAME_LENGTH} characters.", field="signed_name")
    if facts.outcome is ConsentOutcome.GIVEN and not facts.form.allows_asking(facts.agreed):
        raise InvalidInput("Nothing can be asked without the purpose that is needed for it.", field="purposes")
    if facts.signed_on is not None and facts.signed_on > local_date(now, subject.time_zone):
        raise InvalidInput("This day has not come yet.", field="signed_on")


def _is_same(known: ConsentDecision, facts: ConsentFacts) -> bool:
    answer = (facts.form.version, facts.outcome, facts.mode, facts.signed_on)
    stored = (known.version, known.outcome, known.mode, known.signed_on)
    return answer == stored and _asked(facts) == dict(known.agreed)


def _asked(facts: ConsentFacts) -> dict[ConsentPurpose, bool]:
    """Returns every purpose of the form -> whether the person agrees; all are refused with a decline."""
    is_given = facts.outcome is ConsentOutcome.GIVEN
    return {purpose: is_given and facts.agreed.get(purpose, False) for purpose in facts.form.purposes}


def _row(subject: Subject, facts: ConsentFacts, now: datetime) -> ConsentDecision:
    agreed = {f"agreed_{purpose}": value for purpose, value in _asked(facts).items()}
    return ConsentDecision(
        key=uuid.uuid4(),  # before the name is encrypted with it
        subject_id=subject.id,
        form_code=facts.form.code,
        version=facts.form.version,
        outcome=facts.outcome,
        mode=facts.mode,
        language=facts.language,
        given_at=_given_at(facts.signed_on, subject.time_zone, now),
        signed_on=facts.signed_on,
        recorded_at=now,
        **agreed,
    )


def _given_at(signed_on: date | None, time_zone: str, now: datetime) -> datetime:
    """Returns the moment by which decisions are ordered: paper counts from the end of its day, but not after `now`."""
    if signed_on is None:
        return now
    return min(now, moment(signed_on, END_OF_DAY, time_zone))


def _account_id(actor: Actor) -> int | None:
    return int(actor.id) if actor.kind is ActorKind.ACCOUNT else None
