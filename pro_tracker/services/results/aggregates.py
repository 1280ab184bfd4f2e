"""Keeps the cohort figures current: recomputes the groups with new events, or all of them.

A group is one protocol, site and study event; its rows are the scales of its battery, at each occurrence of the event.
Figures are read from the view of assessments. Those of all sites ("*") are merged from the rows of the single sites.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import is_postgresql
from pro_tracker.domain.cohort_figures import Moments, ScaleFigures
from pro_tracker.domain.instrument import Scale
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import assessments, changed_groups
from pro_tracker.services.results.changed_groups import AggregateGroup
from pro_tracker.services.stored_scores import N_POINT_COLUMNS

ALL_SITES = "*"
# A transaction takes its timestamp before it commits: a long one may commit rows that are older than the last refresh.
OVERLAP = timedelta(minutes=10)
LOCK = 7_265_120  # any number that no other advisory lock of this database uses
AnySelect = Select[*tuple[Any, ...]]
FigureKey = tuple[int, str, str]  # occurrence of the event, instrument and scale code


@dataclass
class GroupFigures:
    """The figures of one group, and the number of its event: the least where protocol versions differ."""

    visit_number: int = 0
    by_scale: dict[FigureKey, ScaleFigures] = field(default_factory=partial(defaultdict, ScaleFigures))

    def note_number(self, number: int) -> None:
        self.visit_number = min(number, self.visit_number or number)


def refresh(session: Session, *, now: datetime) -> int:
    """Recomputes the groups in which a visit or a person changed, or a window opened or closed, since the last time.

    Returns the number of groups. A re-score alone is picked up by the next `rebuild`.
    """
    _lock(session)
    last_refresh = select(func.max(Aggregate.refreshed_at))
    last = session.scalar(last_refresh)
    if last is None:
        return rebuild(session, now=now)
    changed = changed_groups.since(session, last - OVERLAP, now)
    # Every change is measured from the baseline, so a new baseline changes the figures of the later events too.
    later_events = {group for group in _stored_groups(session) if group.cohort in changed.baselines}
    return _write(session, changed.groups | later_events, now=now)


def rebuild(session: Session, *, now: datetime) -> int:
    """Recomputes every group from the view of assessments; returns the number of groups."""
    _lock(session)
    session.execute(delete(Aggregate))
    return _write(session, changed_groups.every(session), now=now)


def _lock(session: Session) -> None:
    """Waits until another run has committed: two at once would each delete and insert the same rows."""
    if is_postgresql(session):
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    # SQLite: BEGIN IMMEDIATE has made us the only writer already.


def _stored_groups(session: Session) -> set[AggregateGroup]:
    """The groups of single sites that have figures."""
    columns = (Aggregate.protocol_code, Aggregate.site_code, Aggregate.event_code)
    rows = select(*columns).where(Aggregate.site_code != ALL_SITES).distinct()
    return {AggregateGroup(*row) for row in session.execute(rows)}


def _write(session: Session, groups: set[AggregateGroup], *, now: datetime) -> int:
    for group in groups:
        _replace(session, group, _figures(session, group, now), now)
    # After the single sites, whose rows these are merged from.
    for event in {group._replace(site_code=ALL_SITES) for group in groups}:
        _replace(session, event, _of_all_sites(session, event), now)
    return len(groups)


def _replace(session: Session, group: AggregateGroup, figures: GroupFigures, now: datetime) -> None:
    outdated = delete(Aggregate).where(*_rows_of(group))
    session.execute(outdated)
    of_group = {**group._asdict(), "visit_number": figures.visit_number, "refreshed_at": now}
    rows = [{**of_group, **_row(key, each)} for key, each in figures.by_scale.items() if each.expected]
    if rows:
        session.execute(insert(Aggregate), rows)


def _rows_of(group: AggregateGroup) -> tuple[ColumnElement[bool], ...]:
    return (
        Aggregate.protocol_code == group.protocol_code,
        Aggregate.site_code == group.site_code,
        Aggregate.event_code == group.event_code,
    )


def _row(key: FigureKey, figures: ScaleFigures) -> dict[str, Any]:
    occurrence, instrument_code, scale_code = key
    return {
        "occurrence": occurrence,
        "instrument_code": instrument_code,
        "scale_code": scale_code,
        "n_expected": figures.expected,
        "n_open": figures.open,
        "n_answered": figures.scores.n,
        "n_unvalidated": figures.unvalidated,
        "mean": figures.scores.mean_or_none,
        "sd": figures.scores.sd,
        "n_paired": figures.changes.n,
        "mean_change": figures.changes.mean_or_none,
        "sd_change": figures.changes.sd,
        "n_paired_or_rated": figures.rated,
        "n_responders": figures.responders,
    }


def _figures(session: Session, group: AggregateGroup, now: datetime) -> GroupFigures:
    """The figures of one group by scale, read in one pass and held as running sums."""
    found = GroupFigures()
    scales = _expected_scales(session, group, found, now)
    untreated = {version for version, *_key in scales if _is_before_treatment(group, version)}
    rows = session.execute(_scores_and_baselines(group), execution_options={"yield_per": 1000})
    for version, occurrence, instrument_code, scale_code, *values in rows:
        scale = scales.get((version, instrument_code, scale_code))
        if scale is None:  # no scale of the instrument any more
            continue
        later = stored_scores.point(scale, values[:N_POINT_COLUMNS])
        baseline = stored_scores.point(scale, values[N_POINT_COLUMNS:])
        if version in untreated:
            baseline = None
        if later is not None:
            found.by_scale[occurrence, instrument_code, scale_code].add(scale, baseline, later)
    return found


def _is_before_treatment(group: AggregateGroup, version: str) -> bool:
    """Returns whether the event is a baseline, too, such as an earlier one, so that nothing has changed since."""
    return protocol_catalog.protocol(group.protocol_code, version).event(group.event_code).before_treatment


def _expected_scales(
    session: Session, group: AggregateGroup, found: GroupFigures, now: datetime
) -> dict[tuple[str, str, str], Scale]:
    """Counts the assessments of the group that are expected at `now`, and those of them that are open.

    Returns (protocol version, instrument code, scale code) -> scale with the change rule of that protocol.
    """
    scales: dict[tuple[str, str, str], Scale] = {}
    for version, occurrence, *key, number, n_expected, n_open in session.execute(_expected(group, now)):
        instrument_code, scale_code = key
        scale = _scale(group.protocol_code, version, instrument_code, scale_code)
        if scale is None:
            continue
        scales[version, instrument_code, scale_code] = scale
        figures = found.by_scale[occurrence, instrument_code, scale_code]
        figures.expected += n_expected
        figures.open += n_open
        found.note_number(number)
    return scales


def _scale(protocol_code: str, version: str, instrument_code: str, scale_code: str) -> Scale | None:
    """The scale with the study's own rule of change; None for a scale that the instrument has no more."""
    for scale in instrument_catalog.instrument(instrument_code).scales:
        if scale.code == scale_code:
            return protocol_catalog.protocol(protocol_code, version).with_study_rule(instrument_code, scale)
    return None


def _expected(group: AggregateGroup, now: datetime) -> AnySelect:
    """SQL: the number of expected and of open assessments by protocol version, occurrence and scale."""
    key = (
        Assessment.protocol_version,
        Assessment.occurrence,
        Assessment.instrument_code,
        Assessment.scale_code,
    )
    n_open = func.sum(case((assessments.is_open(now), 1), else_=0))
    counted = select(*key, func.min(Assessment.event_number), func.count(), n_open)
    has_scale = Assessment.scale_code.is_not(None)
    return counted.where(*_of_group(group), has_scale, assessments.is_expected(now)).group_by(*key)


def _of_group(group: AggregateGroup) -> tuple[ColumnElement[bool], ...]:
    site = select(Site.id).where(Site.code == group.site_code)
    return (
        Assessment.protocol_code == group.protocol_code,
        Assessment.site_id == site.scalar_subquery(),
        Assessment.event_code == group.event_code,
    )


def _scores_and_baselines(group: AggregateGroup) -> AnySelect:
    """The score of each answered assessment of the group, with the score at the same course's baseline.

    Columns: protocol version, occurrence, instrument code, scale code, the point columns of the score, those of the
    baseline. The second set is NULL at the baseline itself and where the baseline was not answered.
    """
    given: Any = Assessment
    first_visit, first_response, first = aliased(Visit), aliased(QuestionnaireResponse), aliased(Score)
    same_course = and_(
        first_visit.course_id == given.course_id,
        first_visit.visit_number == 1,
        given.event_number > 1,
    )
    same_instrument = and_(
        first_response.visit_id == first_visit.id,
        first_response.instrument_code == given.instrument_code,
        stored_scores.is_counted(first_response),  # else a corrected baseline would count the later visit twice
    )
    same_scale = and_(
        first.response_id == first_response.id,
        first.scale_code == given.scale_code,
        stored_scores.is_newest_counted(first, first_response),
    )
    columns = (
        *(given.protocol_version, given.occurrence, given.instrument_code, given.scale_code),
        *(*stored_scores.point_columns(given, given), *stored_scores.point_columns(first, first_response)),
    )
    rows = select(*columns).where(*_of_group(group), assessments.ANSWERED)
    rows = rows.outerjoin(first_visit, same_course).outerjoin(first_response, same_instrument)
    return rows.outerjoin(first, same_scale)


def _of_all_sites(session: Session, event: AggregateGroup) -> GroupFigures:
    found = GroupFigures()
    rows = select(Aggregate).where(
        Aggregate.protocol_code == event.protocol_code,
        Aggregate.event_code == event.event_code,
        Aggregate.site_code != ALL_SITES,
    )
    # In a fixed order: the last digits of a floating-point sum depend on it, and two runs must agree to the last one.
    for row in session.scalars(rows.order_by(Aggregate.site_code)):
        found.note_number(row.visit_number)
        found.by_scale[row.occurrence, row.instrument_code, row.scale_code].merge(_stored_figures(row))
    return found


def _stored_figures(row: Aggregate) -> ScaleFigures:
    """The running sums behind a stored row."""
    return ScaleFigures(
        expected=row.n_expected,
        open=row.n_open,
        unvalidated=row.n_unvalidated,
        scores=Moments.from_summary(row.n_answered, row.mean, row.sd),
        changes=Moments.from_summary(row.n_paired, row.mean_change, row.sd_change),
        rated=row.n_paired_or_rated,
        responders=row.n_responders,
    )
