"""Reads the cohort for export in batches of subjects: visits with answers and scores, without identity or dates.

Dates are replaced by study days here. export_columns.py makes the columns of these records, exports.py the files.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, case, exists, func, or_, select, union
from sqlalchemy.orm import Session

from pro_tracker.domain.change import Change
from pro_tracker.domain.infusion_codes import InfusionStatus, SymptomAnswer
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.domain.study_days import study_day
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.domain.unanswered import SetAsideReason, UnansweredReason, UncountedReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.course import COUNTS, AdverseEvent, Course, Infusion
from pro_tracker.models.infusion_findings import InfusionSymptom
from pro_tracker.models.response import EXPORTED_STATUSES, QuestionnaireResponse
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.clinic.person import RECORD, is_kept, persons_by_record
from pro_tracker.services.consent_filters import MAY_BE_RESEARCHED
from pro_tracker.services.planning import first_asked, person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import assessments, goal_ratings, newest_consents
from pro_tracker.services.results.goal_ratings import GoalAttained
from pro_tracker.services.results.newest_consents import NO_CONSENT, GivenConsent
from pro_tracker.services.stored_scores import ScaleKey, StoredScore

SUBJECTS_PER_BATCH = 100
TOP_AGE = 90  # HIPAA safe harbor: ages above 89 are one category, 45 CFR 164.514(b)(2)(i)(C)
AnySelect = Select[*tuple[Any, ...]]
SiteIds = Collection[int] | None  # None: every site


@dataclass(slots=True)
class CourseTreatment:
    """The treatment given in one course, up to the moment of the export."""

    infusions: int = 0
    stopped: int = 0
    cumulative_mg_per_kg: Decimal = Decimal(0)
    asked: int = 0  # infusions at which it was asked about adverse effects
    adverse_events: int = 0
    worst_grade: int | None = None
    emergencies: int = 0


class GivenAnswers(NamedTuple):
    """State of the answers to one instrument; `reason` is the code why they were never sent."""

    day: int | None = None
    mode: ResponseMode | None = None
    status: ResponseStatus | None = None
    reason: str = ""


NOT_GIVEN = GivenAnswers()


class Death(NamedTuple):
    """The death of a subject: its study day (None: not known), and whether that day is certain."""

    is_recorded: bool = False
    day: int | None = None
    is_certain: bool = True


NO_DEATH = Death()


@dataclass(slots=True, eq=False)
class VisitRecord:
    """One visit that was answered, voided after it opened, or closed unanswered.

    `is_finished` is False while the rest of its instruments may still be answered. `reason` is the code why a visit was
    not sent; some of its instruments may have been answered. `under_treatment`: responses to a visit before treatment
    that were given after it had begun; they are no answers of the visit, and `is_unscheduled` is set in the record that
    shows them.
    """

    study: str
    subject_code: str
    site_code: str
    sex: str
    age_years: int
    course_number: int
    protocol: Protocol
    treatment: CourseTreatment
    visit_number: int
    event_code: str
    planned_day: int | None
    asked_day: int | None = None  # None: the subject was never asked
    infusion_day: int | None = None  # number of the infusion day that it asks about
    is_finished: bool = True
    death: Death = NO_DEATH
    goal: GoalAttained | None = None
    consent: GivenConsent = NO_CONSENT
    reason: str = ""
    responses: Mapping[str, Row[Any]] = field(default_factory=dict)  # instrument code -> response, stopped ones too
    given: dict[str, GivenAnswers] = field(default_factory=dict)  # instrument code -> how it was answered
    whole: GivenAnswers = NOT_GIVEN
    under_treatment: Mapping[str, Row[Any]] = field(default_factory=dict)
    is_unscheduled: bool = False
    in_error: frozenset[str] = frozenset()  # instruments with a response that was entered in error
    scores: Mapping[ScaleKey, StoredScore] = field(default_factory=dict)  # the newest scoring of each scale
    baseline: "VisitRecord | None" = None  # the first event of the same course, where it was answered
    changes: dict[ScaleKey, Change | None] = field(default_factory=dict)  # cache: five columns show parts of a change


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the cohort: the sites and the protocol that it is limited to; None: all."""

    site_ids: Collection[int] | None = None
    protocol_code: str | None = None

    def of(self, found: Iterable[VisitRecord]) -> Iterator[VisitRecord]:
        """Yields the records of the protocol."""
        for record in found:
            if self.protocol_code in (None, record.protocol.code):
                yield record


def _whole(parts: Collection[GivenAnswers]) -> GivenAnswers:
    """The visit as a whole: day and mode of its newest answers, stopped or amended where a part of it is."""
    if not parts:
        return NOT_GIVEN
    last = max(parts, key=lambda part: (part.day is not None, part.day or 0))
    reason = next((part.reason for part in parts if part.reason), "")
    if reason:
        return GivenAnswers(last.day, last.mode, ResponseStatus.STOPPED, reason)
    amended = any(part.status == ResponseStatus.AMENDED for part in parts)
    return GivenAnswers(last.day, last.mode, ResponseStatus.AMENDED if amended else last.status)


def records(
    session: Session,
    *,
    now: datetime,
    part: "Part | None" = None,
    on_subjects: Callable[[int], object] | None = None,
) -> Iterator[VisitRecord]:
    """Every finished visit in the order of study code, course and visit; `part` limits them.

    `on_subjects` is called with the number of subjects of each batch. One batch at a time is held in memory.
    """
    last = ""
    part = part or Part()
    while subjects := session.execute(_subjects(last, part.site_ids)).all():
        yield from part.of(_Batch(session, subjects, part.site_ids, now).records())
        if on_subjects:
            on_subjects(len(subjects))
        last = subjects[-1].study_code


def count_subjects(session: Session, site_ids: SiteIds = None) -> int:
    """The number of subjects whose data may be used, with a course at these sites."""
    return _count(session, MAY_BE_RESEARCHED, site_ids)


def count_excluded(session: Session, site_ids: SiteIds = None) -> int:
    """The number of subjects who are in no file: their data were withdrawn, or may not be used for research."""
    return _count(session, ~MAY_BE_RESEARCHED, site_ids)


def used_codes(session: Session) -> list[str]:
    """The codes of the protocols that courses or visits are bound to, sorted."""
    codes = {code for code, _version in _used_keys(session)}
    return sorted(codes)


def _used_keys(session: Session) -> list[tuple[str, str]]:
    """Code and version of every protocol that courses or visits are bound to. One statement."""
    of_courses = select(Course.protocol_code, Course.protocol_version)
    of_visits = select(Visit.protocol_code, Visit.protocol_version)
    rows = session.execute(union(of_courses, of_visits))
    keys = [(code, version) for code, version in rows]
    return sorted(keys)


def used_protocols(session: Session, code: str | None = None) -> tuple[Protocol, ...]:
    """The protocol versions that courses or visits are bound to; every protocol's newest where there is no course yet.

    `code` limits them to one protocol.
    """
    used = [protocol_catalog.protocol(*key) for key in _used_keys(session)]
    found = used or protocol_catalog.protocols()
    if code is None:
        return tuple(found)
    of_code = [protocol for protocol in found if protocol.code == code]
    return tuple(of_code)


def _count(session: Session, which: ColumnElement[bool], site_ids: SiteIds) -> int:
    subjects = select(func.count()).select_from(Subject)
    subjects = _at_sites(subjects.where(which, is_kept()), site_ids)
    return session.scalar(subjects) or 0


def _at_sites(subjects: AnySelect, site_ids: SiteIds) -> AnySelect:
    """SQL: `subjects` with a course at these sites."""
    if site_ids is None:
        return subjects
    at_site = select(RECORD.person_id).join(Course, Course.subject_id == RECORD.id)
    at_site = at_site.where(Course.site_id.in_(site_ids), COUNTS)
    return subjects.where(Subject.id.in_(at_site))


def _subjects(after: str, site_ids: SiteIds) -> AnySelect:
    columns = (
        Subject.id,
        Subject.study_code,
        Subject.sex,
        Subject.age_years,
        Subject.time_zone,
        Subject.died_on,
        Subject.died_on_precision,
    )
    subjects = select(*columns).where(Subject.study_code > after, is_kept(), MAY_BE_RESEARCHED)
    subjects = _at_sites(subjects, site_ids)
    return subjects.order_by(Subject.study_code).limit(SUBJECTS_PER_BATCH)


class _Batch:
    """A batch of subjects with all their rows, read in one statement a table."""

    def __init__(self, session: Session, subjects: Collection[Row[Any]], site_ids: SiteIds, now: datetime) -> None:
        people = persons_by_record(session, [subject.id for subject in subjects])
        ids = list(people)
        self.site_ids = site_ids
        self.subjects = subjects
        self.courses = _by_person(session.execute(_courses(ids)).all(), people)
        self.treatments = _by_course(session, _infusions(ids))
        self.events = _by_course(session, _adverse_events(ids))
        self.visits = _grouped(session, _visits(ids, now), "course_id")
        self.responses = _grouped(session, _responses(ids), "visit_id")
        self.in_error = _grouped(session, _in_error(ids), "visit_id")
        self.scores = stored_scores.by_visit(session, ids)
        self.first_asked = first_asked.by_visit(session, ids)
        self.goals = goal_ratings.by_visit(session, people)
        self.consents = newest_consents.by_person(session, people)

    def records(self) -> Iterator[VisitRecord]:
        for subject in self.subjects:
            courses = self._in_order(self.courses[subject.id])
            numbers = person_courses.numbers(courses)
            for course in courses:
                if self.site_ids is None or course.site_id in self.site_ids:
                    yield from self._course(subject, course, numbers[course.id])

    def _in_order(self, courses: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
        """The courses of a person with several records by their first days; of one record they are in order."""
        if person_courses.has_one_record(courses):
            return courses
        starts_on = {course.id: course.planned_start_on for course in courses if course.planned_start_on}
        given = {course.id: self.treatments[course.id].first_on for course in courses if course.id in self.treatments}
        return person_courses.in_order(courses, {**starts_on, **given})

    def _course(self, subject: Row[Any], course: Row[Any], number: int) -> Iterator[VisitRecord]:
        """The records of one course in the order of its visits, each with the record of the baseline before it."""
        treatment = self._treatment(course.id)
        baseline: VisitRecord | None = None
        for visit in self.visits[course.id]:
            record = self._record(subject, course, visit, treatment)
            record.course_number = number
            record.baseline = baseline
            if visit.event_number == 1 and record.responses:
                baseline = record
            yield record

    def _record(self, subject: Row[Any], course: Row[Any], visit: Row[Any], treatment: CourseTreatment) -> VisitRecord:
        protocol = protocol_catalog.bound_to(visit)
        record = VisitRecord(
            study=protocol.study,
            subject_code=subject.study_code,
            site_code=course.site,
            sex=subject.sex,
            age_years=min(subject.age_years, TOP_AGE),
            course_number=course.number,
            protocol=protocol,
            treatment=treatment,
            visit_number=visit.event_number,
            event_code=visit.event_code,
            planned_day=self._day(course, visit.due_at, subject.time_zone) if visit.due_at else None,
            death=self._death(subject, course),
            consent=self._consent(subject, course, protocol),
            infusion_day=visit.infusion_day,
        )
        record.goal = self.goals.get(visit.visit_id)
        asked_at = self.first_asked.get(visit.visit_id)
        record.asked_day = self._day(course, asked_at, subject.time_zone) if asked_at else None
        self._fill(record, course, visit, subject.time_zone)
        return record

    def _fill(self, record: VisitRecord, course: Row[Any], visit: Row[Any], zone: str) -> None:
        """Adds the visit's answers and scores, and the reason why it was not sent."""
        given = self.responses[visit.visit_id]
        responses = [row for row in given if not row.is_under_treatment]
        record.responses = {row.instrument_code: row for row in responses}
        record.under_treatment = {row.instrument_code: row for row in given if row.is_under_treatment}
        record.in_error = frozenset(row.instrument_code for row in self.in_error[visit.visit_id])
        record.scores = self.scores.get(visit.visit_id, {})
        for row in given:
            day = self._day(course, row.authored_at, zone)
            record.given[row.instrument_code] = GivenAnswers(day, row.mode, row.status, row.stop_reason or "")
        given_in = [record.given[code] for code in record.responses]
        record.whole = _whole([each for each in given_in if each.reason != SetAsideReason.OTHER_FORM])
        record.is_finished = bool(visit.is_finished)
        if record.under_treatment and not responses:
            record.reason = UncountedReason.UNDER_TREATMENT
        elif record.is_finished and (not responses or visit.completed_at is None):
            record.reason = visit.ended_reason or UnansweredReason.ENTERED_IN_ERROR

    def _day(self, course: Row[Any], moment: datetime, zone: str) -> int | None:
        """The study day of a moment; None before a start is planned."""
        return self._day_of_date(course, local_date(moment, zone))

    def _day_of_date(self, course: Row[Any], on: date) -> int | None:
        """The study day: day 1 is the course's first infusion; before that is given, its planned start."""
        given = self.treatments.get(course.id)
        reference = given.first_on if given else course.planned_start_on
        return None if reference is None else study_day(on, reference)

    def _consent(self, subject: Row[Any], course: Row[Any], protocol: Protocol) -> GivenConsent:
        row = self.consents.get((subject.id, protocol.consent))
        if row is None:
            return NO_CONSENT
        return GivenConsent(row.version, self._day(course, row.given_at, subject.time_zone), row.agreed_sharing)

    def _death(self, subject: Row[Any], course: Row[Any]) -> Death:
        if subject.died_on_precision is None:
            return NO_DEATH
        day = None if subject.died_on is None else self._day_of_date(course, subject.died_on)
        return Death(True, day, subject.died_on_precision == DeathDatePrecision.EXACT)

    def _treatment(self, course_id: int) -> CourseTreatment:
        given = self.treatments.get(course_id)
        events = self.events.get(course_id)
        treatment = CourseTreatment()
        if given:
            treatment.infusions = given.infusions
            treatment.stopped = given.stopped
            treatment.asked = given.asked
            treatment.cumulative_mg_per_kg = given.dose
        if events:
            treatment.adverse_events = events.events
            treatment.worst_grade = events.worst
            treatment.emergencies = events.emergencies
        return treatment


def _grouped(session: Session, rows: AnySelect, column: str) -> Mapping[uuid.UUID | int, list[Row[Any]]]:
    """The rows by the value of a column."""
    grouped: dict[uuid.UUID | int, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(rows):
        value = getattr(row, column)
        grouped[value].append(row)
    return grouped


def _by_person(
    courses: Sequence[Row[Any]], people: Mapping[uuid.UUID, uuid.UUID]
) -> Mapping[uuid.UUID, list[Row[Any]]]:
    """The courses by the kept record of their person."""
    grouped: dict[uuid.UUID, list[Row[Any]]] = defaultdict(list)
    for course in courses:
        grouped[people[course.subject_id]].append(course)
    return grouped


def _by_course(session: Session, rows: AnySelect) -> Mapping[int, Row[Any]]:
    """The rows by their course, which has one at most."""
    return {row.course_id: row for row in session.execute(rows)}


def _courses(subjects: list[uuid.UUID]) -> AnySelect:
    """The courses that count, of every site: the number of a course in the life of a person counts all of them."""
    columns = (Course.id, Course.subject_id, Course.number, Course.planned_start_on, Course.created_at, Course.site_id)
    courses = select(*columns, Site.code.label("site")).join(Site, Site.id == Course.site_id)
    courses = courses.where(Course.subject_id.in_(subjects), COUNTS)
    return courses.order_by(Course.number)


def _infusions(subjects: list[uuid.UUID]) -> AnySelect:
    was_asked = exists().where(
        InfusionSymptom.infusion_id == Infusion.id,
        InfusionSymptom.answer != SymptomAnswer.NOT_ASKED,
    )
    return (
        select(
            Infusion.course_id,
            func.min(Infusion.given_on).label("first_on"),
            func.count().label("infusions"),
            func.sum(Infusion.dose_mg_per_kg).label("dose"),
            func.sum(case((Infusion.status == InfusionStatus.STOPPED, 1), else_=0)).label("stopped"),
            func.sum(case((was_asked, 1), else_=0)).label("asked"),
        )
        .join(Course, Course.id == Infusion.course_id)
        .where(Course.subject_id.in_(subjects), Infusion.voided_at.is_(None))
        .group_by(Infusion.course_id)
    )


def _adverse_events(subjects: list[uuid.UUID]) -> AnySelect:
    return (
        select(
            AdverseEvent.course_id,
            func.count().label("events"),
            func.max(AdverseEvent.ctcae_grade).label("worst"),
            func.sum(case((AdverseEvent.emergency_response.is_(True), 1), else_=0)).label("emergencies"),
        )
        .join(Course, Course.id == AdverseEvent.course_id)
        .where(Course.subject_id.in_(subjects), AdverseEvent.voided_at.is_(None))
        .group_by(AdverseEvent.course_id)
    )


def _finished(now: datetime) -> ColumnElement[bool]:
    """SQL: the visit was answered, stopped, missed, or ended although it was due; or never planned for that reason."""
    missed = and_(
        Assessment.visit_id.is_not(None),
        Assessment.voided_at.is_(None),
        Assessment.answerable_until <= now,
        Assessment.ended_reason.is_not(None),
    )
    return or_(Assessment.is_ended, missed)


def _visits(subjects: list[uuid.UUID], now: datetime) -> AnySelect:
    """The finished visits, and those that have answers in effect after a correction and are still asked the others."""
    finished = _finished(now)
    has_answers = exists().where(
        QuestionnaireResponse.visit_id == Assessment.visit_id,
        QuestionnaireResponse.status.in_(EXPORTED_STATUSES),
    )
    columns = (
        Assessment.visit_id,
        Assessment.course_id,
        Assessment.protocol_code,
        Assessment.protocol_version,
        Assessment.event_number,
        Assessment.event_code,
        Assessment.occurrence,
        Assessment.infusion_day,
        Assessment.due_at,
        Assessment.completed_at,
        finished.label("is_finished"),
        Assessment.ended_reason,
    )
    # When figures count them, too.
    in_progress = and_(Assessment.voided_at.is_(None), Assessment.opens_at <= now, has_answers)
    visits = select(*columns).where(Assessment.subject_id.in_(subjects), assessments.OF_VISIT)
    visits = visits.where(or_(finished, in_progress)).distinct()
    return visits.order_by(Assessment.event_number, Assessment.occurrence)


def _responses(subjects: list[uuid.UUID]) -> AnySelect:
    response = QuestionnaireResponse
    columns = (
        response.visit_id,
        response.instrument_code,
        response.instrument_version,
        response.language,
        response.text_pack_version,
        response.text_pack_validated,
        response.wordings,
        response.status,
        response.answers,
        response.missing,
        response.stop_reason,
        response.mode,
        response.authored_at,
        stored_scores.is_under_treatment(response).label("is_under_treatment"),
    )
    is_exported = response.status.in_(EXPORTED_STATUSES)
    rows = select(*columns).where(response.subject_id.in_(subjects), is_exported)
    return rows.order_by(response.id)


def _in_error(subjects: list[uuid.UUID]) -> AnySelect:
    """The visits and instruments with a response that was entered in error, whether another replaced it or not."""
    response = QuestionnaireResponse
    rows = select(response.visit_id, response.instrument_code)
    return rows.where(response.subject_id.in_(subjects), response.status == ResponseStatus.ENTERED_IN_ERROR)
