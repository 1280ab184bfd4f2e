"""Defines the view of assessments, which figures, reasons and files are read from.

A row is a scale at a visit. An event for which the course has no visit has rows, too. The view knows no present time:
results/assessments.py says what is open at a given one.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    SelectBase,
    Subquery,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from pro_tracker.domain.assessment_codes import AssessmentOutcome
from pro_tracker.domain.response_codes import ResponseStatus, ScoreStatus
from pro_tracker.domain.unanswered import SetAsideReason, UnansweredReason, UncountedReason
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.protocol_event import ProtocolEvent, ProtocolScale
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import stored_scores
from pro_tracker.services.consent_filters import MAY_BE_RESEARCHED

RECORD = aliased(Subject)  # that the course is of; Subject is the kept record of its person
NAME = Assessment.__tablename__
# A visit that a new course, a death or a withdrawal ended counts even before it opened: they are intercurrent events
# (ICH E9(R1)).
INTERCURRENT = (UnansweredReason.NEW_COURSE, UnansweredReason.DIED, UnansweredReason.WITHDRAWN)
# The anchors of events that each course has; of the others, nothing says that a date would have been entered.
FROM_TREATMENT = ("course-start", "first-infusion", "last-infusion")

OF_VISIT = (
    Visit.visit_number,
    Visit.infusion_day,
    Visit.opens_at,
    Visit.due_at,
    Visit.closes_at,
    Visit.completed_at,
    Visit.stopped_at,
    Visit.voided_at,
    Visit.void_reason,
    Visit.missed_reason,
)


def recreate(connection: Connection) -> None:
    """Makes the view as it is defined here. The tables must be at the newest migration."""
    drop(connection)
    dialect = connection.dialect
    statement = definition().compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    connection.exec_driver_sql(f"CREATE VIEW {NAME} AS {statement}")


def drop(connection: Connection) -> None:
    """Removes the view, so that its tables can be altered."""
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {NAME}")


def definition() -> Select[*tuple[Any, ...]]:
    """Returns the statement behind the view."""
    expected = union_all(_visits(), _without_visit()).subquery("expected")
    row = expected.c
    of_event = (
        ProtocolEvent.protocol_code == row.protocol_code,
        ProtocolEvent.protocol_version == row.protocol_version,
        ProtocolEvent.event_code == row.event_code,
    )
    of_scale = (
        ProtocolScale.protocol_code == row.protocol_code,
        ProtocolScale.protocol_version == row.protocol_version,
        ProtocolScale.event_code == row.event_code,
    )
    counted = and_(
        QuestionnaireResponse.visit_id == row.visit_id,
        QuestionnaireResponse.instrument_code == ProtocolScale.instrument_code,
        stored_scores.is_counted(QuestionnaireResponse),
    )
    of_response = and_(
        Score.response_id == QuestionnaireResponse.id,
        Score.scale_code == ProtocolScale.scale_code,
        stored_scores.is_newest(Score),
    )
    rows = select(*_columns(expected)).select_from(expected)
    rows = rows.join(RECORD, RECORD.id == row.subject_id).join(Subject, Subject.id == RECORD.person_id)
    rows = rows.outerjoin(ProtocolEvent, and_(*of_event)).outerjoin(ProtocolScale, and_(*of_scale))
    rows = rows.outerjoin(VisitDraft, VisitDraft.visit_id == row.visit_id)
    rows = rows.outerjoin(QuestionnaireResponse, counted).outerjoin(Score, of_response)
    return rows.where(MAY_BE_RESEARCHED)


def _is_dated(visit: type[Visit] = Visit) -> ColumnElement[bool]:
    """SQL: the visit has a date; one that lost it was never asked for."""
    # Not IS DISTINCT FROM: SQLAlchemy cannot write its operand into the statement for SQLite.
    return or_(visit.void_reason.is_(None), visit.void_reason != UnansweredReason.NO_DATE)


def _visits() -> SelectBase:
    """The visits of the courses that count."""
    earlier = aliased(Visit)
    up_to_this = select(func.count()).where(
        earlier.course_id == Visit.course_id,
        earlier.event_code == Visit.event_code,
        _is_dated(earlier),
        or_(earlier.anchor_on < Visit.anchor_on, and_(earlier.anchor_on == Visit.anchor_on, earlier.id <= Visit.id)),
    )
    rows = select(
        *(Course.id.label("course_id"), Course.subject_id, Course.site_id),
        *(Visit.protocol_code, Visit.protocol_version, Visit.event_code),
        up_to_this.scalar_subquery().label("occurrence"),
        Visit.id.label("visit_id"),
        *OF_VISIT,
        false().label("follows_treatment"),
    )
    return rows.join(Course, Course.id == Visit.course_id).where(COUNTS, _is_dated())


def _without_visit() -> SelectBase:
    """The events of the courses' protocols for which nothing was planned, or no date is known any more."""
    planned = exists().where(Visit.course_id == Course.id, Visit.event_code == ProtocolEvent.event_code, _is_dated())
    treated = exists().where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    of_course = and_(
        ProtocolEvent.protocol_code == Course.protocol_code,
        ProtocolEvent.protocol_version == Course.protocol_version,
    )
    follows_treatment = and_(ProtocolEvent.anchor.in_(FROM_TREATMENT), ~ProtocolEvent.is_optional, treated)
    unknown = (cast(null(), column.type).label(column.key) for column in OF_VISIT[1:])
    rows = select(
        *(Course.id.label("course_id"), Course.subject_id, Course.site_id),
        *(Course.protocol_code, Course.protocol_version, ProtocolEvent.event_code),
        literal(1).label("occurrence"),
        cast(null(), Visit.id.type).label("visit_id"),
        ProtocolEvent.number.label("visit_number"),
        *unknown,
        follows_treatment.label("follows_treatment"),
    )
    return rows.join(ProtocolEvent, of_course).where(COUNTS, ~planned)


def _columns(expected: Subquery) -> list[ColumnElement[Any]]:
    """The columns of the view, in the order of the model, by their names there."""
    row = expected.c
    response, score = QuestionnaireResponse, Score
    values: dict[str, Any] = {
        "person_id": RECORD.person_id,
        "event_number": row.visit_number,
        "is_optional": func.coalesce(ProtocolEvent.is_optional, false()),
        "answerable_until": case((VisitDraft.grace_until > row.closes_at, VisitDraft.grace_until), else_=row.closes_at),
        "is_ended": _is_ended(row),
        "ended_reason": _ended_reason(row),
        "instrument_code": ProtocolScale.instrument_code,
        "scale_code": ProtocolScale.scale_code,
        "position": ProtocolScale.position,
        "outcome": _outcome(row),
        "reason": _reason(row),
        "response_id": response.id,
        "score_id": score.id,
    }
    of_response = ("language", "text_pack_version", "text_pack_validated", "wordings")
    of_score = ("scoring_version", "raw_score", "t_score", "standard_error")
    values |= {name: getattr(response, name) for name in of_response}
    values |= {name: getattr(score, name) for name in of_score}
    names = [column.name for column in Assessment.__table__.columns]
    return [(values[name] if name in values else row[name]).label(name) for name in names]


def _outcome(row: Any) -> ColumnElement[Any]:
    return case(
        (Score.status == ScoreStatus.SCORED, literal(AssessmentOutcome.ANSWERED.value)),
        (QuestionnaireResponse.id.is_not(None), literal(AssessmentOutcome.NOT_SCORED.value)),
        (_is_ended(row), literal(AssessmentOutcome.UNANSWERED.value)),
        (or_(row.visit_id.is_(None), row.voided_at.is_not(None)), literal(AssessmentOutcome.NOT_EXPECTED.value)),
        else_=literal(AssessmentOutcome.WAITING.value),
    )


def _is_ended(row: Any) -> ColumnElement[bool]:
    """SQL: the visit was answered, stopped or ended while it was due; or was never planned since the person left."""
    is_optional = func.coalesce(ProtocolEvent.is_optional, false())
    was_open = and_(row.voided_at > row.opens_at, row.void_reason != UnansweredReason.NO_DATE)
    by_event = and_(row.void_reason.in_(INTERCURRENT), ~is_optional)
    never_planned = and_(row.visit_id.is_(None), row.follows_treatment, _has_left())
    ended = or_(row.completed_at.is_not(None), row.stopped_at.is_not(None), was_open, by_event, never_planned)
    # Never NULL: a comparison with a missing moment is not true.
    return case((ended, true()), else_=false())


def _has_left() -> ColumnElement[bool]:
    return or_(Subject.withdrawn_at.is_not(None), Subject.death_recorded_at.is_not(None))


def _ended_reason(row: Any) -> ColumnElement[Any]:
    """SQL: why the visit has no answers, as stored with it; of an event without a visit, how the person left."""
    has_left = case(
        (Subject.withdrawn_at.is_not(None), literal(UnansweredReason.WITHDRAWN.value)),
        (Subject.death_recorded_at.is_not(None), literal(UnansweredReason.DIED.value)),
    )
    stored = func.coalesce(row.void_reason, row.missed_reason)
    left = and_(row.visit_id.is_(None), row.follows_treatment)
    return case((left, has_left), else_=stored)


def _reason(row: Any) -> ColumnElement[Any]:
    """SQL: why the scale has no answers."""
    given = aliased(QuestionnaireResponse)
    to_instrument = and_(given.visit_id == row.visit_id, given.instrument_code == ProtocolScale.instrument_code)
    under_treatment = exists().where(
        to_instrument, stored_scores.is_in_effect(given), stored_scores.is_under_treatment(given)
    )
    other_form = exists().where(
        to_instrument, given.status == ResponseStatus.STOPPED, given.stop_reason == SetAsideReason.OTHER_FORM
    )
    in_error = exists().where(to_instrument, given.status == ResponseStatus.ENTERED_IN_ERROR)
    voided = case((in_error, literal(UnansweredReason.ENTERED_IN_ERROR.value)))
    return case(
        (QuestionnaireResponse.id.is_not(None), null()),
        (under_treatment, literal(UncountedReason.UNDER_TREATMENT.value)),
        (other_form, literal(SetAsideReason.OTHER_FORM.value)),
        else_=func.coalesce(_ended_reason(row), voided),
    )
