"""Ratings of people's own goals, for research files. The words of goals, which may identify, stay unread."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from pro_tracker.models.goal import Goal, GoalRating


class GoalAttained(NamedTuple):
    """The rating of the person's own goal at a visit, -2 to 2, and which of their goals that is, from 1."""

    number: int
    attainment: int


def by_visit(session: Session, people: Mapping[uuid.UUID, uuid.UUID]) -> Mapping[int, GoalAttained]:
    """Visit id -> the rating in effect of the newest goal that was rated there. `people`: record -> person."""
    goals: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    found: dict[int, GoalAttained] = {}
    for row in session.execute(_goals(people)):
        of_person = goals[people[row.subject_id]]
        if row.id not in of_person:
            of_person.append(row.id)
        if row.visit_id is not None:
            found[row.visit_id] = GoalAttained(len(of_person), row.attainment)
    return found


def _goals(subject_ids: Collection[uuid.UUID]) -> Select[*tuple[Any, ...]]:
    """The goals in the order in which they were set, each with its ratings in effect, if there are any."""
    of_goal = and_(GoalRating.goal_id == Goal.id, GoalRating.voided_at.is_(None))
    rows = select(Goal.id, Goal.subject_id, GoalRating.visit_id, GoalRating.attainment).outerjoin(GoalRating, of_goal)
    rows = rows.where(Goal.subject_id.in_(subject_ids), Goal.voided_at.is_(None))
    return rows.order_by(Goal.set_at, Goal.id)
