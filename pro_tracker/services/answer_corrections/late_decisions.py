"""Decides about answers that arrived after the visit was sent or its time was over: applied, or left as sent."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.response_codes import EditSource, LateAnswerOutcome
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answer_corrections import amendments, visit_states
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock


def of_visit(session: Session, visit_id: int) -> Sequence[LateAnswer]:
    """The late answers of a visit, in the order in which they were given."""
    rows = select(LateAnswer).where(LateAnswer.visit_id == visit_id)
    return session.scalars(rows.order_by(LateAnswer.given_at, LateAnswer.id)).all()


def get(session: Session, visit: Visit, late_id: int) -> LateAnswer:
    """The late answer of this visit with this id. Raises NotFound."""
    found = session.get(LateAnswer, late_id)
    if found is None or found.visit_id != visit.id:
        raise NotFound("This visit has no such late answer.")
    return found


def response_to(session: Session, late: LateAnswer) -> QuestionnaireResponse | None:
    """The response in effect that has the item of a late answer; None: there is none, so it cannot be applied."""
    responses = visit_states.current_responses(session, late.visit_id)
    response = responses.get(late.instrument_code)
    if response is None or late.link_id not in response.answers:
        return None
    return response


def apply(
    session: Session, actor: Actor, late: LateAnswer, *, reason: str, now: datetime
) -> tuple[QuestionnaireResponse, QuestionnaireResponse]:
    """Amends the response with the late answer; returns it before and after. Raises as `amendments.amend` does."""
    _lock(session, late)
    response = response_to(session, late)
    if response is None:
        raise InvalidInput("These questions have no response that it could be part of.")
    wording = (late.language, late.text_pack_version)
    facts = AmendmentFacts({late.link_id: late.value}, EditSource.LATE_ANSWER, reason, wording)
    amended = amendments.amend(session, actor, response, facts, now=now)
    _decide(session, actor, late, LateAnswerOutcome.APPLIED, now)
    return response, amended


def keep_as_sent(session: Session, actor: Actor, late: LateAnswer, *, now: datetime) -> None:
    """Records that the answers stay as they were sent. Raises ChangedSince when that was decided before."""
    _lock(session, late)
    _decide(session, actor, late, LateAnswerOutcome.KEPT_AS_SENT, now)


def _lock(session: Session, late: LateAnswer) -> None:
    visit = session.get_one(Visit, late.visit_id)
    subject_lock.lock(session, person.kept(session, visit.subject_id))
    if late.decided_at is not None:
        raise ChangedSince("Another member of staff decided about this answer before.")


def _decide(session: Session, actor: Actor, late: LateAnswer, outcome: LateAnswerOutcome, now: datetime) -> None:
    visit = session.get_one(Visit, late.visit_id)
    late.decided_at = now
    late.decided_by_id = int(actor.id) if actor.kind == ActorKind.ACCOUNT else None
    late.outcome = outcome
    detail: audit.Detail = {"visit": visit.id, "late_answer": late.id, "outcome": outcome}
    audit.record(session, actor, "late-answer.decide", now=now, subject_id=visit.subject_id, detail=detail)
