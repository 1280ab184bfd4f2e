"""Who changed what of a subject, from the audit trail, with the ids of its details resolved to what people know."""

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

NO_CHANGES = ("identity.", "subject.view", "ledger.")  # of the audit trail: what was looked at
# Details that are shown under another name, as what their id stands for.
RESOLVED = {"course": "course", "visit": "visit", "infusion": "infusion_on", "replaces": "infusion_on_before"}
VOIDED_INFUSION = "infusion"  # no correction is kept of it: its old row has the reason
# Actions for which staff said why, and what their words were kept with. A withdrawal is none of them: what a patient
# said stays on the patient's page.
REASONED = {
    "course.reopen": CorrectionKind.COURSE_END,
    "course.set-date": CorrectionKind.ANCHOR_DATE,
    "infusion.correct": VOIDED_INFUSION,
    "infusion.remove": VOIDED_INFUSION,
    "pause.begin": CorrectionKind.PAUSE,
    "pause.end": CorrectionKind.PAUSE,
    "pause.remove": CorrectionKind.PAUSE,
}
INTERNAL = ("call", "pause", "closed", "adverse_events")  # ids and counts that say nothing beside the rest


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """One change of the subject's data. `account`: who of the staff, None for the patient, the service or a command.

    `facts`: what it was about, as codes and ISO dates by name; two values where something was put in place of another.
    `why`: in the words of whoever made it, "" where none were asked for.
    """

    at: datetime
    actor_kind: ActorKind
    account: Account | None
    action: str
    facts: Mapping[str, Sequence[str]]
    why: str = ""


def changes(session: Session, subject_id: uuid.UUID) -> Sequence[RecordedChange]:
    """The newest first. In a fixed number of statements."""
    looked = or_(*(AuditEvent.action.startswith(start, autoescape=True) for start in NO_CHANGES))
    rows = select(AuditEvent).where(AuditEvent.subject_id == subject_id, ~looked).order_by(AuditEvent.id.desc())
    events = session.scalars(rows).all()
    ids = {int(event.actor_id) for event in events if event.actor_kind == ActorKind.ACCOUNT}
    accounts = {each.id: each for each in session.scalars(select(Account).where(Account.id.in_(ids)))} if ids else {}
    known, reasons = _known(session, subject_id), _reasons(session, subject_id)
    return [_change(event, accounts, known, reasons) for event in events]


def _reasons(session: Session, subject_id: uuid.UUID) -> Mapping[tuple[str, datetime], str]:
    """(What was changed, when) -> why. The moment of a change is that of its row of the audit trail."""
    courses = select(Course.id).where(Course.subject_id == subject_id).scalar_subquery()
    voided = (Infusion.course_id.in_(courses), Infusion.voided_at.is_not(None))
    given: CompoundSelect[Any] = union_all(
        select(type_coerce(Correction.what, String), Correction.recorded_at, Correction.reason).where(
            Correction.subject_id == subject_id
        ),
        select(literal(CorrectionKind.PAUSE, String), Pause.recorded_at, Pause.reason).where(
            Pause.subject_id == subject_id
        ),
        select(literal(CorrectionKind.ANCHOR_DATE, String), AnchorDate.recorded_at, AnchorDate.reason).where(
            AnchorDate.course_id.in_(courses)
        ),
        select(literal(VOIDED_INFUSION), Infusion.voided_at, Infusion.void_reason).where(*voided),
    )
    return {(what, at): reason for what, at, reason in session.execute(given)}


def _known(session: Session, subject_id: uuid.UUID) -> Mapping[str, Mapping[int, str]]:
    """Kind of row -> id -> what people know it by."""
    courses = select(Course.id, Course.number).where(Course.subject_id == subject_id)
    visits = select(Visit.id, Visit.event_code).where(Visit.subject_id == subject_id)
    infusions = select(Infusion.id, Infusion.given_on).join(Course, Course.id == Infusion.course_id)
    days = {id_: on.isoformat() for id_, on in session.execute(infusions.where(Course.subject_id == subject_id))}
    return {
        "course": {id_: str(number) for id_, number in session.execute(courses)},
        "visit": dict(iter(session.execute(visits))),
        "infusion": days,
        "replaces": days,
    }


def _change(
    event: AuditEvent,
    accounts: Mapping[int, Account],
    known: Mapping[str, Mapping[int, str]],
    reasons: Mapping[tuple[str, datetime], str],
) -> RecordedChange:
    account = accounts.get(int(event.actor_id)) if event.actor_kind == ActorKind.ACCOUNT else None
    detail = json.loads(event.detail)
    facts = {RESOLVED.get(name, name): _values(name, detail[name], known) for name in detail if name not in INTERNAL}
    at = datetime.fromisoformat(event.at)
    why = reasons.get((REASONED.get(event.action, ""), at), "")
    return RecordedChange(at, event.actor_kind, account, event.action, facts, why)


def _values(name: str, value: Any, known: Mapping[str, Mapping[int, str]]) -> Sequence[str]:
    if name in RESOLVED:
        return [known[name].get(value, str(value))]
    return ["" if each is None else str(each) for each in (value if isinstance(value, list) else [value])]
