"""Keeps the cohort figures current: recomputes the groups that something happened to, or all of them. Draws nothing.

A group is one protocol, site and study event; its rows are the scales of its battery. All sites together ("*") are put
together from the rows of the sites.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import is_postgresql
from pro_tracker.domain.change import Basis, ScorePoint
from pro_tracker.domain.cohort_figures import Moments, ScaleFigures
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import Course
from pro_tracker.models.response import VALID_STATUSES, QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

ALL_SITES = "*"
# A transaction stamps its moment before it commits: what was committed late is looked at once more.
OVERLAP = timedelta(minutes=10)
LOCK = 7_265_120  # any number that no other advisory lock of this database uses
Figures = dict[tuple[str, str], ScaleFigures]  # instrument and scale code -> figures


class AggregateGroup(NamedTuple):
    """One study event of one protocol at one site."""

    protocol_code: str
    site_code: str
    event_code: str
    visit_number: int


def refresh(session: Session, *, now: datetime) -> int:
    """Recompute the groups where a visit was answered, opened, planned or ended since the last time; returns how many.

    A re-score or an amended answer alone is seen by the next `rebuild`.
    """
    _one_at_a_time(session)
    last = session.scalar(select(func.max(Aggregate.refreshed_at)))
    if last is None:
        return rebuild(session, now=now)
    touched = _groups(session, _touched_since(last - OVERLAP, now))
    # Every change is measured from the baseline, so a new baseline moves the later events too.
    begun = {(group.protocol_code, group.site_code) for group in touched if group.visit_number == 1}
    followers = {group for group in _groups(session, _opened(now)) if (group.protocol_code, group.site_code) in begun}
    return _write(session, touched | followers, now=now)


def rebuild(session: Session, *, now: datetime) -> int:
    """Recompute every group from the visits and scores; returns how many there are."""
    _one_at_a_time(session)
    session.execute(delete(Aggregate))
    return _write(session, _groups(session, _opened(now)), now=now)


def _one_at_a_time(session: Session) -> None:
    """Two runs at once would each delete and insert the same rows: the second waits until the first has committed."""
    if is_postgresql(session):
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    # SQLite: BEGIN IMMEDIATE has made us the only writer already.


def _touched_since(since: datetime, now: datetime) -> ColumnElement[bool]:
    happened = (Visit.completed_at, Visit.voided_at, Visit.planned_at)
    opened = and_(Visit.opens_at >= since, Visit.opens_at <= now)
    taken_back = exists().where(
        Correction.subject_id == Subject.id,
        Correction.what == CorrectionKind.WITHDRAWAL,
        Correction.recorded_at >= since,
    )
    return or_(opened, Subject.withdrawn_at >= since, taken_back, *(moment >= since for moment in happened))


def _opened(now: datetime) -> ColumnElement[bool]:
    """Expected to be answered: the window has opened, and the visit was not given up before that."""
    undated = Visit.void_reason == UnansweredReason.NO_DATE
    given_up = and_(Visit.voided_at.is_not(None), or_(Visit.voided_at <= Visit.opens_at, undated))
    return and_(or_(Visit.opens_at <= now, Visit.completed_at.is_not(None)), ~given_up)


def _groups(session: Session, which: ColumnElement[bool]) -> set[AggregateGroup]:
    columns = (Course.protocol_code, Site.code, Visit.event_code, Visit.visit_number)
    rows = select(*columns).distinct().select_from(Visit).where(which)
    joined = rows.join(Course, Course.id == Visit.course_id).join(Subject, Subject.id == Visit.subject_id)
    return {AggregateGroup(*row) for row in session.execute(joined.join(Site, Site.id == Subject.site_id))}


def _write(session: Session, groups: set[AggregateGroup], *, now: datetime) -> int:
    for group in groups:
        _replace(session, group, _figures(session, group, now), now)
    for event in {group._replace(site_code=ALL_SITES) for group in groups}:
        _replace(session, event, _of_all_sites(session, event), now)
    return len(groups)


def _replace(session: Session, group: AggregateGroup, figures: Figures, now: datetime) -> None:
    session.execute(delete(Aggregate).where(*_rows_of(group)))
    rows = [_row(group, key, each, now) for key, each in figures.items() if each.expected]
    if rows:
        session.execute(insert(Aggregate), rows)


def _rows_of(group: AggregateGroup) -> tuple[ColumnElement[bool], ...]:
    return (
        Aggregate.protocol_code == group.protocol_code,
        Aggregate.site_code == group.site_code,
        Aggregate.event_code == group.event_code,
    )


def _row(group: AggregateGroup, key: tuple[str, str], figures: ScaleFigures, now: datetime) -> dict[str, Any]:
    return {
        **group._asdict(),
        "instrument_code": key[0],
        "scale_code": key[1],
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
    """The figures of one group, read once and held as running sums."""
    figures: Figures = defaultdict(ScaleFigures)
    scales = _expect(session, group, figures, now)
    for row in session.execute(_scores(group, now), execution_options={"yield_per": 1000}):
        key = (row.instrument_code, row.scale_code)
        if (row.protocol_version, *key) in scales:
            scale = scales[row.protocol_version, *key]
            later = _point(scale, row.raw_score, row.t_score, row.standard_error, _basis(row))
            baseline = _point(scale, row.first_raw, row.first_t, row.first_error, _basis(row, "first_"))
            if later is not None:
                figures[key].add(scale, baseline, later)
    return figures


def _expect(
    session: Session, group: AggregateGroup, figures: Figures, now: datetime
) -> dict[tuple[str, str, str], Scale]:
    """Count the visits of the group into every scale their protocol version asks for; returns the scales of each."""
    counted = _in_group(select(Course.protocol_version, func.count().label("n")), group, now)
    scales: dict[tuple[str, str, str], Scale] = {}
    for version, n in session.execute(counted.group_by(Course.protocol_version)):
        protocol = protocol_catalog.protocol(group.protocol_code, version)
        for code in protocol.event(group.event_code).battery:
            for scale in instrument_catalog.instrument(code).scales:
                scales[version, code, scale.code] = protocol.with_study_rule(code, scale)
                figures[code, scale.code].expected += n
    return scales


def _in_group(rows: Any, group: AggregateGroup, now: datetime) -> Any:
    """`rows` over the visits of this group that were expected by now, but for people who withdrew their data."""
    joined = rows.select_from(Visit).join(Course, Course.id == Visit.course_id)
    joined = joined.join(Subject, Subject.id == Visit.subject_id).join(Site, Site.id == Subject.site_id)
    return joined.where(
        Course.protocol_code == group.protocol_code,
        Site.code == group.site_code,
        Visit.event_code == group.event_code,
        DATA_MAY_BE_USED,
        _opened(now),
    )


def _scores(group: AggregateGroup, now: datetime) -> Any:
    """The newest score of each scale at each visit of the group, beside that of the same course's baseline."""
    response, first_response, first = QuestionnaireResponse, aliased(QuestionnaireResponse), aliased(Score)
    first_visit = aliased(Visit)
    columns = (
        *(Score.instrument_code, Score.scale_code, Score.raw_score, Score.t_score, Score.standard_error),
        *(
            first.raw_score.label("first_raw"),
            first.t_score.label("first_t"),
            first.standard_error.label("first_error"),
        ),
        *_basis_columns(Score, response),
        *(column.label(f"first_{column.key}") for column in _basis_columns(first, first_response)),
        Course.protocol_version,
    )
    rows = _in_group(select(*columns), group, now).join(response, response.visit_id == Visit.id)
    rows = rows.join(Score, Score.response_id == response.id).where(_counts(response, Score))
    same_course = and_(first_visit.course_id == Visit.course_id, first_visit.visit_number == 1, Visit.visit_number > 1)
    same_instrument = and_(
        first_response.visit_id == first_visit.id, first_response.instrument_code == response.instrument_code
    )
    same_scale = and_(
        first.response_id == first_response.id, first.scale_code == Score.scale_code, _counts(first_response, first)
    )
    rows = rows.outerjoin(first_visit, same_course).outerjoin(first_response, same_instrument)
    return rows.outerjoin(first, same_scale)


def _counts(response: Any, score: Any) -> ColumnElement[bool]:
    """Of a response that stands, and the newest scoring of it."""
    newer = aliased(Score)
    superseded = select(newer.id).where(
        newer.response_id == score.response_id, newer.scale_code == score.scale_code, newer.id > score.id
    )
    return and_(response.status.in_(VALID_STATUSES), ~superseded.exists())


def _basis_columns(score: Any, response: Any) -> tuple[Any, ...]:
    return score.scoring_version, response.language, response.text_pack_version, response.text_pack_validated


def _basis(row: Any, prefix: str = "") -> Basis:
    columns = ("scoring_version", "language", "text_pack_version", "text_pack_validated")
    return Basis(*(getattr(row, prefix + column) for column in columns))


def _point(
    scale: Scale, raw: float | None, t_score: float | None, error: float | None, basis: Basis
) -> ScorePoint | None:
    value = t_score if scale.has_t else raw
    return None if value is None else ScorePoint(value, error if scale.has_t else None, basis)


def _of_all_sites(session: Session, event: AggregateGroup) -> Figures:
    figures: Figures = defaultdict(ScaleFigures)
    sites = (Aggregate.protocol_code == event.protocol_code, Aggregate.event_code == event.event_code)
    for row in session.scalars(select(Aggregate).where(*sites, Aggregate.site_code != ALL_SITES)):
        figures[row.instrument_code, row.scale_code].merge(_as_written(row))
    return figures


def _as_written(row: Aggregate) -> ScaleFigures:
    return ScaleFigures(
        expected=row.n_expected,
        unvalidated=row.n_unvalidated,
        scores=Moments.of(row.n_answered, row.mean, row.sd),
        changes=Moments.of(row.n_paired, row.mean_change, row.sd_change),
        rated=row.n_paired_or_rated,
        responders=row.n_responders,
    )
