"""A subject's scores over the study events: one series a scale and course, each point with its band and its change.

Reads scores as stored, in one statement; what they mean is asked of domain/change.py. It draws and words nothing.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from pro_tracker.domain.change import Basis, Change, ScorePoint, band, change
from pro_tracker.domain.instrument import Band, Instrument, Scale
from pro_tracker.domain.study_days import study_day
from pro_tracker.models.course import Course
from pro_tracker.models.response import VALID_STATUSES, QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import text_packs


@dataclass(frozen=True, slots=True)
class Point:
    """One visit on one scale. `value` is T where the scale has T, else raw; None: no score.

    `reason` says why an answered visit has none. `on` is the local date of the answers, else of the due moment.
    """

    visit_id: int
    event_title: str
    on: date
    day: int
    answered: bool = False
    raw_score: float | None = None
    t_score: float | None = None
    standard_error: float | None = None
    value: float | None = None
    reason: str | None = None
    prorated: bool = False
    validated: bool = True
    band: Band | None = None
    basis: Basis | None = None
    change: Change | None = None

    @property
    def score(self) -> ScorePoint | None:
        return None if self.value is None else ScorePoint(self.value, self.standard_error, self.basis)


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one course on one scale, in the order of the visits. Change is judged within the course only.

    `scale` carries the rule for change of the course's protocol.
    """

    course_number: int
    scale: Scale
    baseline: Point | None
    points: tuple[Point, ...]

    @property
    def scored(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.value is not None)

    @property
    def runs(self) -> Iterator[list[Point]]:
        """Neighbouring scores that may be compared; a visit without a score breaks the run."""
        run: list[Point] = []
        for point in self.points:
            if run and (point.value is None or point.basis != run[-1].basis):
                yield run
                run = []
            if point.value is not None:
                run.append(point)
        if run:
            yield run

    @property
    def latest(self) -> Point | None:
        """The newest score after baseline."""
        return next((point for point in reversed(self.scored) if point is not self.baseline), None)


@dataclass(frozen=True, slots=True)
class ScaleTrend:
    """One scale over all courses."""

    instrument: Instrument
    scale: Scale
    title: str
    series: tuple[Series, ...]
    options: Mapping[int, str]  # of a scale that is one question with named options: their words, as in force

    @property
    def has_scores(self) -> bool:
        return any(each.scored for each in self.series)

    @property
    def is_main(self) -> bool:
        """Whether it stands for itself: a part of a total does not."""
        return self.scale.code == "total" or all(each.code != "total" for each in self.instrument.scales)

    @property
    def current(self) -> Series:
        """The newest course with a score, else the newest."""
        return next((series for series in reversed(self.series) if series.scored), self.series[-1])

    @property
    def validated(self) -> bool:
        """Whether every answer behind it was given to validated wording."""
        return all(point.validated for series in self.series for point in series.points)

    @property
    def prorated(self) -> bool:
        """Whether any score stands for a form with items missing."""
        return any(point.prorated for series in self.series for point in series.points)


@dataclass(frozen=True, slots=True)
class InfusionMark:
    """An infusion on the time axis."""

    course_number: int
    on: date
    day: int


@dataclass(frozen=True, slots=True)
class Trend:
    """All scales of one subject on one time axis, whose day 1 is `reference_on`."""

    reference_on: date
    infusions: tuple[InfusionMark, ...]
    scales: tuple[ScaleTrend, ...]


def subject_trend(
    session: Session, subject: Subject, courses: Sequence[Course], visits: Sequence[Visit], *, language: str = "en"
) -> Trend | None:
    """The trend over these courses (with their infusions) and visits; None before anything is planned."""
    if not visits:
        return None
    reference_on = _reference_on(courses, visits)
    reader = _Reader(session, subject, reference_on, language)
    marks = tuple(
        InfusionMark(course.number, infusion.given_on, study_day(infusion.given_on, reference_on))
        for course in courses
        for infusion in course.infusions
    )
    return Trend(reference_on, marks, tuple(reader.scales(courses, visits)))


class _Reader:
    """The scores of one subject as read, by visit and scale, and how to tell of them."""

    def __init__(self, session: Session, subject: Subject, reference_on: date, language: str) -> None:
        self.zone, self.reference_on, self.language = ZoneInfo(subject.time_zone), reference_on, language
        self.wording = text_packs.in_force(session)
        # Of a re-scored response the newest row counts: later rows replace earlier ones here.
        rows = _score_rows(session, subject.id)
        self.rows = {(row.visit_id, row.instrument_code, row.scale_code): row for row in rows}

    def scales(self, courses: Sequence[Course], visits: Sequence[Visit]) -> Iterable[ScaleTrend]:
        by_course = {course: [visit for visit in visits if visit.course_id == course.id] for course in courses}
        for code in _instrument_codes(by_course):
            instrument = instrument_catalog.instrument(code)
            for scale in instrument.scales:
                series = tuple(self._series(course, by_course[course], instrument, scale) for course in courses)
                title = instrument_catalog.scale_title(code, scale.code, self.language)
                shown = tuple(each for each in series if each.points)
                yield ScaleTrend(instrument, scale, title, shown, self._options(instrument, scale))

    def _options(self, instrument: Instrument, scale: Scale) -> Mapping[int, str]:
        asked = [instrument.item(link_id).response_set for link_id in scale.items]
        if len(asked) != 1 or asked[0].kind == "numeric":
            return {}
        return self.wording.pack(instrument.code, self.language).options[asked[0].code]

    def _series(self, course: Course, visits: Sequence[Visit], instrument: Instrument, scale: Scale) -> Series:
        protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
        scale = protocol.with_study_rule(instrument.code, scale)
        asked = [visit for visit in visits if instrument.code in protocol.event(visit.event_code).battery]
        baseline: Point | None = None
        points: list[Point] = []
        for visit in sorted(asked, key=attrgetter("visit_number")):
            title = protocol.event(visit.event_code).title_in(self.language)
            point = self._point(visit, title, instrument.code, scale, baseline)
            points.append(point)
            if visit.visit_number == 1 and point.value is not None:
                baseline = point
        return Series(course.number, scale, baseline, tuple(points))

    def _point(self, visit: Visit, title: str, instrument_code: str, scale: Scale, baseline: Point | None) -> Point:
        row = self.rows.get((visit.id, instrument_code, scale.code))
        on = (visit.due_at if row is None else row.authored_at).astimezone(self.zone).date()
        judged = {} if row is None else _judged(row, scale, baseline)
        return Point(visit.id, title, on, study_day(on, self.reference_on), **judged)


def _judged(row: Row[Any], scale: Scale, baseline: Point | None) -> dict[str, Any]:
    value = row.t_score if scale.has_t else row.raw_score
    error = row.standard_error if scale.has_t else None
    basis = Basis(row.scoring_version, row.language, row.text_pack_version, row.text_pack_validated)
    known = baseline.score if baseline else None
    return {
        "answered": True,
        "raw_score": row.raw_score,
        "t_score": row.t_score,
        "standard_error": error,
        "value": value,
        "reason": row.reason,
        "prorated": row.prorated,
        "validated": row.text_pack_validated,
        "band": None if value is None else band(scale, value),
        "basis": basis,
        "change": None if value is None or known is None else change(scale, known, ScorePoint(value, error, basis)),
    }


def _score_rows(session: Session, subject_id: uuid.UUID) -> Iterable[Any]:
    response = QuestionnaireResponse
    rows = (
        select(
            response.visit_id,
            Score.instrument_code,
            Score.scale_code,
            Score.scoring_version,
            Score.raw_score,
            Score.t_score,
            Score.standard_error,
            Score.prorated,
            Score.reason,
            response.authored_at,
            response.language,
            response.text_pack_version,
            response.text_pack_validated,
        )
        .join(response, response.id == Score.response_id)
        .where(response.subject_id == subject_id, response.status.in_(VALID_STATUSES))
        .order_by(Score.id)
    )
    return session.execute(rows)


def _reference_on(courses: Sequence[Course], visits: Sequence[Visit]) -> date:
    """The first infusion given; before that the planned one, or what the first visit hangs on."""
    given = [infusion.given_on for course in courses for infusion in course.infusions]
    planned = [course.planned_start_on for course in courses if course.planned_start_on]
    return min(given or planned or [visit.anchor_on for visit in visits])


def _instrument_codes(by_course: dict[Course, list[Visit]]) -> list[str]:
    """Every instrument that these visits ask, in the order of the first battery that holds it."""
    codes: dict[str, None] = {}
    for course, visits in by_course.items():
        protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
        for visit in visits:
            codes.update(dict.fromkeys(protocol.event(visit.event_code).battery))
    return list(codes)
