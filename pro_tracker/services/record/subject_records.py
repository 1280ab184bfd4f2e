"""Loads the parts of a subject's page other than the trend, in a fixed number of statements."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason
from pro_tracker.models.account import Account
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Consent, Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import alerts
from pro_tracker.services.calling.alerts import ShownAlert
from pro_tracker.services.clinic import person, visibility
from pro_tracker.services.enrolment import merges
from pro_tracker.services.enrolment.merges import MergedRecordEntry
from pro_tracker.services.planning import person_courses
from pro_tracker.services.treatment import pauses

WITH_IDENTITY = (
    joinedload(Subject.site),
    joinedload(Subject.identity),
    joinedload(Subject.contacts),
)
OF_COURSE = (Course.all_adverse_events, Course.all_other_treatments, Course.all_liver_tests)
WITH_FINDINGS = (Infusion.symptoms, Infusion.vitals, Infusion.medications, Infusion.all_adverse_events)


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """One subject with identity and contacts, courses with infusions and adverse events, visits with their messages."""

    subject: Subject
    consents: Sequence[Consent]
    courses: Sequence[Course]
    visits: Sequence[Visit]
    messages: Mapping[int, Sequence[Message]]  # by visit id, in the order of sending
    calls: Sequence[Call]  # open ones
    alerts: Mapping[int, Sequence[ShownAlert]]  # by visit id, oldest first
    alert_attempts: Mapping[int, Sequence[CallAttempt]]  # by visit id: the outcomes of its alerts
    pauses: Sequence[Pause]
    merges: Sequence[MergedRecordEntry]  # of the records that were merged into this one
    answered: frozenset[int]  # ids of the visits with answers, in effect, corrected or late

    @property
    def numbers(self) -> Mapping[int, int]:
        """Course id -> number of the course in the life of the person."""
        return person_courses.numbers(self.courses)

    def visits_of(self, course: Course) -> list[Visit]:
        return [visit for visit in self.visits if visit.course_id == course.id]


def load(session: Session, account: Account, subject_id: uuid.UUID) -> SubjectRecord:
    """The record, if this account may see the subject. Raises NotFound."""
    subject = with_identity(session, account, subject_id, *_transfers(), joinedload(Subject.merged_records))
    records = person.records_of(subject_id)
    consents = select(Consent).where(Consent.subject_id.in_(records))
    visits = select(Visit, _has_answers().label("answered")).where(Visit.subject_id.in_(records))
    rows = session.execute(visits.order_by(Visit.opens_at, Visit.visit_number)).all()
    is_shown = or_(
        Call.closed_at.is_(None),
        Call.reason == CallReason.ALERT,
    )
    calls = session.scalars(select(Call).where(Call.subject_id.in_(records), is_shown)).all()
    alerted = [call.visit_id for call in calls if call.reason == CallReason.ALERT]
    found = [row.Visit for row in rows]
    return SubjectRecord(
        subject=subject,
        consents=session.scalars(consents.order_by(Consent.signed_on)).all(),
        courses=courses_of(session, subject_id),
        visits=found,
        messages=_messages_by_visit(session, subject_id),
        calls=[call for call in calls if call.closed_at is None],
        alerts=alerts.of_visits(session, alerted) if alerted else {},
        alert_attempts=_alert_attempts(session, subject_id) if alerted else {},
        pauses=pauses.for_subject(session, subject_id),
        merges=merges.into(session, subject_id) if subject.merged_records else (),
        answered=frozenset(row.Visit.id for row in rows if row.answered),
    )


def open_calls(session: Session, subject_id: uuid.UUID) -> int:
    """The number of the person's open calls."""
    of_person = Call.subject_id.in_(person.records_of(subject_id))
    calls = select(func.count()).where(
        of_person,
        Call.closed_at.is_(None),
    )
    return session.scalar(calls) or 0


def with_identity(session: Session, account: Account, subject_id: uuid.UUID, *load: ORMOption) -> Subject:
    """The subject with site, identity and contacts in one statement, if this account may see it. Raises NotFound.

    `load` names what else the statement loads.
    """
    return visibility.find_subject(session, account, subject_id, *WITH_IDENTITY, *load)


def _transfers() -> tuple[ORMOption, ...]:
    """Loads the subject's transfers with both sites."""
    transfers = joinedload(Subject.transfers)
    return transfers.joinedload(Transfer.from_site), transfers.joinedload(Transfer.to_site)


def courses_of(session: Session, subject_id: uuid.UUID, *which: ColumnElement[bool]) -> Sequence[Course]:
    """The courses of the person that match, with infusions, findings, adverse events and other treatments, first first.

    Without those that are recorded twice. A fixed number of statements.
    """
    infusions = joinedload(Course.all_infusions)
    rows = (
        select(Course)
        .where(Course.subject_id.in_(person.records_of(subject_id)), COUNTS, *which)
        .options(joinedload(Course.site), infusions, *(selectinload(each) for each in OF_COURSE))
        .options(*(infusions.selectinload(each) for each in WITH_FINDINGS))
        .order_by(Course.number)
    )
    courses = session.scalars(rows, execution_options={"populate_existing": True}).unique().all()
    return person_courses.loaded_in_order(courses)


def _alert_attempts(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[CallAttempt]]:
    """Visit id -> the attempts to call about its alerts, with their outcomes, in order."""
    learned_of_death = and_(Call.reason == CallReason.ALERT, CallAttempt.outcome == CallAttemptOutcome.DIED)
    is_about_alert = or_(CallAttempt.alert_outcome.is_not(None), learned_of_death)
    rows = (
        select(Call.visit_id, CallAttempt)
        .join(CallAttempt, CallAttempt.call_id == Call.id)
        .where(Call.subject_id.in_(person.records_of(subject_id)), is_about_alert)
        .order_by(CallAttempt.at, CallAttempt.number)
    )
    found: dict[int, list[CallAttempt]] = defaultdict(list)
    for visit_id, attempt in session.execute(rows):
        found[visit_id].append(attempt)
    return found


def _messages_by_visit(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[Message]]:
    messages = select(Message).where(Message.subject_id.in_(person.records_of(subject_id)))
    in_order = messages.order_by(Message.send_at, Message.id)
    found: dict[int, list[Message]] = defaultdict(list)
    for message in session.scalars(in_order):
        found[message.visit_id].append(message)
    return found


def _has_answers() -> ColumnElement[bool]:
    """SQL: the visit has a response, in effect or corrected, or a late answer."""
    answered = exists().where(QuestionnaireResponse.visit_id == Visit.id)
    return or_(answered, exists().where(LateAnswer.visit_id == Visit.id))
