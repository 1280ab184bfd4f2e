"""One portion of a re-scoring in a few large statements: reads responses with missing scores, adds and compares scores.

Nothing is overwritten: scores are unique by response, scale and scoring version, so a second run adds nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import compress
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
        QuestionnaireResponse.id > after,
        QuestionnaireResponse.id <= through,
        *in_effect(targets),
    )
    page = ids.order_by(QuestionnaireResponse.id).limit(size).subquery()
    last_and_count = select(func.max(page.c.id), func.count())
    last, n_responses = session.execute(last_and_count).one()
    return Portion(after, last or through, n_responses)


def in_effect(targets: Targets) -> tuple[ColumnElement[bool], ...]:
    """The conditions of responses in effect to these instruments."""
    codes = {code for code, _version in targets}
    to_these = QuestionnaireResponse.instrument_code.in_(codes)
    return stored_scores.is_in_effect(), to_these


def rescore(session: Session, targets: Targets, page: Portion, *, now: datetime, write: bool) -> RescoringReport:
    """Adds the scores that these responses are missing; with `write` off only reports what would be added."""
    report = RescoringReport()
    scored: list[Scored] = []
    for (code, version, prorate), rows in _missing_scores(session, targets, page).items():
        target = targets[code, version]
        ids = [response_id for response_id, _given in rows]
        answers = [given for _id, given in rows]
        usable, scores = bulk_scoring.score_stored(target, answers, prorate=prorate)
        if not usable.all():
            n_unusable = int((~usable).sum())
            report.skip((code, version, UNUSABLE), n_unusable)
        scored_ids = list(compress(ids, usable))
        scored += [(target, scored_ids, of_scale) for of_scale in scores]
    if scored:
        changes = _store(session, scored, now=now, write=write)
        report.count(changes)
    return report


def _missing_scores(
    session: Session, targets: Targets, page: Portion
) -> dict[tuple[str, str, bool], list[tuple[int, Any]]]:
    """The responses with a missing score: (instrument code, version, pro-rating on) -> ids and answers."""
    rows = session.execute(_missing_score_rows(targets, page)).all()
    # One JSON document for all rows: twice as fast as decoding one by one.
    documents = [row.answers for row in rows]
    answers = json.loads(f"[{','.join(documents)}]")
    groups = defaultdict(list)
    for row, given in zip(rows, answers, strict=True):
        response_id, code, version, _answers, prorate = row
        groups[code, version, bool(prorate)].append((response_id, given))
    return groups


def _missing_score_rows(targets: Targets, page: Portion) -> Any:
    """Responses of the portion with fewer scores of the target scoring version than the target has scales."""
    response = QuestionnaireResponse
    target = _target_table(targets)
    has_code = target.c.code == response.instrument_code
    has_version = target.c.version == response.instrument_version
    n_scored = select(func.count()).where(
        Score.response_id == response.id,
        Score.scoring_version == target.c.scoring,
    )
    columns = (
        response.id,
        response.instrument_code,
        response.instrument_version,
        sql_cast(response.answers, String).label("answers"),
        _prorated().label("prorate"),
    )
    rows = (
        select(*columns)
        .join(target, has_code & has_version)
        .where(
            response.id > page.after,
            response.id <= page.last,
            stored_scores.is_in_effect(),
            n_scored.scalar_subquery() < target.c.n_scales,
        )
    )
    return rows.order_by(response.id)


def _target_table(targets: Targets) -> Any:
    """The targets as a table: instrument code and version of a response -> scoring version and number of scales."""
    names = (
        column("code", String),
        column("version", String),
        column("scoring", String),
        column("n_scales", Integer),
    )
    rows: list[tuple[str, str, str, int]] = []
    for (code, version), target in targets.items():
        rows.append((code, version, target.scoring_version, len(target.scales)))
    table = values(*names, name="target").data(rows)
    return table.cte("target")


def _prorated() -> ColumnElement[bool]:
    """Returns whether the protocol version of the response's visit has pro-rating switched on."""
    protocols = protocol_catalog.all_versions()
    switched_on = [(each.code, each.version) for each in protocols if each.prorate]
    if not switched_on:
        return false()  # saves two look-ups for each response
    bound = tuple_(Visit.protocol_code, Visit.protocol_version).in_(switched_on)
    of_response = select(Visit.id).where(Visit.id == QuestionnaireResponse.visit_id, bound)
    return of_response.correlate(QuestionnaireResponse).exists()


def _store(session: Session, scored: Sequence[Scored], *, now: datetime, write: bool) -> list[ScaleChanges]:
    """Adds the scores (or only compares them, with `write` off) and returns the changes of each scale."""
    outcomes: list[dict[str, Any]] = []
    responses: list[int] = []
    numbers: list[int] = []
    for instrument, ids, scores in scored:
        first = len(outcomes)
        responses += ids
        numbers += (scores.numbers + first).tolist()
        outcomes += _outcomes(instrument, scores, first=first)
    rows = {"outcomes": json.dumps(outcomes), "now": now}
    add = _on_postgresql if is_postgresql(session) else _on_sqlite
    changes = add(session, rows, responses, numbers, write=write)
    return [ScaleChanges(*row) for row in changes]


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
    parameters = {**rows, "responses": responses, "numbers": numbers}
    return session.execute(statement, parameters)


def _on_sqlite(session: Session, rows: Mapping[str, Any], responses: Any, numbers: Any, *, write: bool) -> Any:
    """Uses two statements: SQLite reads no rows of an INSERT in a CTE. Safe, since it has one writer at a time."""
    pairs = list(zip(responses, numbers, strict=True))
    parameters = {**rows, "pairs": json.dumps(pairs)}
    changes = session.execute(_PREVIEW_SQLITE, parameters).all()
    if write:
        session.execute(_ADD_SQLITE, parameters)
    return changes
