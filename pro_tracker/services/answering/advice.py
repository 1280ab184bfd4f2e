"""Advice that a person reads after an answer that raises an alert: by the response plan and the state of the call.

Reads only. The words of the protocol come first; what it does not say is in the patient's templates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session

from pro_tracker.domain.alert_codes import AlertKind
from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.protocol import ResponsePlan
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Contact
from pro_tracker.services.answering.questionnaires import AskedItem
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice about one alert, or about all alerts of a visit.

    `texts`: the words of the protocol in the page's language; none where it has none. `call_by`: until when staff call;
    None if no call is open, or no plan says when. `emergency`: the item's question about danger now, or "", in
    `language`.
    """

    texts: tuple[str, ...]
    call_by: datetime | None
    is_overdue: bool  # `call_by` has passed
    can_be_called: bool  # there is a number that is the person's
    crisis_line: bool
    emergency: str = ""
    language: str = ""


def about_item(session: Session, visit: VisitContext, item: AskedItem, value: int, *, now: datetime) -> Advice:
    """The advice after this answer, an alerting option code."""
    rows = [row for row in _alerts(session, visit) if (row.link_id, row.value) == (item.link_id, value)]
    of_item = [row for row in rows if row.instrument_code == item.instrument_code]
    return _about(item, value, _advice(visit, of_item, {item.instrument_code}, now))


def before_saving(visit: VisitContext, item: AskedItem, value: int) -> Advice:
    """The advice after this answer, an alerting option code, on a phone that may not have reached us with it.

    It promises no call.
    """
    return _about(item, value, _advice(visit, [], {item.instrument_code}, visit.opens_at))


def about_visit(session: Session, visit: VisitContext, *, now: datetime) -> Advice | None:
    """The advice after sending; None if no answer of the visit raised an alert, even one that was changed since."""
    rows = _alerts(session, visit)
    if not rows:
        return None
    codes = dict.fromkeys(row.instrument_code for row in rows)
    return _advice(visit, rows, codes, now)


def _about(item: AskedItem, value: int, advice: Advice) -> Advice:
    raised = instrument_catalog.instrument(item.instrument_code).alert_of(item.link_id, value)
    offers_crisis_line = raised is not None and raised.crisis_line
    return replace(advice, emergency=item.emergency, language=item.language, crisis_line=offers_crisis_line)


def _alerts(session: Session, visit: VisitContext) -> Sequence[Any]:
    """The alerts of the visit's answers, in one statement: `handled` says whether their call was closed since."""
    of_visit = and_(Call.visit_id == AnswerAlert.visit_id, Call.reason == CallReason.ALERT)
    has_number = exists().where(
        Contact.subject_id == visit.person_id,
        Contact.channel == Channel.SMS,
        Contact.state != ContactState.WRONG_NUMBER,
    )
    is_open = and_(Call.closed_at.is_(None), Call.opened_at <= AnswerAlert.opened_at)
    rows = select(
        AnswerAlert.instrument_code,
        AnswerAlert.link_id,
        AnswerAlert.value,
        AnswerAlert.opened_at,
        is_open.label("is_open"),
        has_number.label("has_number"),
    )
    rows = rows.join(Call, of_visit)
    rows = rows.where(AnswerAlert.visit_id == visit.visit_id, AnswerAlert.kind == AlertKind.ANSWER)
    return session.execute(rows.order_by(AnswerAlert.id)).all()


def _advice(visit: VisitContext, rows: Sequence[Any], codes: Iterable[str], now: datetime) -> Advice:
    protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
    plans = {code: protocol.response_plans[code] for code in codes if code in protocol.response_plans}
    texts = dict.fromkeys(plan.advice_in(visit.language) for plan in plans.values())
    limits = [_limit(row, plans[row.instrument_code]) for row in rows if row.is_open and row.instrument_code in plans]
    call_by = min(limits, default=None)
    return Advice(
        texts=tuple(text for text in texts if text),
        call_by=call_by,
        is_overdue=call_by is not None and call_by <= now,
        can_be_called=all(row.has_number for row in rows),
        crisis_line=any(_offers_crisis_line(row) for row in rows),
    )


def _limit(row: Any, plan: ResponsePlan) -> datetime:
    opened_at: datetime = row.opened_at
    return opened_at + timedelta(hours=plan.within_hours)


def _offers_crisis_line(row: Any) -> bool:
    raised = instrument_catalog.instrument(row.instrument_code).alert_of(row.link_id, row.value)
    return raised is not None and raised.crisis_line
