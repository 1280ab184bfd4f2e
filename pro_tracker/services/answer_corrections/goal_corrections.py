"""Corrections of goals and their ratings by staff, each with a reason; what was recorded before is kept."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import ChangedSince, NotFound
from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.models.goal import Goal, GoalRating, GoalText
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.answering import goals
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock

CHANGED = "This was corrected since. Look at the patient's page again."
WHY = "Say why this is corrected."


@dataclass(frozen=True, slots=True)
class GoalCorrection:
    """The words of a goal as they should be, None: it was entered in error. `as_shown`: number of those corrected."""

    words: str | None
    reason: str
    as_shown: int = 0


@dataclass(frozen=True, slots=True)
class RatingCorrection:
    """A rating as it should be, None: it was entered in error."""

    attainment: Attainment | None
    reason: str


def find_goal(session: Session, subject: Subject, goal_id: uuid.UUID) -> Goal:
    """Returns the goal of this person. Raises NotFound."""
    goal = session.get(Goal, goal_id)
    if goal is None or person.kept(session, goal.subject_id).id != subject.id:
        raise NotFound("This patient has no such goal.")
    return goal


def find_rating(session: Session, subject: Subject, rating_id: int) -> GoalRating:
    """Returns the rating of this person's goal. Raises NotFound."""
    rating = session.get(GoalRating, rating_id)
    if rating is None or person.kept(session, rating.goal.subject_id).id != subject.id:
        raise NotFound("This patient has no such rating.")
    return rating


def correct_goal(session: Session, actor: Actor, goal: Goal, facts: GoalCorrection, *, now: datetime) -> None:
    """Corrects the words of a goal, or marks it as entered in error, with its ratings.

    Raises InvalidInput without a reason, and ChangedSince for a goal that was corrected in the meantime.
    """
    why = corrections.require_reason(facts.reason, WHY)
    _lock(session, goal)
    if facts.words is None:
        goal.voided_at, goal.void_reason = now, why
        _audit(session, actor, "goal.void", goal, now)
        return
    number = goal.texts[-1].number
    if number != facts.as_shown:
        raise ChangedSince(CHANGED)
    row = GoalText(goal_id=goal.id, number=number + 1, recorded_at=now, reason=why)
    row.text = goals.require_words(facts.words)
    session.add(row)
    _audit(session, actor, "goal.correct", goal, now)


def correct_rating(
    session: Session, actor: Actor, rating: GoalRating, facts: RatingCorrection, *, now: datetime
) -> None:
    """Voids a wrong rating, and adds the right one if there is one. Raises InvalidInput, ChangedSince."""
    _void(session, rating, facts.reason, now)
    if facts.attainment is None:
        _audit(session, actor, "goal.void-rating", rating.goal, now)
        return
    row = GoalRating(
        goal_id=rating.goal_id,
        visit_id=rating.visit_id,
        attainment=facts.attainment,
        rated_at=rating.rated_at,
        mode=rating.mode,
        taken_by_id=rating.taken_by_id,
    )
    session.add(row)
    _audit(session, actor, "goal.correct-rating", rating.goal, now)


def _void(session: Session, rating: GoalRating, reason: str, now: datetime) -> None:
    why = corrections.require_reason(reason, WHY)
    _lock(session, rating.goal)
    if rating.voided_at is not None:
        raise ChangedSince(CHANGED)
    rating.voided_at, rating.void_reason = now, why
    session.flush()


def _lock(session: Session, goal: Goal) -> None:
    """Locks the person, and raises ChangedSince for a goal that was entered in error."""
    subject_lock.lock(session, person.kept(session, goal.subject_id))
    if goal.voided_at is not None:
        raise ChangedSince(CHANGED)


def _audit(session: Session, actor: Actor, action: str, goal: Goal, now: datetime) -> None:
    detail: audit.Detail = {"visit": goal.visit_id}
    audit.record(session, actor, action, now=now, subject_id=goal.subject_id, detail=detail)
