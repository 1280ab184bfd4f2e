"""Marks responses as entered in error: they count nowhere any more, and are kept."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit, corrections
from pro_tracker.services.answer_corrections import alerts, replacements, visit_states
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock


def void(
    session: Session, actor: Actor, responses: Sequence[QuestionnaireResponse], *, reason: str, now: datetime
) -> None:
    """Marks these responses of one visit as entered in error.

    The visit can be answered again while its window is open; otherwise it ends, if no answers are left. Raises
    ChangedSince if one is not in effect any more, InvalidInput for a missing reason and without any response.
    """
    why = corrections.require_reason(reason, "Say why these answers are in error.")
    if not responses:
        raise InvalidInput("There are no answers here.")
    visit = session.get_one(Visit, responses[0].visit_id)
    subject_lock.lock(session, person.kept(session, visit.subject_id))
    replacements.require_current(session, responses)
    responses = visit_states.with_set_aside(session, responses)
    for response in responses:
        record_former_status(session, response, reason=why, now=now)
        response.status = ResponseStatus.ENTERED_IN_ERROR
    visit_states.after_removal(session, visit, now=now)
    codes = [response.instrument_code for response in responses]
    alerts.empty_lines(session, visit.id, codes, actor, now=now)
    detail: audit.Detail = {
        "visit": visit.id,
        "instruments": codes,
        "responses": [response.id for response in responses],
    }
    audit.record(session, actor, "response.void", now=now, subject_id=visit.subject_id, detail=detail)


def record_former_status(session: Session, response: QuestionnaireResponse, *, reason: str, now: datetime) -> None:
    """Stores the status of a response that is taken from its visit, and why."""
    before: corrections.PreviousValues = {
        "visit": response.visit_id,
        "instrument": response.instrument_code,
        "response": response.id,
        "status": response.status,
    }
    corrections.record(session, response.subject_id, CorrectionKind.RESPONSE, before, reason=reason, now=now)
