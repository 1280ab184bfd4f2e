"""Unconfirmed snoozes: "not today" by the link alone, with a reason and without the birth date.

Anyone who holds a link can tap, and so can a mail scanner. The harm is limited: only the next message moves, to the
first day that a confirmed person could choose; once for each message, three times for each visit, never over a
confirmed choice; and until that day begins it can be undone. snoozes.py has the confirmed way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Snooze
from pro_tracker.services import audit
from pro_tracker.services.answering import snoozes
from pro_tracker.services.answering.snoozes import MAX_SNOOZES, Choice
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import visits


@dataclass(frozen=True, slots=True)
class Postponement:
    """The state of "not today" as the holder of a link sees it.

    `in_effect`: the snooze whose day is to come, None without one. `offer`: the day to which a tap moves the next
    message, None where it cannot move. `was_undone`: the tap of this link's message was undone.
    """

    in_effect: Snooze | None
    offer: Choice | None
    was_undone: bool

    @property
    def can_be_undone(self) -> bool:
        """Returns whether the snooze in effect may be undone: a confirmed choice needs the birth date."""
        return self.in_effect is not None and not self.in_effect.is_confirmed


def postponement(session: Session, visit: VisitContext, *, now: datetime) -> Postponement:
    """Returns what was tapped or chosen for the visit so far, and what this link may still do."""
    rows = _rows(session, visit)
    own = [row for row in rows if row.message_id is not None and row.message_id == visit.link_message_id]
    in_effect = _in_effect(rows, local_date(now, visit.time_zone))
    n_unconfirmed = sum(not row.is_confirmed for row in rows)
    may_tap = visit.link_message_id is not None and not own and in_effect is None and n_unconfirmed < MAX_SNOOZES
    offered = snoozes.possible_choices(session, visit, now=now) if may_tap else []
    was_undone = any(row.undone_at is not None for row in own)
    return Postponement(in_effect, offered[0] if offered else None, was_undone)


def snooze(session: Session, visit: VisitContext, reason: SnoozeReason, *, now: datetime) -> None:
    """Moves the next message to the day offered. Changes nothing where none is: after a second tap, or too late."""
    snoozes.lock_person(session, visit)
    offer = postponement(session, visit, now=now).offer
    if offer is None:
        return
    session.add(
        Snooze(
            visit_id=visit.visit_id,
            days=offer.days,
            until_on=offer.until_on,
            requested_at=now,
            reason=reason,
            message_id=visit.link_message_id,
        )
    )
    session.flush()
    visits.replan(session, visit.subject_id, now=now)
    detail: audit.Detail = {"visit": visit.visit_id, "days": offer.days, "reason": reason}
    actor = _holder(visit)
    audit.record(session, actor, "visit.snooze-unconfirmed", now=now, subject_id=visit.subject_id, detail=detail)


def undo(session: Session, visit: VisitContext, *, now: datetime) -> None:
    """Undoes the unconfirmed snooze in effect: messages follow as planned before. Changes nothing without one."""
    snoozes.lock_person(session, visit)
    found = postponement(session, visit, now=now)
    if found.in_effect is None or not found.can_be_undone:
        return
    found.in_effect.undone_at = now
    session.flush()
    visits.replan(session, visit.subject_id, now=now)
    detail: audit.Detail = {"visit": visit.visit_id}
    audit.record(session, _holder(visit), "visit.undo-snooze", now=now, subject_id=visit.subject_id, detail=detail)


def _rows(session: Session, visit: VisitContext) -> Sequence[Snooze]:
    """Returns the snoozes of the visit in the order of request, as stored now."""
    rows = select(Snooze).where(Snooze.visit_id == visit.visit_id)
    in_order = rows.order_by(Snooze.requested_at, Snooze.id)
    return session.scalars(in_order, execution_options={"populate_existing": True}).all()


def _in_effect(rows: Sequence[Snooze], today: date) -> Snooze | None:
    """Returns the last snooze that was not undone, if its day is to come; each replaces those before it."""
    kept = [row for row in rows if row.undone_at is None]
    if not kept or kept[-1].until_on <= today:
        return None
    return kept[-1]


def _holder(visit: VisitContext) -> Actor:
    return Actor(ActorKind.PATIENT, str(visit.link_id))
