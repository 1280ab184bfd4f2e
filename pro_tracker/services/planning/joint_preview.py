"""Previews a change that concerns two records: the plans of both together, before and after. See plan_preview.py."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import Plan, PlanDifference

SubjectIds = Sequence[uuid.UUID]


def preview(
    session: Session,
    subject_ids: tuple[SubjectIds, SubjectIds],
    change: Callable[[], object],
    *,
    now: datetime,
    keep: Callable[[PlanDifference], bool],
) -> PlanDifference:
    """Runs `change` and returns the difference between the plans of the subjects before it and those after it.

    `subject_ids`: the people before, and after. Rolls back unless `keep` of the difference is true; an error passes
    through, and nothing is changed. The caller commits.
    """
    people_before, people_after = subject_ids
    before = _joint(session, people_before, now)
    with session.begin_nested() as trial:
        change()
        difference = PlanDifference.between(before, _joint(session, people_after, now))
        if not keep(difference):
            trial.rollback()
    session.expire_all()  # rows that were read inside the trial are not what is stored now
    return difference


def _joint(session: Session, subject_ids: SubjectIds, now: datetime) -> Plan:
    joint = Plan((), ())
    for subject_id in subject_ids:
        plan = plan_preview.current_plan(session, subject_id, now=now)
        joint = Plan(joint.visits + plan.visits, joint.messages + plan.messages)
    return joint
