"""Reads the cohort for export in batches of subjects: visits with answers and scores, without identity or dates.

Dates are replaced by study days here. export_columns.py makes the columns of these records, exports.py the files.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain.change import Change
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.study_days import study_day
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.planning.visit_filters import DISCONTINUED
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.stored_scores import ScaleKey, StoredScore

SUBJECTS_PER_BATCH = 100
TOP_AGE = 90  # HIPAA safe harbor: ages above 89 are one category, 45 CFR 164.514(b)(2)(i)(C)
AnySelect = Select[*tuple[Any, ...]]


@dataclass(slots=True)
class CourseTreatment:
    """The treatment given in one course, up to the moment of the export."""

    infusions: int = 0
    stopped: int = 0
    cumulative_mg_per_kg: Decimal = Decimal(0)
    adverse_events: int = 0
    worst_grade: int | None = None
    emergencies: int = 0


@dataclass(slots=True, eq=False)
class VisitRecord:
    """One visit that was answered, voided after it opened, or closed unanswered; `reason` is then the code why."""

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
    day: int | None = None
    mode: str = ""
    reason: str = ""
    responses: Mapping[str, Row[Any]] = field(default_factory=dict)  # instrument code -> response
    scores: Mapping[ScaleKey, StoredScore] = field(default_factory=dict)  # the newest scoring of each scale
    baseline: "VisitRecord | None" = None  # the first event of the same course, where it was answered
    changes: dict[ScaleKey, Change | None] = field(default_factory=dict)  # cache: five columns show parts of a change


def records(
    session: Session,
    *,
    now: datetime,
    site_ids: Collection[int] | None = None,
    on_subjects: Callable[[int], object] | None = None,
) -> Iterator[VisitRecord]:
    """Every finished visit in the order of study code, course and visit; `site_ids` limits it to these sites.

    `on_subjects` is called with the number of subjects of each batch. One batch at a time is held in memory.
    """
    last = ""
    while subjects := session.execute(_subjects(last, site_ids)).all():
        yield from _Batch(session, subjects, now).records()
        if on_subjects:
            on_subjects(len(subjects))
        last = subjects[-1].study_code


def count_subjects(session: Session, site_ids: Collection[int] | None = None) -> int:
    """The number of subjects whose data may be used."""
    return _count(session, DATA_MAY_BE_USED, *_of_sites(site_ids))


def count_excluded(session: Session, site_ids: Collection[int] | None = None) -> int:
    """The number of subjects who are in no file because they withdrew their data."""
    return _count(session, ~DATA_MAY_BE_USED, *_of_sites(site_ids))


def used_protocols(session: Session) -> tuple[Protocol, ...]:
    """The protocol versions that courses are bound to; every protocol's newest where there is no course yet."""
    rows = session.execute(select(*_PROTOCOL_KEY).distinct().order_by(*_PROTOCOL_KEY))
    used = tuple(protocol_catalog.protocol(code, version) for code, version in rows)
    return used or protocol_catalog.protocols()


_PROTOCOL_KEY = (Course.protocol_code, Course.protocol_version)


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Subject).where(*conditions)) or 0


def _of_sites(site_ids: Collection[int] | None) -> list[ColumnElement[bool]]:
    return [] if site_ids is None else [Subject.site_id.in_(site_ids)]


def _subjects(after: str, site_ids: Collection[int] | None) -> AnySelect:
    columns = (
        Subject.id,
        Subject.study_code,
        Subject.sex,
        Subject.age_years,
        Subject.time_zone,
        Site.code.label("site"),
    )
    rows = select(*columns).join(Site).where(Subject.study_code > after, DATA_MAY_BE_USED, *_of_sites(site_ids))
    return rows.order_by(Subject.study_code).limit(SUBJECTS_PER_BATCH)


class _Batch:
    """A batch of subjects with all their rows, read in one statement a table."""

    def __init__(self, session: Session, subjects: Collection[Row[Any]], now: datetime) -> None:
        ids = [subject.id for subject in subjects]
        self.subjects = subjects
        self.courses = _grouped(session.execute(_courses(ids)), "subject_id")
        self.treatments = {row.course_id: row for row in session.execute(_infusions(ids))}
        self.events = {row.course_id: row for row in session.execute(_adverse_events(ids))}
        self.visits = _grouped(session.execute(_visits(ids, now)), "course_id")
        self.responses = _grouped(session.execute(_responses(ids)), "visit_id")
        self.scores = stored_scores.by_visit(session, ids)

    def records(self) -> Iterator[VisitRecord]:
        for subject in self.subjects:
            for course in self.courses[subject.id]:
                yield from self._course(subject, course)

    def _course(self, subject: Row[Any], course: Row[Any]) -> Iterator[VisitRecord]:
        """The records of one course in the order of its visits, each with the record of the baseline before it."""
        treatment = self._treatment(course.id)
        baseline: VisitRecord | None = None
        for visit in self.visits[course.id]:
            record = self._record(subject, course, visit, treatment)
            record.baseline = baseline
            if visit.visit_number == 1 and record.responses:
                baseline = record
            yield record

    def _record(self, subject: Row[Any], course: Row[Any], visit: Row[Any], treatment: CourseTreatment) -> VisitRecord:
        protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
        record = VisitRecord(
            study=protocol.study,
            subject_code=subject.study_code,
            site_code=subject.site,
            sex=subject.sex,
            age_years=min(subject.age_years, TOP_AGE),
            course_number=course.number,
            protocol=protocol,
            treatment=treatment,
            visit_number=visit.visit_number,
            event_code=visit.event_code,
            planned_day=self._day(course, visit.due_at, subject.time_zone),
        )
        self._fill(record, course, visit, subject.time_zone)
        return record

    def _fill(self, record: VisitRecord, course: Row[Any], visit: Row[Any], zone: str) -> None:
        """Add the visit's answers and scores, or the reason why it has none."""
        responses = self.responses[visit.id]
        record.responses = {row.instrument_code: row for row in responses}
        record.scores = self.scores.get(visit.id, {})
        if responses:
            record.day = self._day(course, responses[0].authored_at, zone)
            record.mode = responses[0].mode
        else:
            record.reason = visit.void_reason or visit.missed_reason or UnansweredReason.ENTERED_IN_ERROR

    def _day(self, course: Row[Any], moment: datetime, zone: str) -> int | None:
        """The study day of a moment; None before a start is planned.

        Day 1 is the course's first infusion; before that is given, its planned start.
        """
        given = self.treatments.get(course.id)
        reference = given.first_on if given else course.planned_start_on
        return None if reference is None else study_day(local_date(moment, zone), reference)

    def _treatment(self, course_id: int) -> CourseTreatment:
        given = self.treatments.get(course_id)
        events = self.events.get(course_id)
        treatment = CourseTreatment()
        if given:
            treatment.infusions = given.infusions
            treatment.stopped = given.stopped
            treatment.cumulative_mg_per_kg = given.dose
        if events:
            treatment.adverse_events = events.events
            treatment.worst_grade = events.worst
            treatment.emergencies = events.emergencies
        return treatment


def _grouped(rows: Iterable[Row[Any]], column: str) -> Mapping[uuid.UUID | int, list[Row[Any]]]:
    grouped: dict[uuid.UUID | int, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        grouped[getattr(row, column)].append(row)
    return grouped


def _courses(subjects: list[uuid.UUID]) -> AnySelect:
    columns = (Course.id, Course.subject_id, Course.number, *_PROTOCOL_KEY, Course.planned_start_on)
    return select(*columns).where(Course.subject_id.in_(subjects)).order_by(Course.number)


def _infusions(subjects: list[uuid.UUID]) -> AnySelect:
    return (
        select(
            Infusion.course_id,
            func.min(Infusion.given_on).label("first_on"),
            func.count().label("infusions"),
            func.sum(Infusion.dose_mg_per_kg).label("dose"),
            func.sum(case((Infusion.status == InfusionStatus.STOPPED, 1), else_=0)).label("stopped"),
        )
        .join(Course, Course.id == Infusion.course_id)
        .where(Course.subject_id.in_(subjects), Infusion.voided_at.is_(None))
        .group_by(Infusion.course_id)
    )


def _adverse_events(subjects: list[uuid.UUID]) -> AnySelect:
    return (
        select(
            Infusion.course_id,
            func.count().label("events"),
            func.max(AdverseEvent.ctcae_grade).label("worst"),
            func.sum(case((AdverseEvent.emergency_response, 1), else_=0)).label("emergencies"),
        )
        .join(Infusion, Infusion.id == AdverseEvent.infusion_id)
        .join(Course, Course.id == Infusion.course_id)
        .where(Course.subject_id.in_(subjects), Infusion.voided_at.is_(None))
        .group_by(Infusion.course_id)
    )


def _visits(subjects: list[uuid.UUID], now: datetime) -> AnySelect:
    """The finished visits: answered, missed, or voided after the window had opened."""
    finished = or_(
        Visit.completed_at.is_not(None),
        (Visit.closes_at <= now) & Visit.missed_reason.is_not(None),
        DISCONTINUED,
    )
    columns = (
        Visit.id,
        Visit.course_id,
        Visit.visit_number,
        Visit.event_code,
        Visit.due_at,
        Visit.void_reason,
        Visit.missed_reason,
    )
    return select(*columns).where(Visit.subject_id.in_(subjects), finished).order_by(Visit.visit_number)


def _responses(subjects: list[uuid.UUID]) -> AnySelect:
    response = QuestionnaireResponse
    columns = (
        response.visit_id,
        response.instrument_code,
        response.instrument_version,
        response.language,
        response.text_pack_version,
        response.text_pack_validated,
        response.answers,
        response.mode,
        response.authored_at,
    )
    rows = select(*columns).where(response.subject_id.in_(subjects), stored_scores.is_counted())
    return rows.order_by(response.id)
