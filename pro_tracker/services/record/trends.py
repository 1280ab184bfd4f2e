"""A subject's scores over the study events: one series a scale and course, each point with its band and its change.

Reads stored scores in one statement and leaves their meaning to domain/change.py. Draws nothing and words nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from operator import attrgetter
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from pro_tracker.domain.change import Basis, Change, ScorePoint, band, change, obstacle
from pro_tracker.domain.instrument import Band, Instrument, Scale
from pro_tracker.domain.protocol import StudyEvent
from pro_tracker.domain.study_days import study_day
from pro_tracker.languages import SOURCE
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.planning import person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.stored_scores import StoredScore
from pro_tracker.services.wording import text_packs

VisitsByCourse = Mapping[Course, Sequence[Visit]]


@dataclass(frozen=True, slots=True)
class Point:
    """One visit on one scale. `on` is the local date of the answers, else of the due moment; `day` its study day.

    `stored` is None while the visit has no answers; `score` is None where the answers give no score.
    """

    visit_id: int
    event_title: str
    event_language: str
    on: date
    day: int
    stored: StoredScore | None = None
    score: ScorePoint | None = None
    band: Band | None = None
    change: Change | None = None  # since the baseline of the same course

    @property
    def answered(self) -> bool:
        return self.stored is not None

    @property
    def value(self) -> float | None:
        """T where the scale has T, else raw; None: no score."""
        return self.score.value if self.score else None

    @property
    def standard_error(self) -> float | None:
        """Standard error in the points of `value`."""
        return self.score.standard_error if self.score else None

    @property
    def basis(self) -> Basis | None:
        return self.score.basis if self.score else None

    @property
    def raw_score(self) -> float | None:
        return self.stored.raw_score if self.stored else None

    @property
    def t_score(self) -> float | None:
        return self.stored.t_score if self.stored else None

    @property
    def reason(self) -> str | None:
        """Reason why an answered visit has no score."""
        return self.stored.reason if self.stored else None

    @property
    def prorated(self) -> bool:
        """Returns whether the score was computed with items missing."""
        return self.stored is not None and self.stored.prorated

    @property
    def unsent(self) -> bool:
        """Returns whether the answers count although the patient never sent them."""
        return self.stored is not None and self.stored.stop_reason is not None

    @property
    def validated(self) -> bool:
        """Returns False where the answers were given to wording that is not validated."""
        return self.stored is None or self.stored.text_pack_validated


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one course on one scale, in the order of the visits. Change is judged within the course only.

    `scale` carries the change rule of the course's protocol.
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
        """Neighbouring scores that may be compared; a visit without a score ends a run."""
        run: list[Point] = []
        for point in self.points:
            if run and not _continues(self.scale, run[-1], point):
                yield run
                run = []
            if point.value is not None:
                run.append(point)
        if run:
            yield run

    @property
    def latest(self) -> Point | None:
        """The newest score after baseline."""
        for point in reversed(self.scored):
            if point is not self.baseline:
                return point
        return None


def _continues(scale: Scale, last: Point, point: Point) -> bool:
    """Returns whether a line may be drawn from one score to the next."""
    if last.score is None or point.score is None:
        return False
    return obstacle(scale, last.score, point.score) is None


@dataclass(frozen=True, slots=True)
class ScaleTrend:
    """One scale over all courses."""

    instrument: Instrument
    scale: Scale
    title: str
    series: tuple[Series, ...]
    options: Mapping[int, str]  # of a scale that is one item with named options: their labels, in the current wording

    @property
    def has_scores(self) -> bool:
        return any(each.scored for each in self.series)

    @property
    def is_main(self) -> bool:
        """Returns False for a subscale of an instrument that has a total."""
        codes = [scale.code for scale in self.instrument.scales]
        return self.scale.code == "total" or "total" not in codes

    @property
    def current(self) -> Series:
        """The newest course with a score, else the newest."""
        for series in reversed(self.series):
            if series.scored:
                return series
        return self.series[-1]

    @property
    def points(self) -> Iterator[Point]:
        """The points of all courses."""
        for series in self.series:
            yield from series.points

    @property
    def validated(self) -> bool:
        """Returns whether every answer was given to validated wording."""
        return all(point.validated for point in self.points)

    @property
    def prorated(self) -> bool:
        """Returns whether any score was computed with items missing."""
        return any(point.prorated for point in self.points)

    @property
    def unsent(self) -> bool:
        """Returns whether any score is of answers that were never sent."""
        return any(point.unsent for point in self.points)


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
    adverse_days: tuple[int, ...] = ()  # study days on which an adverse event began or, if that is not known, was found


def subject_trend(
    session: Session, subject: Subject, courses: Sequence[Course], visits: Sequence[Visit], *, language: str = SOURCE
) -> Trend | None:
    """The trend over these courses (with their infusions) and visits; None before anything is planned."""
    if not visits:
        return None
    reference_on = _reference_on(courses, visits)
    builder = _TrendBuilder(session, subject, reference_on, language)
    scales = builder.scales(_by_course(courses, visits))
    marks = _infusion_marks(courses, reference_on)
    adverse_days = _adverse_days(courses, reference_on)
    return Trend(reference_on, tuple(marks), tuple(scales), tuple(adverse_days))


def _adverse_days(courses: Sequence[Course], reference_on: date) -> list[int]:
    """The study days with an adverse event, each once, in order."""
    days: set[int] = set()
    for course in courses:
        days |= {study_day(event.started_on or event.found_on, reference_on) for event in course.adverse_events}
    return sorted(days)


def _by_course(courses: Sequence[Course], visits: Sequence[Visit]) -> VisitsByCourse:
    by_course: dict[Course, list[Visit]] = {}
    for course in courses:
        by_course[course] = [visit for visit in visits if visit.course_id == course.id]
    return by_course


def _infusion_marks(courses: Sequence[Course], reference_on: date) -> Iterator[InfusionMark]:
    numbers = person_courses.numbers(courses)
    for course in courses:
        for infusion in course.infusions:
            day = study_day(infusion.given_on, reference_on)
            yield InfusionMark(numbers[course.id], infusion.given_on, day)


class _TrendBuilder:
    """Builds the scale trends of one subject from the stored scores, which it reads once."""

    def __init__(self, session: Session, subject: Subject, reference_on: date, language: str) -> None:
        self.zone = ZoneInfo(subject.time_zone)
        self.reference_on = reference_on
        self.language = language
        self.wording = text_packs.in_effect(session)
        self.scores = stored_scores.by_visit(session, records_of(subject.id))

    def scales(self, by_course: VisitsByCourse) -> Iterator[ScaleTrend]:
        """A trend for each scale that the courses' protocols ask for, in the order of the batteries.

        A form that was answered in place of an adaptive test has trends of its own: its scores are not mixed with those
        of the test.
        """
        for code in _instrument_codes(by_course):
            instrument = instrument_catalog.instrument(code)
            for scale in instrument.scales:
                title = instrument_catalog.scale_title(code, scale.code, self.language)
                series = list(self._all_series(by_course, instrument, scale))
                options = self._option_labels(instrument, scale)
                if series:
                    yield ScaleTrend(instrument, scale, title, tuple(series), options)

    def _option_labels(self, instrument: Instrument, scale: Scale) -> Mapping[int, str]:
        """Option code -> label of a scale that is a single item with named options; else empty."""
        if len(scale.items) != 1:
            return {}
        item = instrument.item(scale.items[0])
        if item.response_set.kind == "numeric":
            return {}
        pack = self.wording.pack(instrument.code, self.language)
        return pack.options[item.response_set.code]

    def _all_series(self, by_course: VisitsByCourse, instrument: Instrument, scale: Scale) -> Iterator[Series]:
        """The series of each course that asks for the instrument."""
        numbers = person_courses.numbers(list(by_course))
        for course, visits in by_course.items():
            protocol = protocol_catalog.bound_to(course)
            asked = [visit for visit in visits if self._is_asked(visit, instrument.code)]
            if asked:
                key = (instrument.code, scale.code)
                study_scale = protocol.with_study_rule(instrument.code, scale)
                yield self._series(numbers[course.id], asked, key, study_scale)

    def _is_asked(self, visit: Visit, code: str) -> bool:
        has_scores = any(instrument_code == code for instrument_code, _scale in self.scores.get(visit.id, {}))
        return has_scores or code in _event(visit).battery

    def _series(
        self,
        course_number: int,
        visits: Sequence[Visit],
        key: stored_scores.ScaleKey,
        scale: Scale,
    ) -> Series:
        baseline: Point | None = None
        points: list[Point] = []
        for visit in sorted(visits, key=attrgetter("opens_at", "visit_number")):
            stored = self.scores.get(visit.id, {}).get(key)
            point = self._point(visit, stored, scale, baseline)
            points.append(point)
            if visit.visit_number == 1 and point.value is not None:
                baseline = point
        return Series(course_number, scale, baseline, tuple(points))

    def _point(self, visit: Visit, stored: StoredScore | None, scale: Scale, baseline: Point | None) -> Point:
        event = _event(visit)
        title, title_language = event.name(visit.infusion_day, self.language), event.title_language(self.language)
        moment = stored.authored_at if stored else visit.due_at
        on = moment.astimezone(self.zone).date()
        day = study_day(on, self.reference_on)
        score = stored.point(scale) if stored else None
        if score is None:
            return Point(visit.id, title, title_language, on, day, stored)
        baseline_score = baseline.score if baseline else None
        return Point(
            visit_id=visit.id,
            event_title=title,
            event_language=title_language,
            on=on,
            day=day,
            stored=stored,
            score=score,
            band=band(scale, score.value),
            change=change(scale, baseline_score, score) if baseline_score else None,
        )


def _reference_on(courses: Sequence[Course], visits: Sequence[Visit]) -> date:
    """The first infusion given; before that the planned one, or the date that the first visit is anchored to."""
    given = _given_on(courses)
    planned = [course.planned_start_on for course in courses if course.planned_start_on]
    anchors = [visit.anchor_on for visit in visits]
    return min(given or planned or anchors)


def _given_on(courses: Sequence[Course]) -> list[date]:
    """The dates of all infusions of these courses."""
    dates: list[date] = []
    for course in courses:
        dates += (infusion.given_on for infusion in course.infusions)
    return dates


def _instrument_codes(by_course: VisitsByCourse) -> list[str]:
    """Every instrument that these visits can ask, in the order of the first battery that holds it."""
    codes: dict[str, None] = {}
    for visit in chain.from_iterable(by_course.values()):
        asked = protocol_catalog.bound_to(visit).asked_at(visit.event_code)
        codes.update(dict.fromkeys(asked))
    return list(codes)


def _event(visit: Visit) -> StudyEvent:
    """The study event of a visit, in the protocol version that it was planned with."""
    return protocol_catalog.bound_to(visit).event(visit.event_code)
