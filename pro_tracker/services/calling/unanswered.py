"""Records why visits ended without answers: automatically once the window is over, or as entered by staff."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain import codes
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.unanswered import GIVEN_BY_STAFF, Circumstances, UnansweredReason, reason
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.planning import planned_messages, visit_filters

BATCH_SIZE = 1000


def record_missed(session: Session, *, now: datetime) -> int:
    """Records the missed reason of each visit whose window closed; returns the number recorded. Safe to repeat.

    A visit within its grace period is not missed yet. A voided visit has its void reason.
    """
    recorded = 0
    while rows := session.execute(_missed(now)).all():
        for code, ids in _by_reason(session, rows).items():
            missed = update(Visit).where(Visit.id.in_(ids)).values(missed_reason=code)
            session.execute(missed, execution_options={"synchronize_session": "fetch"})
        recorded += len(rows)
    return recorded


def record_reason(session: Session, actor: Actor, visit_id: int, code: str, *, now: datetime) -> None:
    """Records the reason that staff found: an open visit is voided with it, a missed visit gets it as missed reason.

    Raises InvalidInput for a code that staff cannot enter, and for a visit that is completed, void or planned.
    """
    visit = session.get_one(Visit, visit_id, with_for_update=True, populate_existing=True)
    given = codes.read(GIVEN_BY_STAFF, code, field="reason", name="The reason")
    status = visit_status(visit, now)
    if status in (VisitStatus.COMPLETED, VisitStatus.VOID, VisitStatus.PLANNED):
        raise InvalidInput("This visit was answered, was ended, or has not opened yet, so it needs no reason.")
    detail: audit.Detail = {"visit": visit.id, "reason": given, "before": visit.missed_reason}
    if status is VisitStatus.MISSED:
        visit.missed_reason = given
    else:
        visit.voided_at, visit.void_reason = now, given
        planned_messages.end_all(session, [visit.id], given)
        calls.close_unneeded(session, now=now)
    audit.record(session, actor, "visit.give-reason", now=now, subject_id=visit.subject_id, detail=detail)


def _missed(now: datetime) -> Select[*tuple[Any, ...]]:
    """SQL: the first BATCH_SIZE visits that are over and have no reason, with the facts that decide it."""
    without_grace = or_(Visit.grace_until.is_(None), Visit.grace_until <= now)
    over = and_(Visit.closes_at <= now, without_grace)
    reachable = exists().where(Contact.subject_id == Visit.subject_id, Contact.state == ContactState.ACTIVE)
    columns = (Visit.id, Visit.subject_id, Visit.closes_at, Visit.started_at, Subject.time_zone)
    rows = select(*columns, reachable.label("reachable")).join(Subject, Subject.id == Visit.subject_id)
    rows = rows.where(visit_filters.OPEN, Visit.missed_reason.is_(None), over)
    return rows.order_by(Visit.id).limit(BATCH_SIZE)


def _by_reason(session: Session, rows: Sequence[Row[Any]]) -> Mapping[UnansweredReason, Sequence[int]]:
    """Returns missed reason -> visit ids."""
    calls = _call_outcomes(session, [row.id for row in rows])
    pauses = _pauses(session, {row.subject_id for row in rows})
    found: dict[UnansweredReason, list[int]] = defaultdict(list)
    for row in rows:
        last_on = local_date(row.closes_at, row.time_zone)
        paused = any(each.from_on <= last_on <= (each.until_on or last_on) for each in pauses[row.subject_id])
        known = Circumstances(calls[row.id], paused, row.started_at is not None, row.reachable)
        found[reason(known)].append(row.id)
    return found


def _call_outcomes(session: Session, visit_ids: Sequence[int]) -> Mapping[int, Sequence[CallAttemptOutcome]]:
    found: dict[int, list[CallAttemptOutcome]] = defaultdict(list)
    rows = select(Call.visit_id, CallAttempt.outcome).join(CallAttempt, CallAttempt.call_id == Call.id)
    for visit_id, outcome in session.execute(rows.where(Call.visit_id.in_(visit_ids)).order_by(CallAttempt.at)):
        found[visit_id].append(outcome)
    return found


def _pauses(session: Session, subject_ids: set[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[Pause]]:
    found: dict[uuid.UUID, list[Pause]] = defaultdict(list)
    for pause in session.scalars(select(Pause).where(Pause.subject_id.in_(subject_ids))):
        found[pause.subject_id].append(pause)
    return found
