"""Alerts of corrected answers: raised wherever an answer is stored now. Those of another person go with the answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Select, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.alert_codes import AlertKind
from pro_tracker.domain.call_codes import CallOutcome, CallReason
from pro_tracker.domain.instrument import FREE_TEXT
from pro_tracker.models.answer_alert import AnswerAlert, FreeText
from pro_tracker.models.call import Call
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services.answer_corrections import replacements
from pro_tracker.services.answer_corrections.replacements import Arrivals, Edit
from pro_tracker.services.answering import alert_calls, free_texts, visit_context
from pro_tracker.services.answering.request_context import Given, RequestContext
from pro_tracker.services.audit import Actor


def raise_for(
    session: Session, response: QuestionnaireResponse, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    """Raises the alerts of these answers of a response. A new one opens the call of its visit, again where closed."""
    rows = alert_calls.rows_of({response.instrument_code: answers})
    if rows:
        alert_calls.raise_now(session, response.visit_id, rows, now=now)


def move_away(session: Session, edit: Edit, source: Visit, moved: Sequence[QuestionnaireResponse]) -> None:
    """Takes the alerts and free texts of moved responses from their former visit, to the person whose they are.

    The call about the visit's alerts closes when none is left. An alert whose answer was changed since goes, too; what
    the visit's own patient had answered before the responses came there stays.
    """
    arrived = replacements.arrivals(session, moved)
    came_along = replacements.came_along(AnswerAlert.instrument_code, AnswerAlert.opened_at, arrived)
    _move_texts(session, edit, source, arrived, moved[0].visit_id)
    of_moved = (AnswerAlert.visit_id == source.id, came_along)
    of_answers = select(AnswerAlert).where(*of_moved, AnswerAlert.kind == AlertKind.ANSWER)
    rows = [_raised_again(alert) for alert in session.scalars(of_answers.order_by(AnswerAlert.id))]
    if rows:
        alert_calls.raise_now(session, moved[0].visit_id, rows, now=edit.now)
    session.execute(delete(AnswerAlert).where(*of_moved))
    _close_call(session, source, edit.now)


def _raised_again(alert: AnswerAlert) -> alert_calls.Row:
    return {
        "kind": alert.kind,
        "instrument_code": alert.instrument_code,
        "link_id": alert.link_id,
        "value": alert.value,
    }


def empty_lines(session: Session, visit_id: int, codes: Sequence[str], actor: Actor, *, now: datetime) -> None:
    """Empties the free lines of voided responses, which may be another person's. Staff still read the texts."""
    written = free_texts.current(session, visit_id)
    emptied = {code: "" for code in codes if code in written}
    if emptied:
        visit = visit_context.by_visit(session, visit_id)
        free_texts.keep_late(session, visit, emptied, RequestContext(actor, now))


def _texts_of(source: Visit, arrived: Arrivals) -> Select[FreeText]:
    """The texts that go. When one was written is known by its alert, which a line that was emptied does not have."""
    its_alert = and_(
        AnswerAlert.visit_id == FreeText.visit_id,
        AnswerAlert.instrument_code == FreeText.instrument_code,
        AnswerAlert.link_id == FREE_TEXT,
        AnswerAlert.value == FreeText.number,
    )
    written_at = func.coalesce(AnswerAlert.opened_at, FreeText.given_at)
    came_along = replacements.came_along(FreeText.instrument_code, written_at, arrived)
    return select(FreeText).outerjoin(AnswerAlert, its_alert).where(FreeText.visit_id == source.id, came_along)


def _move_texts(session: Session, edit: Edit, source: Visit, arrived: Arrivals, target_id: int) -> None:
    """Writes the texts of the free lines again for the target, since each is encrypted for its visit."""
    there = visit_context.by_visit(session, target_id)
    texts = _texts_of(source, arrived)
    in_order = texts.order_by(FreeText.given_at, FreeText.device, FreeText.sequence)
    for row in session.scalars(in_order).all():
        given = Given(row.given_at, row.sequence)
        context = RequestContext(edit.actor, edit.now, device=row.device, given=given)
        free_texts.keep_late(session, there, {row.instrument_code: row.text}, context)
        session.delete(row)


def _close_call(session: Session, visit: Visit, now: datetime) -> None:
    """Closes the call about the visit's alerts if none is left."""
    left = exists().where(AnswerAlert.visit_id == visit.id)
    about_alerts = update(Call).where(
        Call.visit_id == visit.id,
        Call.reason == CallReason.ALERT,
        Call.closed_at.is_(None),
        ~left,
    )
    closed = about_alerts.values(closed_at=now, outcome=CallOutcome.NO_LONGER_NEEDED)
    session.execute(closed, execution_options={"synchronize_session": False})
