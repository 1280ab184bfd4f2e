"""Counts what was answered at visits that were begun and not sent, for staff who call about them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy.orm import Session

from pro_tracker.services.answering import questionnaires, visit_context
from pro_tracker.services.answering.visit_context import VisitContext


class Progress(NamedTuple):
    """The number of questions that were answered or declined, of all that the visit asks at most."""

    answered: int
    questions: int


def of_visits(session: Session, visit_ids: Collection[int]) -> Mapping[int, Progress]:
    """Visit id -> progress, of those of these visits that were begun and not sent."""
    contexts = visit_context.by_visits(session, visit_ids)
    return {visit.visit_id: _progress(visit) for visit in contexts if visit.saved_at is not None}


def _progress(visit: VisitContext) -> Progress:
    questionnaire = visit.questionnaire
    done = [item for item in questionnaire.items if questionnaires.is_done(visit.answers, item)]
    return Progress(len(done), questionnaire.at_most)
