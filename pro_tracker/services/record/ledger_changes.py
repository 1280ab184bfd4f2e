"""The changes of a subject's data from the audit trail, with the ids in their details resolved to labels."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, String, literal, or_, select, type_coerce, union_all
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import AnchorDate, Course, Infusion
from pro_tracker.models.interruption import Pause
from pro_tracker.models.visit import Visit

NO_CHANGES = ("identity.", "subject.view", "ledger.")  # prefixes of audit actions that only read
# Details that hold an id: name of the detail -> name under which its label is shown.
RESOLVED = {"course": "course", "visit": "visit", "infusion": "infusion_on", "replaces": "infusion_on_before"}
# The kind of an infusion that was removed or corrected: no correction is stored, its old row has the reason.
VOIDED_INFUSION = "infusion"
# Actions for which staff gave a reason -> the kind of row that stores it. Withdrawals are left out: what a patient said
# stays on the patient's page.
REASONED = {
    "course.reopen": CorrectionKind.COURSE_END,
    "course.set-date": CorrectionKind.ANCHOR_DATE,
    "infusion.correct": VOIDED_INFUSION,
    "infusion.remove": VOIDED_INFUSION,
    "pause.begin": CorrectionKind.PAUSE,
    "pause.end": CorrectionKind.PAUSE,
    "pause.remove": CorrectionKind.PAUSE,
}
INTERNAL = ("call", "pause", "closed", "adverse_events")  # ids and counts without meaning for the reader


@dataclass(frozen=True, slots=True)
class DataChange:
    """One change of the subject's data."""

    at: datetime
    actor_kind: ActorKind
    account: Account | None  # of the staff member; None for the patient, the service or a command
    action: str
    details: Mapping[str, Sequence[str]]  # name -> codes or ISO dates; two values where one replaced the other
    reason: str = ""  # in the words of the staff member; "" where the action asks for none


@dataclass(frozen=True, slots=True)
class _Labels:
    """Everything that the ids and moments of audit rows are resolved with, read once for all changes of a subject."""

    accounts: Mapping[int, Account]
    rows: Mapping[str, Mapping[int, str]]  # name of the detail -> id -> label
    reasons: Mapping[tuple[str, datetime], str]  # (kind of row, moment of the change) -> reason


def changes(session: Session, subject_id: uuid.UUID) -> Sequence[DataChange]:
    """The changes of the subject's data, newest first. In a fixed number of statements."""
    only_read = or_(*(AuditEvent.action.startswith(start, autoescape=True) for start in NO_CHANGES))
    rows = select(AuditEvent).where(AuditEvent.subject_id == subject_id, ~only_read).order_by(AuditEvent.id.desc())
    events = session.scalars(rows).all()
    labels = _Labels(_accounts(session, events), _row_labels(session, subject_id), _reasons(session, subject_id))
    return [_change(event, labels) for event in events]


def _accounts(session: Session, events: Sequence[AuditEvent]) -> Mapping[int, Account]:
    """The staff accounts that made these changes, by id."""
    ids = {int(event.actor_id) for event in events if event.actor_kind == ActorKind.ACCOUNT}
    if not ids:
        return {}
    return {each.id: each for each in session.scalars(select(Account).where(Account.id.in_(ids)))}


def _reasons(session: Session, subject_id: uuid.UUID) -> Mapping[tuple[str, datetime], str]:
    """(Kind of row, moment) -> reason. A row has the same moment as the audit event of its change."""
    of_subject = select(Course.id).where(Course.subject_id == subject_id).scalar_subquery()
    corrections = select(type_coerce(Correction.what, String), Correction.recorded_at, Correction.reason)
    pauses = select(literal(CorrectionKind.PAUSE, String), Pause.recorded_at, Pause.reason)
    anchor_dates = select(literal(CorrectionKind.ANCHOR_DATE, String), AnchorDate.recorded_at, AnchorDate.reason)
    infusions = select(literal(VOIDED_INFUSION), Infusion.voided_at, Infusion.void_reason)
    reasons: CompoundSelect[Any] = union_all(
        corrections.where(Correction.subject_id == subject_id),
        pauses.where(Pause.subject_id == subject_id),
        anchor_dates.where(AnchorDate.course_id.in_(of_subject)),
        infusions.where(Infusion.course_id.in_(of_subject), Infusion.voided_at.is_not(None)),
    )
    return {(kind, at): reason for kind, at, reason in session.execute(reasons)}


def _row_labels(session: Session, subject_id: uuid.UUID) -> Mapping[str, Mapping[int, str]]:
    """Name of the detail -> id -> label: a course's number, a visit's event code, an infusion's date."""
    courses = select(Course.id, Course.number).where(Course.subject_id == subject_id)
    visits = select(Visit.id, Visit.event_code).where(Visit.subject_id == subject_id)
    infusions = select(Infusion.id, Infusion.given_on).join(Course, Course.id == Infusion.course_id)
    infusions = infusions.where(Course.subject_id == subject_id)
    dates = {id_: on.isoformat() for id_, on in session.execute(infusions)}
    return {
        "course": {id_: str(number) for id_, number in session.execute(courses)},
        "visit": dict(iter(session.execute(visits))),
        "infusion": dates,
        "replaces": dates,
    }


def _change(event: AuditEvent, labels: _Labels) -> DataChange:
    at = datetime.fromisoformat(event.at)
    stored_with = REASONED.get(event.action, "")
    return DataChange(
        at=at,
        actor_kind=event.actor_kind,
        account=labels.accounts.get(int(event.actor_id)) if event.actor_kind == ActorKind.ACCOUNT else None,
        action=event.action,
        details=_details(event, labels.rows),
        reason=labels.reasons.get((stored_with, at), ""),
    )


def _details(event: AuditEvent, labels: Mapping[str, Mapping[int, str]]) -> Mapping[str, Sequence[str]]:
    details: dict[str, Sequence[str]] = {}
    for name, value in json.loads(event.detail).items():
        if name in RESOLVED:
            details[RESOLVED[name]] = [labels[name].get(value, str(value))]
        elif name not in INTERNAL:
            details[name] = _texts(value)
    return details


def _texts(value: Any) -> Sequence[str]:
    """One value or a list of them as texts; None is an empty text."""
    values = value if isinstance(value, list) else [value]
    return ["" if each is None else str(each) for each in values]
