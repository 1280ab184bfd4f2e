"""Reads stored scores: which rows count, their columns, and the domain object that change is judged by.

The one reader for trends, cohort figures, exports and FHIR. Scores are never computed here, nor anywhere else on read.

Three rules decide what counts. A response counts while its status is in effect (COUNTED_STATUSES), and at a visit
before treatment only if it was given before the first infusion began. Of a scale that was scored more than once, the
row with the greatest id counts: a re-score adds rows and overwrites none.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.change import Basis, ScorePoint
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.unanswered import StopReason
from pro_tracker.models.response import COUNTED_STATUSES, QuestionnaireResponse, Score
from pro_tracker.models.visit import Visit

ScaleKey = tuple[str, str]  # instrument code and scale code
SubjectIds = Collection[uuid.UUID] | Select[uuid.UUID]  # ids, or a statement that selects them


class StoredScore(NamedTuple):
    """One row of the table of scores with the visit and the wording of its response. Scores are in points."""

    visit_id: int
    authored_at: datetime
    instrument_code: str
    scale_code: str
    n_answered: int
    n_items: int
    prorated: bool
    reason: str | None  # why there is no score
    stop_reason: StopReason | None  # why the answers were never sent
    raw_score: float | None
    t_score: float | None
    standard_error: float | None  # in T points
    scoring_version: str
    language: str
    text_pack_version: str
    text_pack_validated: bool
    is_mixed: bool  # asked in more than one wording

    @property
    def key(self) -> ScaleKey:
        return self.instrument_code, self.scale_code

    def point(self, scale: Scale) -> ScorePoint | None:
        """The score on this scale as change is judged by it; None where there is no score."""
        return point(scale, self[-N_POINT_COLUMNS:])


def point_columns(score: type[Score] = Score, response: type[QuestionnaireResponse] = QuestionnaireResponse) -> Any:
    """The columns that `point` is made of, in its order; both tables may be aliases, for a second score in one row."""
    measured = (score.raw_score, score.t_score, score.standard_error)
    wording = (response.language, response.text_pack_version, response.text_pack_validated)
    return (*measured, score.scoring_version, *wording, response.wordings.is_not(None))


N_POINT_COLUMNS = len(point_columns())


def point(scale: Scale, values: Sequence[Any]) -> ScorePoint | None:
    """The domain object made of the values of `point_columns`: T where the scale has T, else raw without an error.

    None where there is no score.
    """
    raw_score, t_score, standard_error, *basis = values
    value = scale.shown_value(raw_score, t_score)
    if value is None:
        return None
    error = standard_error if scale.has_t else None
    return ScorePoint(value, error, Basis(*basis))


def is_counted(response: type[QuestionnaireResponse] = QuestionnaireResponse) -> ColumnElement[bool]:
    """The condition that the answers of a response are in effect, and were given in the time of their visit."""
    return and_(is_in_effect(response), ~is_under_treatment(response))


def is_in_effect(response: type[QuestionnaireResponse] = QuestionnaireResponse) -> ColumnElement[bool]:
    """The condition that a response has scores and was not replaced or entered in error."""
    return response.status.in_(COUNTED_STATUSES)


def is_under_treatment(response: type[QuestionnaireResponse] = QuestionnaireResponse) -> ColumnElement[bool]:
    """The condition that a response to a visit before treatment was given after treatment had begun."""
    visit = aliased(Visit)
    of_response = and_(visit.id == response.visit_id, visit.counts_until <= response.authored_at)
    return exists().where(of_response).correlate(response)


def has_counted(visit_id: Any) -> ColumnElement[bool]:
    """SQL: the visit with this id has a response in effect."""
    response = aliased(QuestionnaireResponse)
    return exists().where(response.visit_id == visit_id, is_counted(response))


def has_uncounted(visit_id: Any) -> ColumnElement[bool]:
    """SQL: the visit with this id is one before treatment, with a response that was given after it had begun."""
    response = aliased(QuestionnaireResponse)
    return exists().where(response.visit_id == visit_id, is_in_effect(response), is_under_treatment(response))


def is_newest_counted(score: type[Score], response: type[QuestionnaireResponse]) -> ColumnElement[bool]:
    """The condition that a response is in effect and this row is the newest scoring of its scale."""
    return and_(is_counted(response), is_newest(score))


def is_newest(score: type[Score]) -> ColumnElement[bool]:
    """The condition that this row is the newest scoring of its scale."""
    newer = aliased(Score)
    same_scale = and_(newer.response_id == score.response_id, newer.scale_code == score.scale_code)
    return ~select(newer.id).where(same_scale, newer.id > score.id).exists()


def by_visit(session: Session, subject_ids: SubjectIds) -> Mapping[int, Mapping[ScaleKey, StoredScore]]:
    """The scores that count of these subjects: visit id -> scale -> score. One statement."""
    found: dict[int, dict[ScaleKey, StoredScore]] = defaultdict(dict)
    for score in _counted(session, subject_ids):
        # Oldest first, so that the newest scoring replaces the earlier ones.
        found[score.visit_id][score.key] = score
    return found


def all_versions(session: Session, subject_ids: SubjectIds) -> Mapping[int, Mapping[str, Sequence[Score]]]:
    """Every scoring of every response of these subjects, in effect or not. One statement.

    Response id -> scale code -> scores, oldest first.
    """
    found: dict[int, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    rows = select(Score).join(QuestionnaireResponse, QuestionnaireResponse.id == Score.response_id)
    rows = rows.where(QuestionnaireResponse.subject_id.in_(subject_ids)).order_by(Score.id)
    for score in session.scalars(rows):
        found[score.response_id][score.scale_code].append(score)
    return found


def _counted(session: Session, subject_ids: SubjectIds) -> Iterator[StoredScore]:
    """Every scoring of the responses in effect, oldest first."""
    rows = _statement().where(QuestionnaireResponse.subject_id.in_(subject_ids), is_counted()).order_by(Score.id)
    for row in session.execute(rows):
        yield StoredScore._make(row)


def _statement() -> Select[*tuple[Any, ...]]:
    """The columns of StoredScore, in its order."""
    response = QuestionnaireResponse
    columns = (
        response.visit_id,
        response.authored_at,
        Score.instrument_code,
        Score.scale_code,
        Score.n_answered,
        Score.n_items,
        Score.prorated,
        Score.reason,
        response.stop_reason,
        *point_columns(),
    )
    return select(*columns).join(response, response.id == Score.response_id)
