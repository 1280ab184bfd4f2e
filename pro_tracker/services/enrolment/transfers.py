"""Transfers a subject to another site. Courses stay at the site where they were begun."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.corrections import require_reason
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.planning.subject_lock import lock


@dataclass(frozen=True, slots=True)
class TransferFacts:
    """The site that a subject goes to, the day (local to the subject), and why."""

    site_code: str
    transferred_on: date | None
    reason: str


def transfer(session: Session, actor: Actor, subject: Subject, facts: TransferFacts, *, now: datetime) -> Transfer:
    """Makes another site the one that works with the subject from now on; the study code stays.

    Raises InvalidInput with its field for an unknown site or the present one, a day in the future, before enrolment or
    before the last transfer, and a missing reason.
    """
    lock(session, subject)
    before = session.get_one(Site, subject.site_id)
    after = _target(session, before, facts.site_code)
    row = Transfer(
        subject_id=subject.id,
        from_site_id=before.id,
        to_site_id=after.id,
        transferred_on=_checked_day(session, subject, facts.transferred_on, now),
        reason=require_reason(facts.reason, "Say why the patient goes to another clinic."),
        recorded_at=now,
    )
    session.add(row)
    subject.site = after
    identity_hashes.follow_site(session, subject.identity, identity_hashes.rules_of(after))
    calls.release_claims(session, subject.id)
    session.flush()
    detail: audit.Detail = {"sites": [before.code, after.code], "transferred_on": row.transferred_on.isoformat()}
    audit.record(session, actor, "subject.transfer", now=now, subject_id=subject.id, detail=detail)
    return row


def of_subject(session: Session, subject_id: uuid.UUID) -> Sequence[Transfer]:
    """Returns the subject's transfers with their sites, oldest first."""
    rows = select(Transfer).where(Transfer.subject_id == subject_id)
    rows = rows.options(joinedload(Transfer.from_site), joinedload(Transfer.to_site))
    return session.scalars(rows.order_by(Transfer.id)).all()


def targets(session: Session, subject: Subject) -> Sequence[Site]:
    """Returns the sites that the subject may be transferred to."""
    others = select(Site).where(Site.id != subject.site_id)
    return session.scalars(others.order_by(Site.code)).all()


def _target(session: Session, before: Site, code: str) -> Site:
    found = session.scalar(select(Site).where(Site.code == code))
    if found is None:
        raise InvalidInput("There is no such site. Sites are listed in config/sites.yaml.", field="site_code")
    if found is before:
        raise InvalidInput("The patient is at this clinic already. Choose another one.", field="site_code")
    return found


def _checked_day(session: Session, subject: Subject, on: date | None, now: datetime) -> date:
    if on is None:
        raise InvalidInput("Enter the day of the transfer.", field="transferred_on")
    if on > local_date(now, subject.time_zone):
        raise InvalidInput("This day lies in the future. Transfer the patient on that day.", field="transferred_on")
    if on < subject.enrolled_on:
        raise InvalidInput("The patient was enrolled after this day. Check the date.", field="transferred_on")
    earlier = of_subject(session, subject.id)
    if earlier and on < earlier[-1].transferred_on:
        raise InvalidInput("The last transfer was after this day. Check the date.", field="transferred_on")
    return on
