"""Records why visits ended without answers: automatically once the window is over, or as entered by staff."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain import codes
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.unanswered import GIVEN_BY_STAFF, Circumstances, UnansweredReason, reason
from pro_tracker.domain.visit_windows import UNANSWERED_STATUSES, VisitStatus, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering import stopping
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.clinic.person import kept, with_person
from pro_tracker.services.consent_filters import has_declined
from pro_tracker.services.planning import planned_messages, visit_filters

BATCH_SIZE = 1000


def record_missed(session: Session, *, now: datetime) -> int:
    """Records the missed reason of each visit whose window closed; returns the number recorded. Safe to repeat.

    A visit within its grace period is not missed yet. A voided visit has its void reason. Answers that were given and
    not sent become responses: see stopping.py.
    """
    recorded = 0
    while rows := session.execute(_missed(now)).all():
        for code, ids in _by_reason(session, rows).items():
            # A visit that was sent since it was read is not missed.
            missed = update(Visit).where(Visit.id.in_(ids), visit_filters.OPEN).values(missed_reason=code)
            session.execute(missed, execution_options={"synchronize_session": "fetch"})
        recorded += len(rows)
    stopping.stop_ended(session, now=now)
    return recorded


def record_reason(session: Session, actor: Actor, visit_id: int, code: str, *, now: datetime) -> None:
    """Records the reason that staff found: an open visit is voided with it, a missed visit gets it as missed reason.

    A reason that staff gave before is corrected. Raises InvalidInput for a code that staff cannot enter, for a death,
    which endings.record_visit records, and for a visit that is completed, planned, or void for another reason.
    """
    visit = session.get_one(Visit, visit_id, with_for_update=True, populate_existing=True)
    given = codes.read(GIVEN_BY_STAFF, code, field="reason", name="The reason")
    if given is UnansweredReason.DIED:
        raise InvalidInput("Record the death instead: it ends everything.", field="reason")
    status = visit_status(visit, now)
    _reject_answered(session, visit, status)
    detail: audit.Detail = {"visit": visit.id, "reason": given, "before": visit.void_reason or visit.missed_reason}
    if status is VisitStatus.VOID:
        visit.void_reason = given
    elif status is VisitStatus.MISSED:
        visit.missed_reason = given
    else:
        visit.voided_at = now
        visit.void_reason = given
        planned_messages.end_all(session, [visit.id], given)
        calls.close_unneeded(session, now=now)
    audit.record(session, actor, "visit.give-reason", now=now, subject_id=visit.subject_id, detail=detail)


def _reject_answered(session: Session, visit: Visit, status: VisitStatus) -> None:
    """Raises InvalidInput for a visit that is not unanswered, or was ended for a reason that staff cannot give."""
    subject = kept(session, visit.subject_id)
    if visit.void_reason is UnansweredReason.DIED and subject.death_recorded_at is not None:
        raise InvalidInput("A death is recorded for this patient. Correct or revert it on its own page.")
    if status not in UNANSWERED_STATUSES and visit.void_reason not in GIVEN_BY_STAFF:
        raise InvalidInput("This visit was answered, was ended, or has not opened yet, so it needs no reason.")


def _missed(now: datetime) -> Select[*tuple[Any, ...]]:
    """SQL: the first BATCH_SIZE visits that are over and have no reason, with the facts that decide it."""
    rows = select(
        Visit.id,
        Subject.id.label("person_id"),
        Visit.closes_at,
        Visit.started_at,
        Subject.time_zone,
        visit_filters.REACHABLE.label("reachable"),
        has_declined(Visit, Subject.id).label("declined"),
    )
    rows = with_person(rows, Visit.subject_id)
    rows = rows.where(
        visit_filters.OPEN,
        Visit.missed_reason.is_(None),
        visit_filters.is_over(now),
    )
    return rows.order_by(Visit.id).limit(BATCH_SIZE)


def _by_reason(session: Session, rows: Sequence[Row[Any]]) -> Mapping[UnansweredReason, Sequence[int]]:
    """Returns missed reason -> visit ids."""
    outcomes = _call_outcomes(session, [row.id for row in rows])
    pauses = _pauses(session, {row.person_id for row in rows})
    found: dict[UnansweredReason, list[int]] = defaultdict(list)
    for row in rows:
        known = Circumstances(
            calls=outcomes[row.id],
            paused=_closed_in_pause(row, pauses[row.person_id]),
            started=row.started_at is not None,
            reachable=row.reachable,
            declined=row.declined,
        )
        found[reason(known)].append(row.id)
    return found


def _closed_in_pause(visit: Row[Any], pauses: Sequence[Pause]) -> bool:
    last_on = local_date(visit.closes_at, visit.time_zone)
    return any(calls.includes(pause, last_on) for pause in pauses)


def _call_outcomes(session: Session, visit_ids: Sequence[int]) -> Mapping[int, Sequence[CallAttemptOutcome]]:
    """Returns visit id -> outcomes of the attempts to call, oldest first."""
    found: dict[int, list[CallAttemptOutcome]] = defaultdict(list)
    rows = select(Call.visit_id, CallAttempt.outcome)
    rows = rows.join(CallAttempt, CallAttempt.call_id == Call.id)
    rows = rows.where(Call.visit_id.in_(visit_ids))
    rows = rows.order_by(CallAttempt.at)
    for visit_id, outcome in session.execute(rows):
        found[visit_id].append(outcome)
    return found


def _pauses(session: Session, subject_ids: set[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[Pause]]:
    """Returns subject id -> pauses."""
    found: dict[uuid.UUID, list[Pause]] = defaultdict(list)
    rows = select(Pause).where(Pause.subject_id.in_(subject_ids))
    for pause in session.scalars(rows):
        found[pause.subject_id].append(pause)
    return found
