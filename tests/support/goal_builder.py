"""Adds a patient's own goals and their ratings, as the patient gives them."""

from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import goals, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from tests.support.history_builder import PATIENT


def set_goal(session: Session, visit: Visit, words: str, now: datetime) -> None:
    context = visit_context.by_visit(session, visit.id)
    goals.set_goal(session, context, words, RequestContext(PATIENT, now))
    session.flush()


def rate_goal(session: Session, visit: Visit, attainment: int, now: datetime) -> None:
    context = visit_context.by_visit(session, visit.id)
    goals.rate(session, context, Attainment(attainment), RequestContext(PATIENT, now))
    session.flush()
