"""The state of a visit after answers were taken from it or moved to it: answerable again, ended, or completed."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallOutcome, CallReason
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.unanswered import SetAsideReason, UnansweredReason
from pro_tracker.domain.visit_windows import OPEN_STATUSES, visit_status
from pro_tracker.models.call import Call
from pro_tracker.models.correction import Correction
from pro_tracker.models.message import Message
from pro_tracker.models.response import COUNTED_STATUSES, QuestionnaireResponse
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answer_corrections import replacements
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import planned_messages, visits

IN_EFFECT = QuestionnaireResponse.status != ResponseStatus.ENTERED_IN_ERROR


def current_responses(session: Session, visit_id: int) -> dict[str, QuestionnaireResponse]:
    """Instrument code -> the visit's response that is not entered-in-error."""
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.visit_id == visit_id, IN_EFFECT)
    in_order = session.scalars(rows.order_by(QuestionnaireResponse.id))
    return {response.instrument_code: response for response in in_order}


def with_set_aside(session: Session, responses: Sequence[QuestionnaireResponse]) -> list[QuestionnaireResponse]:
    """Adds to responses of one visit those that do not count since these do: a test is asked again with its form."""
    found = list(responses)
    for response in responses:
        visit = session.get_one(Visit, response.visit_id)
        current = current_responses(session, visit.id)
        protocol = replacements.protocol_of(session, visit)
        other = current.get(protocol.other_form(visit.event_code, response.instrument_code))
        if other is not None and other not in found and other.stop_reason == SetAsideReason.OTHER_FORM:
            found.append(other)
    return found


def after_removal(session: Session, visit: Visit, *, now: datetime) -> None:
    """Makes a completed visit answerable again where its window is open; else ends it, if no answers are left.

    Only what has no response in effect is asked again. The caller holds the subject's lock.
    """
    session.flush()
    session.refresh(visit, with_for_update={"of": Visit})
    if visit.completed_at is None:
        _correct_reason(session, visit)
        _ask_again(session, visit, now)
        return
    subject = person.kept(session, visit.subject_id)
    if _is_whole(session, visit, list(current_responses(session, visit.id).values())):
        return  # what was taken did not count
    if visit.closes_at > now and subject.takes_part:
        _reopen(session, visit, now)
    elif not current_responses(session, visit.id):
        _end(session, visit, now)


def after_return(session: Session, subject_id: uuid.UUID, withdrawn_at: datetime, *, now: datetime) -> None:
    """Asks again what was taken from a subject's visits while they were withdrawn, where the window is open.

    Such a visit is still completed, or ended as entered-in-error. The caller holds the subject's lock.
    """
    removed = _removed_since(session, subject_id, withdrawn_at)
    rows = select(Visit).where(Visit.id.in_(removed), Visit.closes_at > now)
    for visit in session.scalars(rows.order_by(Visit.id)).all():
        is_left = visit.completed_at is not None or visit.void_reason == UnansweredReason.ENTERED_IN_ERROR
        if is_left and not _is_whole(session, visit, list(current_responses(session, visit.id).values())):
            _reopen(session, visit, now)


def _removed_since(session: Session, subject_id: uuid.UUID, moment: datetime) -> set[int]:
    """The ids of the visits from which responses were voided or moved away since then."""
    rows = select(Correction).where(
        Correction.subject_id.in_(person.records_of(subject_id)),
        Correction.what == CorrectionKind.RESPONSE,
        Correction.recorded_at >= moment,
    )
    return {int(correction.before["visit"] or 0) for correction in session.scalars(rows)}


def complete_if_answered(session: Session, visit: Visit, *, now: datetime) -> None:
    """Completes a visit whose whole battery is answered, at the time of its newest answers.

    A visit that is still open is completed, too, when its last answers were never sent: nothing is left to ask.
    """
    session.flush()
    session.refresh(visit, with_for_update={"of": Visit})
    is_open = visit_status(visit, now) in OPEN_STATUSES
    found = current_responses(session, visit.id).values()
    responses = [each for each in found if is_open or each.status in COUNTED_STATUSES]
    if visit.completed_at is not None or not _is_whole(session, visit, responses):
        return
    authored = [response.authored_at for response in responses]
    visit.started_at = visit.started_at or min(authored)
    visit.completed_at = max(authored)
    visit.voided_at = visit.void_reason = visit.missed_reason = None
    session.execute(delete(VisitDraft).where(VisitDraft.visit_id == visit.id))
    planned_messages.end_all(session, [visit.id], EndReason.ANSWERED)
    _close_calls(session, visit, now)


def _is_whole(session: Session, visit: Visit, responses: Sequence[QuestionnaireResponse]) -> bool:
    """Returns whether these are responses to the whole battery of the visit, or to offline forms of its tests."""
    protocol = replacements.protocol_of(session, visit)
    answered = {response.instrument_code for response in responses}
    forms = protocol.offline_forms_at(visit.event_code)
    battery = protocol.event(visit.event_code).battery
    return all(code in answered or forms.get(code) in answered for code in battery)


def _reopen(session: Session, visit: Visit, now: datetime) -> None:
    """Makes the visit answerable by the same links; its messages and calls come again as far as there is time."""
    visit.completed_at = visit.voided_at = visit.void_reason = None
    visit.started_at = None
    visit.stopped_at = None  # of answers that were not sent, before others were moved here
    visit.planned_at = now  # reminders count from it
    ended = update(Message).where(
        Message.visit_id == visit.id, Message.state == MessageState.ENDED, Message.end_reason == EndReason.ANSWERED
    )
    session.execute(ended.values(end_reason=EndReason.RE_PLANNED), execution_options={"synchronize_session": "fetch"})
    closed = update(Call).where(Call.visit_id == visit.id, Call.outcome == CallOutcome.ANSWERED)
    session.execute(
        closed.values(outcome=CallOutcome.NO_LONGER_NEEDED), execution_options={"synchronize_session": "fetch"}
    )
    visits.replan(session, visit.subject_id, now=now)


def _ask_again(session: Session, visit: Visit, now: datetime) -> None:
    """Plans a visit once more that still is in progress: the patient's own answers alert as if given first."""
    if visit.stopped_at is None and visit_status(visit, now) in OPEN_STATUSES:
        visit.planned_at = now
        visits.replan(session, visit.subject_id, now=now)


def _correct_reason(session: Session, visit: Visit) -> None:
    """Corrects why a visit has no answers, if those that were never sent were in error, too."""
    if visit.stopped_at is None or current_responses(session, visit.id):
        return
    if visit.voided_at is None:
        visit.missed_reason = UnansweredReason.ENTERED_IN_ERROR
    else:
        visit.void_reason = UnansweredReason.ENTERED_IN_ERROR
    session.flush()


def _end(session: Session, visit: Visit, now: datetime) -> None:
    """Ends the visit without answers."""
    visit.completed_at = None
    visit.voided_at = now
    visit.void_reason = UnansweredReason.ENTERED_IN_ERROR
    session.flush()


def _close_calls(session: Session, visit: Visit, now: datetime) -> None:
    open_calls = update(Call).where(
        Call.visit_id == visit.id, Call.closed_at.is_(None), Call.reason != CallReason.ALERT
    )
    session.execute(
        open_calls.values(closed_at=now, outcome=CallOutcome.ANSWERED),
        execution_options={"synchronize_session": "fetch"},
    )
    session.flush()
