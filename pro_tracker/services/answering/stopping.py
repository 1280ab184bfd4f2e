"""Stops visits that are over and whose answers were never sent: the answers become responses, scored where they can be.

Sending is in responses.py. The caller commits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, and_, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import AnswerOutOfRange, UnknownItem
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.scoring import ScaleScore, is_complete, score
from pro_tracker.domain.unanswered import SetAsideReason, UnansweredReason
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import DATA_MAY_BE_USED
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import audit
from pro_tracker.services.answering import alert_calls, response_rows, visit_context
from pro_tracker.services.answering.questionnaires import Part
from pro_tracker.services.answering.response_rows import Row, Unsent
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.planning import visit_filters

RESPONSE, SCORE = cast(Table, QuestionnaireResponse.__table__), cast(Table, Score.__table__)
BATCH_SIZE = 200
ACTOR = Actor(ActorKind.SERVICE, "visits.record_missed")
# A visit that was voided for one of these reasons may be revived while its window is open: its answers wait until then.
REVERTIBLE = (
    *visit_filters.ENDED_BY_PLANNING,
    *(UnansweredReason.WITHDRAWN, UnansweredReason.DIED, UnansweredReason.DUPLICATE),
)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """The rows that one visit leaves: its responses, and the scores of each in the same order."""

    visit: VisitContext
    responses: list[Row] = field(default_factory=list)
    scores: list[Sequence[Row]] = field(default_factory=list)

    def add(self, part: Part, unsent: Unsent, now: datetime) -> None:
        """Adds the rows of an instrument, if it was begun."""
        instrument, _pack = part
        if instrument.code not in self.visit.draft.given_at:
            return
        response, scored = _response(self.visit, part, unsent, prorate=self.visit.questionnaire.prorate)
        self.responses.append(response)
        self.scores.append([response_rows.score_row(instrument, each, now) for each in scored])


def stop_ended(session: Session, *, now: datetime) -> int:
    """Stops every visit that ended with answers not sent; returns the number stopped. Safe to repeat.

    A visit has ended once it has a missed reason, or was voided for another reason than entered-in-error. What a
    subject who withdrew the data had answered stays as it is. Alerts stay open.
    """
    events: list[Row] = []
    while ids := session.scalars(_ended(now)).all():
        events += _stop_all(session, ids, now)
    # Last, since others who write to the audit trail wait from here on.
    for event in events:
        audit.append(session, event)
    return len(events)


def _ended(now: datetime) -> Any:
    """SQL: the ids of the first BATCH_SIZE visits to stop. Locks them, against saving and sending at the same moment.

    A visit that is being saved or sent right now is left to the next run.
    """
    missed = and_(Visit.voided_at.is_(None), Visit.missed_reason.is_not(None), visit_filters.is_over(now))
    ids = with_person(select(Visit.id), Visit.subject_id)
    ids = ids.where(
        Visit.id.in_(select(VisitDraft.visit_id)),
        Visit.completed_at.is_(None),
        Visit.stopped_at.is_(None),
        DATA_MAY_BE_USED,
        or_(missed, _voided(now)),
    )
    return ids.order_by(Visit.id).limit(BATCH_SIZE).with_for_update(of=Visit, skip_locked=True)


def _voided(now: datetime) -> ColumnElement[bool]:
    """SQL: the visit was voided for good, and not since it should never have been answered."""
    for_good = or_(Visit.void_reason.not_in(REVERTIBLE), visit_filters.is_over(now))
    return and_(Visit.voided_at.is_not(None), Visit.void_reason != UnansweredReason.ENTERED_IN_ERROR, for_good)


def _stop_all(session: Session, visit_ids: Sequence[int], now: datetime) -> list[Row]:
    """Stops these locked visits; returns the audit rows to append."""
    unsent = _unsent(session, visit_ids)
    stopped = [_stopped(visit, unsent[visit.visit_id], now) for visit in visit_context.by_visits(session, visit_ids)]
    _insert(session, stopped)
    for each in stopped:
        _raise_alerts(session, each.visit, now)
    session.execute(delete(VisitDraft).where(VisitDraft.visit_id.in_(visit_ids)))
    ended = update(Visit).where(Visit.id.in_(visit_ids)).values(stopped_at=now)
    session.execute(ended, execution_options={"synchronize_session": "fetch"})
    return [_event(each, unsent[each.visit.visit_id], now) for each in stopped]


def _raise_alerts(session: Session, visit: VisitContext, now: datetime) -> None:
    """Raises the alerts of answers that an earlier release saved without; those that were raised stay as they are."""
    alerts = alert_calls.rows_of(visit.questionnaire.answers_asked(visit.answers))
    if alerts:
        alert_calls.raise_now(session, visit.visit_id, alerts, now=now)


def _unsent(session: Session, visit_ids: Sequence[int]) -> dict[int, Unsent]:
    """Visit id -> how its answers were given, and why they were not sent."""
    rows = select(Visit.id, Visit.void_reason, Visit.missed_reason, VisitDraft.mode, VisitDraft.taken_by_id)
    rows = rows.join(VisitDraft, VisitDraft.visit_id == Visit.id).where(Visit.id.in_(visit_ids))
    found: dict[int, Unsent] = {}
    for visit_id, void_reason, missed_reason, mode, taken_by_id in session.execute(rows):
        reason = void_reason or missed_reason
        assert reason is not None  # of every visit that _ended selects
        found[visit_id] = Unsent(reason, mode, taken_by_id)
    return found


def _stopped(visit: VisitContext, unsent: Unsent, now: datetime) -> _Stopped:
    """The rows of one visit. An instrument without any answer has none."""
    stopped = _Stopped(visit)
    for part in visit.questionnaire.parts:
        stopped.add(part, unsent, now)
    counted = _instruments(stopped, ResponseStatus.COMPLETED)
    for row in response_rows.set_aside(visit, counted, replace(unsent, reason=SetAsideReason.OTHER_FORM)):
        stopped.responses.append(row)
        stopped.scores.append([])
    for code, part in visit.questionnaire.set_aside.items():
        if code not in counted:
            stopped.add(part, unsent, now)
    return stopped


def _response(visit: VisitContext, part: Part, unsent: Unsent, *, prorate: bool) -> tuple[Row, Sequence[ScaleScore]]:
    """The row of one response with the scores to store: completed as given, or stopped and without a score."""
    instrument, _pack = part
    row = response_rows.unsent(visit, part, unsent)
    scores = _scores(instrument, row["answers"], prorate=prorate)
    if scores and is_complete(scores):
        return {**row, "status": ResponseStatus.COMPLETED}, scores
    return row, [each for each in scores if each.reason is not None]


def _scores(instrument: Instrument, answers: dict[str, int | None], *, prorate: bool) -> Sequence[ScaleScore]:
    """The scores of the answers; none of answers to a former version of the instrument that this one does not have."""
    given = {link_id: value for link_id, value in answers.items() if value is not None}
    try:
        return score(instrument, given, prorate=prorate)
    except (AnswerOutOfRange, UnknownItem):
        return ()


def _insert(session: Session, stopped: Sequence[_Stopped]) -> None:
    responses = list(chain.from_iterable(each.responses for each in stopped))
    if not responses:
        return
    added = insert(RESPONSE).returning(RESPONSE.c.visit_id, RESPONSE.c.instrument_code, RESPONSE.c.id)
    ids = {(row.visit_id, row.instrument_code): row.id for row in session.execute(added, responses)}
    scores = list(chain.from_iterable(_with_ids(each, ids) for each in stopped))
    if scores:
        session.execute(insert(SCORE), scores)


def _with_ids(stopped: _Stopped, ids: dict[tuple[int, str], int]) -> Iterator[Row]:
    for response, scores in zip(stopped.responses, stopped.scores, strict=True):
        response_id = ids[response["visit_id"], response["instrument_code"]]
        for score_row in scores:
            yield {**score_row, "response_id": response_id}


def _event(stopped: _Stopped, unsent: Unsent, now: datetime) -> Row:
    detail: audit.Detail = {
        "visit": stopped.visit.visit_id,
        "reason": unsent.reason,
        "completed": _instruments(stopped, ResponseStatus.COMPLETED),
        "stopped": _instruments(stopped, ResponseStatus.STOPPED),
    }
    return audit.event(ACTOR, "visit.stop", now=now, subject_id=stopped.visit.subject_id, detail=detail)


def _instruments(stopped: _Stopped, status: ResponseStatus) -> Sequence[str]:
    return [row["instrument_code"] for row in stopped.responses if row["status"] == status]
