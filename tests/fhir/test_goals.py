"""A patient's own goal as FHIR Goal: its status and newest rating, never its words."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.goal import Goal
from pro_tracker.services.answer_corrections import goal_corrections
from pro_tracker.services.answer_corrections.goal_corrections import GoalCorrection
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import LAST_AT, check, everything, of_type, subject_with_answers
from tests.support.goal_builder import rate_goal, set_goal
from tests.support.history_builder import visit_of

WORDS = "Walk to the lake with my dog Bello"


def test_a_goal_has_the_status_of_its_newest_rating_and_no_words(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    first, later = visit_of(session, subject, "baseline"), visit_of(session, subject, "last-infusion")
    set_goal(session, first, WORDS, LAST_AT - timedelta(days=5))
    rate_goal(session, later, -1, LAST_AT)
    set_goal(session, later, "Sleep through", LAST_AT + timedelta(minutes=1))
    found = everything(session, subject)
    rated, present = of_type(found, "Goal")
    for resource in (rated, present):
        check(resource)
    assert (rated["lifecycleStatus"], present["lifecycleStatus"]) == ("cancelled", "active")
    assert [each["code"] for each in rated["achievementStatus"]["coding"]] == ["not-achieved", "-1"]
    assert "achievementStatus" not in present
    assert "Bello" not in str(found)


def test_a_goal_in_error_says_so_and_nothing_else(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    set_goal(session, visit_of(session, subject, "baseline"), WORDS, LAST_AT - timedelta(days=5))
    rate_goal(session, visit_of(session, subject, "last-infusion"), 2, LAST_AT)
    goal = session.scalars(select(Goal)).one()
    goal_corrections.correct_goal(session, COORDINATOR, goal, GoalCorrection(None, "of another"), now=LAST_AT)
    (resource,) = of_type(everything(session, subject), "Goal")
    assert (resource["lifecycleStatus"], "achievementStatus" in resource) == ("entered-in-error", False)
