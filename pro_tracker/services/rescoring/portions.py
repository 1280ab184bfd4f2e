"""One portion of a re-scoring in a few large statements: reads responses with missing scores, adds and compares scores.

Nothing is overwritten: scores are unique by response, scale and scoring version, so a second run adds nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    Table,
    TextClause,
    bindparam,
    cast as sql_cast,
    column,
    false,
    func,
    select,
    text,
    tuple_,
    values,
)
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain.instrument import Instrument
from pro_tracker.models.course import Course
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.rescoring import bulk_scoring
from pro_tracker.services.rescoring.bulk_scoring import BulkScores
from pro_tracker.services.rescoring.report import RescoringReport, ScaleChanges
from pro_tracker.services.rescoring.scoring_targets import Targets

UNUSABLE = "an answer is no option code of its item"

_SCORE = cast(Table, Score.__table__)
_OUTCOME = [each.name for each in _SCORE.columns if each.name not in ("id", "response_id", "scored_at")]
_COLUMNS = ", ".join(_OUTCOME)
# The scores to add. Each distinct outcome is passed once, as JSON, and each response with the number of its outcome.
_POSTGRESQL = f"""
    WITH outcome AS (SELECT id AS number, {_COLUMNS}
        FROM jsonb_populate_recordset(CAST(NULL AS score), CAST(:outcomes AS jsonb))),
    pair AS (SELECT response_id, number
        FROM unnest(CAST(:responses AS bigint[]), CAST(:numbers AS bigint[])) AS given(response_id, number))
"""  # nosec B608  only column names of our own tables are put in, here and below
_SQLITE = f"""
    WITH outcome AS (SELECT json_extract(value, '$.id') AS number,
        {", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _OUTCOME)} FROM json_each(:outcomes)),
    pair AS (SELECT json_extract(value, '$[0]') AS response_id, json_extract(value, '$[1]') AS number
        FROM json_each(:pairs))
"""  # nosec B608
# A count instead of NOT EXISTS: as an anti-join PostgreSQL may read the whole table for each portion.
_NEW = f"""
    SELECT response_id, {_COLUMNS}, :now AS scored_at FROM pair JOIN outcome USING (number) WHERE 0 = (
        SELECT count(*) FROM score WHERE score.response_id = pair.response_id
            AND score.scale_code = outcome.scale_code AND score.scoring_version = outcome.scoring_version)
"""  # nosec B608
_INSERT = f"INSERT INTO score (response_id, {_COLUMNS}, scored_at) {_NEW} ON CONFLICT DO NOTHING"
# "+ 0" makes the planner sort the few rows of one response; without it, it may scan the whole primary key.
_COMPARE = """
    compared AS MATERIALIZED (
        SELECT instrument_code, scale_code, scoring_version, coalesce(t_score, raw_score) AS score, (
            SELECT CASE WHEN added.t_score IS NOT NULL THEN earlier.t_score
                WHEN added.raw_score IS NOT NULL THEN earlier.raw_score
                ELSE coalesce(earlier.t_score, earlier.raw_score) END
            FROM score AS earlier
            WHERE earlier.response_id = added.response_id AND earlier.scale_code = added.scale_code
            ORDER BY earlier.id + 0 DESC LIMIT 1) AS earlier
        FROM added)
    SELECT instrument_code, scale_code, scoring_version, count(*) AS responses,
        count(CASE WHEN score = earlier THEN 1 END) AS unchanged,
        count(CASE WHEN score <> earlier THEN 1 END) AS changed,
        count(CASE WHEN score IS NOT NULL AND earlier IS NULL THEN 1 END) AS newly_scored,
        count(CASE WHEN score IS NULL AND earlier IS NOT NULL THEN 1 END) AS no_longer_scored,
        coalesce(sum(score - earlier), 0.0) AS difference_sum,
        coalesce(max(abs(score - earlier)), 0.0) AS largest_difference
    FROM compared GROUP BY instrument_code, scale_code, scoring_version
"""


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("now", type_=UtcDateTime))


# In one statement `score` is read as it was before the INSERT, so that the subquery finds the earlier score.
_RETURNING = "RETURNING response_id, instrument_code, scale_code, scoring_version, raw_score, t_score"
_ADD_POSTGRESQL = _statement(f"{_POSTGRESQL}, added AS ({_INSERT} {_RETURNING}), {_COMPARE}")
_ADD_SQLITE = _statement(f"{_SQLITE} {_INSERT}")
_PREVIEW_POSTGRESQL = _statement(f"{_POSTGRESQL}, added AS ({_NEW}), {_COMPARE}")
_PREVIEW_SQLITE = _statement(f"{_SQLITE}, added AS ({_NEW}), {_COMPARE}")

Scored = tuple[Instrument, list[int], BulkScores]  # instrument, response ids, the scores of one scale of them


class Portion(NamedTuple):
    """Responses with ids above `after`, up to `last`; `n_responses` of them are in effect."""

    after: int
    last: int
    n_responses: int


def next_portion(session: Session, targets: Targets, after: int, through: int, size: int) -> Portion:
    """The next `size` responses in effect of these instruments, with ids above `after` and none above `through`."""
    ids = select(QuestionnaireResponse.id).where(
        QuestionnaireResponse.id > after, QuestionnaireResponse.id <= through, *in_effect(targets)
    )
    page = ids.order_by(QuestionnaireResponse.id).limit(size).subquery()
    last, n_responses = session.execute(select(func.max(page.c.id), func.count())).one()
    return Portion(after, last or through, n_responses)


def in_effect(targets: Targets) -> tuple[ColumnElement[bool], ...]:
    """The conditions of responses in effect to these instruments."""
    codes = {code for code, _version in targets}
    return stored_scores.is_counted(), QuestionnaireResponse.instrument_code.in_(codes)


def rescore(session: Session, targets: Targets, page: Portion, *, now: datetime, write: bool) -> RescoringReport:
    """Add the scores that these responses are missing; with `write` off only report what would be added."""
    report = RescoringReport()
    scored: list[Scored] = []
    for (code, version, prorate), rows in _missing_scores(session, targets, page).items():
        answers = [given for _id, given in rows]
        usable, scores = bulk_scoring.score_stored(targets[code, version], answers, prorate=prorate)
        if not usable.all():
            report.skip((code, version, UNUSABLE), int((~usable).sum()))
        ids = [response_id for (response_id, _given), is_usable in zip(rows, usable, strict=True) if is_usable]
        scored += [(targets[code, version], ids, each) for each in scores]
    if scored:
        report.count(_store(session, scored, now=now, write=write))
    return report


def _missing_scores(
    session: Session, targets: Targets, page: Portion
) -> dict[tuple[str, str, bool], list[tuple[int, Any]]]:
    """The responses with a missing score: (instrument code, version, pro-rating on) -> ids and answers."""
    rows = session.execute(_missing_score_rows(targets, page)).all()
    # One JSON document for all rows: twice as fast as decoding one by one.
    answers = json.loads(f"[{','.join([row.answers for row in rows])}]")
    groups = defaultdict(list)
    for (response_id, code, version, _, prorate), given in zip(rows, answers, strict=True):
        groups[code, version, bool(prorate)].append((response_id, given))
    return groups


def _missing_score_rows(targets: Targets, page: Portion) -> Any:
    """Responses of the portion with fewer scores of the target scoring version than the target has scales."""
    response = QuestionnaireResponse
    target = _target_table(targets)
    n_scored = select(func.count()).where(Score.response_id == response.id, Score.scoring_version == target.c.scoring)
    asked = (target.c.code == response.instrument_code) & (target.c.version == response.instrument_version)
    columns = (
        response.id,
        response.instrument_code,
        response.instrument_version,
        sql_cast(response.answers, String).label("answers"),
        _prorated().label("prorate"),
    )
    rows = (
        select(*columns)
        .join(target, asked)
        .where(
            response.id > page.after,
            response.id <= page.last,
            stored_scores.is_counted(),
            n_scored.scalar_subquery() < target.c.n_scales,
        )
    )
    return rows.order_by(response.id)


def _target_table(targets: Targets) -> Any:
    """The targets as a table: instrument code and version of a response -> scoring version and number of scales."""
    names = (column("code", String), column("version", String), column("scoring", String), column("n_scales", Integer))
    rows = [(*asked, each.scoring_version, len(each.scales)) for asked, each in targets.items()]
    return values(*names, name="target").data(rows).cte("target")


def _prorated() -> ColumnElement[bool]:
    """Whether the protocol version of the response's course has pro-rating switched on."""
    protocols = map(protocol_catalog.read_protocol, protocol_catalog.all_files())
    switched_on = [(each.code, each.version) for each in protocols if each.prorate]
    if not switched_on:
        return false()  # saves two look-ups for each response
    bound = tuple_(Course.protocol_code, Course.protocol_version).in_(switched_on)
    course = select(Visit.id).join(Course, Course.id == Visit.course_id)
    return course.where(Visit.id == QuestionnaireResponse.visit_id, bound).correlate(QuestionnaireResponse).exists()


def _store(session: Session, scored: Sequence[Scored], *, now: datetime, write: bool) -> list[ScaleChanges]:
    """Add the scores (or only compare them, with `write` off) and return the changes of each scale."""
    outcomes: list[dict[str, Any]] = []
    responses: list[int] = []
    numbers: list[int] = []
    for instrument, ids, scores in scored:
        responses += ids
        numbers += (scores.numbers + len(outcomes)).tolist()
        outcomes += _outcomes(instrument, scores, first=len(outcomes))
    rows = {"outcomes": json.dumps(outcomes), "now": now}
    add = _on_postgresql if is_postgresql(session) else _on_sqlite
    return [ScaleChanges(*row) for row in add(session, rows, responses, numbers, write=write)]


def _outcomes(instrument: Instrument, scores: BulkScores, *, first: int) -> Iterator[dict[str, Any]]:
    for number, score in enumerate(scores.outcomes, start=first):
        facts = asdict(score)
        scale_code = facts.pop("scale")
        yield facts | {
            "id": number,
            "scale_code": scale_code,
            "instrument_code": instrument.code,
            "instrument_version": instrument.version,
            "scoring_version": instrument.scoring_version,
        }


def _on_postgresql(session: Session, rows: Mapping[str, Any], responses: Any, numbers: Any, *, write: bool) -> Any:
    statement = _ADD_POSTGRESQL if write else _PREVIEW_POSTGRESQL
    return session.execute(statement, {**rows, "responses": responses, "numbers": numbers})


def _on_sqlite(session: Session, rows: Mapping[str, Any], responses: Any, numbers: Any, *, write: bool) -> Any:
    """SQLite cannot read the rows of an INSERT in a CTE. Two statements are safe: it has one writer at a time."""
    pairs = {**rows, "pairs": json.dumps(list(zip(responses, numbers, strict=True)))}
    found = session.execute(_PREVIEW_SQLITE, pairs).all()
    if write:
        session.execute(_ADD_SQLITE, pairs)
    return found
