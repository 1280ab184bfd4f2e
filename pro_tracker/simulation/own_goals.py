"""Synthetic patients write down a goal of their own after a visit, and rate it at later ones; some never do."""

from random import Random

from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import goals, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.parameters import WrittenParameters


def after_visit(
    context: SimulationContext, written: WrittenParameters, visit_id: int, answered: RequestContext
) -> None:
    """Writes or rates the goal after the visit was sent, by draws of the visit's own, so that no others change."""
    session = context.session
    visit = visit_context.by_visit(session, visit_id)
    takes_part = session.get_one(Subject, visit.person_id).takes_part
    if not visit.protocol.for_patients.goal or not takes_part:
        return
    random = Random(f"goal:{visit.study_code}")  # nosec B311  synthetic data
    has_goal = random.random() < written.share
    words = random.choice(written.in_language(visit.language))
    present = goals.current(session, visit.person_id)
    if present is None and has_goal:
        goals.set_goal(session, visit, words, answered)
        context.counts["own goals"] += 1
    elif goals.can_be_rated(present, visit):
        step = Random(f"goal:{visit.study_code}:{visit.closes_at}").choice(list(Attainment))  # nosec B311
        goals.rate(session, visit, step, answered)
