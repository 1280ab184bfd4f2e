"""Keeps the cohort figures current: recomputes the groups with new events, or all of them.

A group is one protocol, site and study event; its rows are the scales of its battery. The figures of all sites ("*")
are merged from the rows of the single sites.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import is_postgresql
from pro_tracker.domain.cohort_figures import Moments, ScaleFigures
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import COUNTS, Course
from pro_tracker.models.merge import Merge
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.clinic.person import RECORD, with_person
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.stored_scores import N_POINT_COLUMNS, ScaleKey

ALL_SITES = "*"
# A transaction takes its timestamp before it commits: a long one may commit rows that are older than the last refresh.
OVERLAP = timedelta(minutes=10)
LOCK = 7_265_120  # any number that no other advisory lock of this database uses
# Corrections that change figures without an event of a visit.
CORRECTIONS = (CorrectionKind.WITHDRAWAL, CorrectionKind.DEATH, CorrectionKind.RESPONSE)
AnySelect = Select[*tuple[Any, ...]]
Figures = dict[ScaleKey, ScaleFigures]


class AggregateGroup(NamedTuple):
    """One study event of one protocol at one site."""

    protocol_code: str
    site_code: str
    event_code: str
    visit_number: int

    @property
    def cohort(self) -> tuple[str, str]:
        """Protocol and site code: the subjects whose baseline and later events belong together."""
        return self.protocol_code, self.site_code


def refresh(session: Session, *, now: datetime) -> int:
    """Recomputes the groups where a visit was answered, stopped, opened, planned or voided, or answers corrected.

    That is since the last time. Returns the number of groups. A re-score alone is picked up by the next `rebuild`.
    """
    _lock(session)
    last_refresh = select(func.max(Aggregate.refreshed_at))
    last = session.scalar(last_refresh)
    if last is None:
        return rebuild(session, now=now)
    touched = _groups(session, _changed_since(last - OVERLAP, now))
    # Every change is measured from the baseline, so a new baseline changes the figures of the later events too.
    new_baselines = {group.cohort for group in touched if group.visit_number == 1}
    expected = _groups(session, _expected(now))
    later_events = {group for group in expected if group.cohort in new_baselines}
    return _write(session, touched | later_events, now=now)


def rebuild(session: Session, *, now: datetime) -> int:
    """Recomputes every group from the visits and scores; returns the number of groups."""
    _lock(session)
    session.execute(delete(Aggregate))
    return _write(session, _groups(session, _expected(now)), now=now)


def _lock(session: Session) -> None:
    """Waits until another run has committed: two at once would each delete and insert the same rows."""
    if is_postgresql(session):
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    # SQLite: BEGIN IMMEDIATE has made us the only writer already.


def _changed_since(since: datetime, now: datetime) -> ColumnElement[bool]:
    """Visits whose figures an event since then may have changed: of the visit itself, a withdrawal, or a death."""
    of_visit = (Visit.completed_at, Visit.stopped_at, Visit.voided_at, Visit.planned_at, Visit.replanned_at)
    of_subject = (Subject.withdrawn_at, Subject.death_recorded_at)
    happened = [moment >= since for moment in (*of_visit, *of_subject)]
    opened = and_(
        Visit.opens_at >= since,
        Visit.opens_at <= now,
    )
    # A reverted withdrawal or death; answers that were voided, or moved away. Those moved here are edited, as are
    # amended ones.
    corrected = exists().where(
        Correction.subject_id.in_([RECORD.id, Subject.id]),
        Correction.what.in_(CORRECTIONS),
        Correction.recorded_at >= since,
    )
    of_records = or_(*(each.in_([RECORD.id, Subject.id]) for each in (Merge.subject_id, Merge.into_id)))
    merged = exists().where(
        of_records,
        or_(
            Merge.recorded_at >= since,
            Merge.separated_at >= since,
        ),
    )
    edited = exists().where(
        QuestionnaireResponse.visit_id == Visit.id,
        QuestionnaireResponse.edited_at >= since,
    )
    return or_(opened, corrected, edited, merged, *happened)


_VOIDED_BEFORE_OPENING = and_(
    Visit.voided_at.is_not(None),
    or_(Visit.voided_at <= Visit.opens_at, Visit.void_reason == UnansweredReason.NO_DATE),
)


def _expected(now: datetime) -> ColumnElement[bool]:
    """Condition that an answer is expected: the window has opened, and the visit was not voided before that."""
    opened = or_(
        Visit.opens_at <= now,
        Visit.completed_at.is_not(None),
    )
    return and_(opened, ~_VOIDED_BEFORE_OPENING, COUNTS)


def _groups(session: Session, which: ColumnElement[bool]) -> set[AggregateGroup]:
    """The groups of the visits that meet this condition."""
    columns = (Visit.protocol_code, Site.code, Visit.event_code, Visit.visit_number)
    groups = select(*columns).distinct()
    groups = from_visits(groups).where(which)
    return {AggregateGroup(*row) for row in session.execute(groups)}


def from_visits(rows: AnySelect) -> AnySelect:
    """`rows` read from the visits, joined with their courses, subjects, and the sites where the courses were begun.

    The subject is the kept record of the person.
    """
    rows = rows.select_from(Visit)
    rows = rows.join(Course, Course.id == Visit.course_id)
    rows = with_person(rows, Visit.subject_id)
    return rows.join(Site, Site.id == Course.site_id)


def _write(session: Session, groups: set[AggregateGroup], *, now: datetime) -> int:
    for group in groups:
        _replace(session, group, _figures(session, group, now), now)
    # After the single sites, whose rows these are merged from.
    for event in {group._replace(site_code=ALL_SITES) for group in groups}:
        _replace(session, event, _of_all_sites(session, event), now)
    return len(groups)


def _replace(session: Session, group: AggregateGroup, figures: Figures, now: datetime) -> None:
    outdated = delete(Aggregate).where(*_rows_of(group))
    session.execute(outdated)
    rows = [_row(group, key, each, now) for key, each in figures.items() if each.expected]
    if rows:
        session.execute(insert(Aggregate), rows)


def _rows_of(group: AggregateGroup) -> tuple[ColumnElement[bool], ...]:
    return (
        Aggregate.protocol_code == group.protocol_code,
        Aggregate.site_code == group.site_code,
        Aggregate.event_code == group.event_code,
    )


def _row(group: AggregateGroup, key: ScaleKey, figures: ScaleFigures, now: datetime) -> dict[str, Any]:
    instrument_code, scale_code = key
    return {
        **group._asdict(),
        "instrument_code": instrument_code,
        "scale_code": scale_code,
        "n_expected": figures.expected,
        "n_answered": figures.scores.n,
        "n_unvalidated": figures.unvalidated,
        "mean": figures.scores.mean_or_none,
        "sd": figures.scores.sd,
        "n_paired": figures.changes.n,
        "mean_change": figures.changes.mean_or_none,
        "sd_change": figures.changes.sd,
        "n_paired_or_rated": figures.rated,
        "n_responders": figures.responders,
        "refreshed_at": now,
    }


def _figures(session: Session, group: AggregateGroup, now: datetime) -> Figures:
    """The figures of one group by scale, read in one pass and held as running sums."""
    figures: Figures = defaultdict(ScaleFigures)
    scales = _expected_scales(session, group, figures, now)
    rows = session.execute(_scores_and_baselines(group, now), execution_options={"yield_per": 1000})
    for version, instrument_code, scale_code, *values in rows:
        scale = scales.get((version, instrument_code, scale_code))
        if scale is None:  # not in the battery of this protocol version
            continue
        later = stored_scores.point(scale, values[:N_POINT_COLUMNS])
        baseline = stored_scores.point(scale, values[N_POINT_COLUMNS:])
        if later is not None:
            figures[instrument_code, scale_code].add(scale, baseline, later)
    return figures


def _expected_scales(
    session: Session, group: AggregateGroup, figures: Figures, now: datetime
) -> dict[tuple[str, str, str], Scale]:
    """Counts the group's visits as expected on every scale that their protocol version asks for.

    Returns (protocol version, instrument code, scale code) -> scale with the change rule of that protocol.
    """
    visits_by_version = select(Visit.protocol_version, func.count().label("n"))
    visits_by_version = visits_by_version.group_by(Visit.protocol_version)
    counted = session.execute(_in_group(visits_by_version, group, now))
    scales: dict[tuple[str, str, str], Scale] = {}
    for version, n in counted:
        protocol = protocol_catalog.protocol(group.protocol_code, version)
        battery = protocol.event(group.event_code).battery
        for code, scale in _battery_scales(battery):
            scales[version, code, scale.code] = protocol.with_study_rule(code, scale)
            figures[code, scale.code].expected += n
    return scales


def _battery_scales(battery: Iterable[str]) -> Iterator[tuple[str, Scale]]:
    """Instrument code and scale, for every scale of these instruments."""
    for code in battery:
        for scale in instrument_catalog.instrument(code).scales:
            yield code, scale


def _in_group(rows: AnySelect, group: AggregateGroup, now: datetime) -> AnySelect:
    """`rows` over the visits of this group that were expected by now, without subjects who withdrew their data."""
    return from_visits(rows).where(
        Visit.protocol_code == group.protocol_code,
        Site.code == group.site_code,
        Visit.event_code == group.event_code,
        DATA_MAY_BE_USED,
        _expected(now),
    )


def _scores_and_baselines(group: AggregateGroup, now: datetime) -> AnySelect:
    """The newest score of each scale at each visit of the group, with the score at the same course's baseline.

    Columns: protocol version, instrument code, scale code, the point columns of the score, those of the baseline.
    The second set is NULL at the baseline itself and where the baseline was not answered.
    """
    response, first_visit = QuestionnaireResponse, aliased(Visit)
    first_response, first = aliased(QuestionnaireResponse), aliased(Score)
    same_course = and_(first_visit.course_id == Visit.course_id, first_visit.visit_number == 1, Visit.visit_number > 1)
    same_instrument = and_(
        first_response.visit_id == first_visit.id,
        first_response.instrument_code == response.instrument_code,
        stored_scores.is_counted(first_response),  # else a corrected baseline would count the later visit twice
    )
    same_scale = and_(
        first.response_id == first_response.id,
        first.scale_code == Score.scale_code,
        stored_scores.is_newest_counted(first, first_response),
    )
    columns = (
        *(Visit.protocol_version, Score.instrument_code, Score.scale_code),
        *(*stored_scores.point_columns(), *stored_scores.point_columns(first, first_response)),
    )
    rows = _in_group(select(*columns), group, now).join(response, response.visit_id == Visit.id)
    rows = rows.join(Score, Score.response_id == response.id)
    rows = rows.where(stored_scores.is_newest_counted(Score, response))
    rows = rows.outerjoin(first_visit, same_course).outerjoin(first_response, same_instrument)
    return rows.outerjoin(first, same_scale)


def _of_all_sites(session: Session, event: AggregateGroup) -> Figures:
    figures: Figures = defaultdict(ScaleFigures)
    rows = select(Aggregate).where(
        Aggregate.protocol_code == event.protocol_code,
        Aggregate.event_code == event.event_code,
        Aggregate.site_code != ALL_SITES,
    )
    # In a fixed order: the last digits of a floating-point sum depend on it, and two runs must agree to the last one.
    for row in session.scalars(rows.order_by(Aggregate.site_code)):
        figures[row.instrument_code, row.scale_code].merge(_stored_figures(row))
    return figures


def _stored_figures(row: Aggregate) -> ScaleFigures:
    """The running sums behind a stored row."""
    return ScaleFigures(
        expected=row.n_expected,
        unvalidated=row.n_unvalidated,
        scores=Moments.from_summary(row.n_answered, row.mean, row.sd),
        changes=Moments.from_summary(row.n_paired, row.mean_change, row.sd_change),
        rated=row.n_paired_or_rated,
        responders=row.n_responders,
    )
