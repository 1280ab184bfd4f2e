"""A person's own goal: set and changed in their words, and rated at later visits, by themselves or by telephone.

A goal is never required, and no score is made of it. Of several the one that was set last is rated; the others keep
their ratings. The words are encrypted, and in no audit row.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.goal_attainment import MAX_LENGTH, Attainment
from pro_tracker.models.goal import Goal, GoalRating, GoalText
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock

RATED_AGAIN = "rated again at the same visit"  # the reason why an earlier rating no longer counts


def of_person(session: Session, person_id: uuid.UUID) -> Sequence[Goal]:
    """Returns the goals that were not entered in error, with words and ratings, the newest last."""
    rows = select(Goal).where(Goal.subject_id.in_(person.records_of(person_id)), Goal.voided_at.is_(None))
    rows = rows.options(selectinload(Goal.texts), selectinload(Goal.all_ratings)).order_by(Goal.set_at, Goal.id)
    return session.scalars(rows, execution_options={"populate_existing": True}).all()


def current(session: Session, person_id: uuid.UUID) -> Goal | None:
    """Returns the goal that is rated now; None without one."""
    goals = of_person(session, person_id)
    return goals[-1] if goals else None


def rating_at(goal: Goal, visit_id: int) -> GoalRating | None:
    """Returns the rating of the goal at this visit; None without one."""
    return next((rating for rating in goal.ratings if rating.visit_id == visit_id), None)


def can_be_rated(goal: Goal | None, visit: VisitContext) -> bool:
    """Returns whether the goal is rated at this visit: after its questions, and not where it was set."""
    return goal is not None and visit.completed_at is not None and goal.visit_id != visit.visit_id


def set_goal(session: Session, visit: VisitContext, words: str, context: RequestContext) -> None:
    """Sets a goal; the same words as those of the present one change nothing.

    Raises InvalidInput without words, for too many, and for a person who is asked nothing more.
    """
    written = require_words(words)
    _lock(session, visit)
    present = current(session, visit.person_id)
    if present is not None and present.text == written:
        return
    goal = Goal(
        id=uuid.uuid4(),
        subject_id=visit.subject_id,
        visit_id=visit.visit_id,
        set_at=context.now,
        mode=context.mode,
        taken_by_id=context.taken_by_id,
    )
    first = GoalText(goal_id=goal.id, number=1, recorded_at=context.now)
    first.text = written
    session.add_all([goal, first])
    _audit(session, visit, "goal.set", context)


def rate(session: Session, visit: VisitContext, attainment: Attainment, context: RequestContext) -> None:
    """Rates the present goal at this visit. The last rating counts, and an earlier one of the visit is kept as voided.

    Raises InvalidInput where there is no goal to rate at this visit, and for a person who is asked nothing more.
    """
    _lock(session, visit)
    goal = current(session, visit.person_id)
    if goal is None or not can_be_rated(goal, visit):
        raise InvalidInput("There is no goal to rate now. It is rated after the questions of a later visit.")
    earlier = rating_at(goal, visit.visit_id)
    if earlier is not None and earlier.attainment == attainment:
        return
    if earlier is not None:
        earlier.voided_at, earlier.void_reason = context.now, RATED_AGAIN
        session.flush()
    rating = GoalRating(
        goal_id=goal.id,
        visit_id=visit.visit_id,
        attainment=attainment,
        rated_at=context.now,
        mode=context.mode,
        taken_by_id=context.taken_by_id,
    )
    session.add(rating)
    _audit(session, visit, "goal.rate", context)


def require_words(words: str) -> str:
    """Returns the words on one line. Raises InvalidInput if there are none, or more than MAX_LENGTH characters."""
    written = " ".join(words.split())
    if not written:
        raise InvalidInput("Write your goal in a few words.", field="text")
    if len(written) > MAX_LENGTH:
        raise InvalidInput("Write at most 200 characters.", field="text")
    return written


def _lock(session: Session, visit: VisitContext) -> None:
    """Locks the person. Raises InvalidInput for who withdrew, NoLongerAsked after a death."""
    visit.require_living()
    subject = session.get_one(Subject, visit.person_id)
    subject_lock.lock(session, subject)
    if not subject.takes_part:
        raise InvalidInput("You are asked nothing more, so no goal is kept.")


def _audit(session: Session, visit: VisitContext, action: str, context: RequestContext) -> None:
    detail: audit.Detail = {"visit": visit.visit_id}
    audit.record(session, context.actor, action, now=context.now, subject_id=visit.subject_id, detail=detail)
