"""Loads the parts of a subject's page other than the trend, in a fixed number of statements."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from pro_tracker.models.account import Account
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Consent, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import visibility
from pro_tracker.services.treatment import pauses


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """One subject with identity and contacts, courses with infusions and adverse events, visits with their messages."""

    subject: Subject
    consents: Sequence[Consent]
    courses: Sequence[Course]
    visits: Sequence[Visit]
    messages: Mapping[int, Sequence[Message]]  # by visit id, in the order of sending
    calls: Sequence[Call]  # open ones
    pauses: Sequence[Pause]

    def visits_of(self, course: Course) -> list[Visit]:
        return [visit for visit in self.visits if visit.course_id == course.id]


def load(session: Session, account: Account, subject_id: uuid.UUID) -> SubjectRecord:
    """The record, if this account may see the subject. Raises NotFound."""
    subject = with_identity(session, account, subject_id)
    return SubjectRecord(
        subject=subject,
        consents=session.scalars(
            select(Consent).where(Consent.subject_id == subject_id).order_by(Consent.signed_on)
        ).all(),
        courses=courses_of(session, subject_id),
        visits=session.scalars(
            select(Visit).where(Visit.subject_id == subject_id).order_by(Visit.opens_at, Visit.visit_number)
        ).all(),
        messages=_messages_by_visit(session, subject_id),
        calls=session.scalars(select(Call).where(Call.subject_id == subject_id, Call.closed_at.is_(None))).all(),
        pauses=pauses.for_subject(session, subject_id),
    )


def with_identity(session: Session, account: Account, subject_id: uuid.UUID) -> Subject:
    """The subject with site, identity and contacts in one statement, if this account may see it. Raises NotFound."""
    return visibility.subject(
        session,
        account,
        subject_id,
        joinedload(Subject.site),
        joinedload(Subject.identity),
        joinedload(Subject.contacts),
    )


def courses_of(session: Session, subject_id: uuid.UUID) -> Sequence[Course]:
    """The subject's courses with infusions and adverse events, first course first. One statement."""
    rows = (
        select(Course)
        .where(Course.subject_id == subject_id)
        .options(joinedload(Course.all_infusions).joinedload(Infusion.adverse_events))
        .order_by(Course.number)
    )
    return session.scalars(rows, execution_options={"populate_existing": True}).unique().all()


def _messages_by_visit(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[Message]]:
    found: dict[int, list[Message]] = defaultdict(list)
    rows = select(Message).where(Message.subject_id == subject_id).order_by(Message.send_at, Message.id)
    for message in session.scalars(rows):
        found[message.visit_id].append(message)
    return found
