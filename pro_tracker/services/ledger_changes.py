"""Who changed what of a subject, from the audit trail, with the ids of its details resolved to what people know."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.visit import Visit

NO_CHANGES = ("identity.", "subject.view", "ledger.")  # of the audit trail: what was looked at
# Details that are shown under another name, as what their id stands for.
RESOLVED = {"course": "course", "visit": "visit", "infusion": "infusion_on", "replaces": "infusion_on_before"}
INTERNAL = ("call", "pause", "closed", "adverse_events")  # ids and counts that say nothing beside the rest


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the subject's data. `account`: who of the staff, None for the patient, the service or a command.

    `facts`: what it was about, as codes and ISO dates by name; two values where something was put in place of another.
    """

    at: datetime
    actor_kind: str
    account: Account | None
    action: str
    facts: Mapping[str, Sequence[str]]


def changes(session: Session, subject_id: uuid.UUID) -> Sequence[Change]:
    """The newest first. In a fixed number of statements."""
    looked = or_(*(AuditEvent.action.startswith(start, autoescape=True) for start in NO_CHANGES))
    rows = select(AuditEvent).where(AuditEvent.subject_id == subject_id, ~looked).order_by(AuditEvent.id.desc())
    events = session.scalars(rows).all()
    ids = {int(event.actor_id) for event in events if event.actor_kind == "account"}
    accounts = {each.id: each for each in session.scalars(select(Account).where(Account.id.in_(ids)))} if ids else {}
    known = _known(session, subject_id)
    return [_change(event, accounts, known) for event in events]


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


def _change(event: AuditEvent, accounts: Mapping[int, Account], known: Mapping[str, Mapping[int, str]]) -> Change:
    account = accounts.get(int(event.actor_id)) if event.actor_kind == "account" else None
    detail = json.loads(event.detail)
    facts = {RESOLVED.get(name, name): _values(name, detail[name], known) for name in detail if name not in INTERNAL}
    return Change(datetime.fromisoformat(event.at), event.actor_kind, account, event.action, facts)


def _values(name: str, value: Any, known: Mapping[str, Mapping[int, str]]) -> Sequence[str]:
    if name in RESOLVED:
        return [known[name].get(value, str(value))]
    return ["" if each is None else str(each) for each in (value if isinstance(value, list) else [value])]
