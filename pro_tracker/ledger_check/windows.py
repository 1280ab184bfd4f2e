"""Looks whether each visit hangs on the right day, and whether one is missing, from the courses as they were told."""

from collections.abc import Callable
from datetime import date, datetime, time

from pro_tracker.ledger_check.ledger import CheckedLedger, LedgerVisit
from pro_tracker.ledger_check.rules import DAY, local, moment, window
from pro_tracker.ledger_check.schedule import EventSchedule, Schedule
from pro_tracker.ledger_check.world import ExpectedCourse, World

JUDGED = (
    "course-start",
    "first-infusion",
    "last-infusion",
)  # anchors that follow from what the record tells of a course


def misplaced(told: World, ledger: CheckedLedger, plan_of: Callable[[str], Schedule]) -> tuple[int, list[str]]:
    """How many visits can be judged, and those whose window is not what followed from the course.

    A visit moves with its course until its person was told of it or began to answer.
    """
    judged, wrong = 0, []
    for visit in ledger.visits.values():
        over_at = told.left_at(visit.subject)
        settled_at = min(each for each in (visit.told_at, visit.started_at, over_at) if each is not None)
        plan, person = plan_of(visit.course), told.persons[visit.subject].at(settled_at)
        event = plan.events[visit.event]
        anchor_on = _anchor_on(told, plan, event, visit.course, settled_at)
        if person is None or event.anchor not in JUDGED or (anchor_on is None and visit.told_at is None):
            continue
        judged += 1
        stands = (visit.anchor_on, visit.opens_at, visit.closes_at)
        if anchor_on is None or stands != (anchor_on, *window(plan, event, anchor_on, person.zone)):
            wrong.append(f"visit {visit.id} hangs on {visit.anchor_on}, should on {anchor_on}")
    return judged, wrong


def unplanned(told: World, ledger: CheckedLedger, plan_of: Callable[[str], Schedule]) -> tuple[int, list[str]]:
    """How many visits the courses called for, and those that are not there.

    Judged as of a day before the end of the record, or before the withdrawal: what follows from time passing is
    planned by night.
    """
    wanted, missing = 0, []
    there = {(visit.course, visit.event) for visit in ledger.visits.values()}
    for course, history in told.courses.items():
        plan, subject = plan_of(course), history.newest.subject
        as_of = told.left_at(subject) - DAY
        for event in plan.events.values():
            if _is_wanted(told, plan, event, course, as_of):
                wanted += 1
                missing += [] if (course, event.code) in there else [f"course {course}, {event.code}"]
    return wanted, missing


def ended_without_cause(
    told: World, ledger: CheckedLedger, plan_of: Callable[[str], Schedule]
) -> tuple[int, list[str]]:
    """How many visits ended before their time, and those for which nothing says why."""
    ended = [visit for visit in ledger.visits.values() if visit.voided_at is not None]
    wrong = [visit for visit in ended if not _has_cause(told, plan_of(visit.course), visit)]
    return len(ended), [f"visit {visit.id}: {visit.void_reason}" for visit in wrong]


def _has_cause(told: World, plan: Schedule, visit: LedgerVisit) -> bool:
    """The person withdrew, a later course began, or the date was lost and did not come back in time."""
    if visit.void_reason == "withdrawn":
        return told.persons[visit.subject].newest.withdrawn
    event = plan.events[visit.event]
    if visit.void_reason == "no-date" and visit.voided_at is not None:
        last = max(visit.voided_at, min(visit.closes_at, told.left_at(visit.subject)))
        anchors = [_anchor_on(told, plan, event, visit.course, at) for at in (visit.voided_at, last)]
        return event.anchor not in JUDGED or anchors == [None, None]
    return (
        visit.void_reason == "new-course" and _newer(told, told.courses[visit.course].newest, told.ends_at) is not None
    )


def _is_wanted(told: World, plan: Schedule, event: EventSchedule, course: str, as_of: datetime) -> bool:
    """Whether the event has its day by then, and ends before another course takes over."""
    anchor_on, treatment = _anchor_on(told, plan, event, course, as_of), told.courses[course].at(as_of)
    person = told.persons[treatment.subject].at(as_of) if treatment else None
    if anchor_on is None or treatment is None or person is None:
        return False
    newer = _newer(told, treatment, told.ends_at)
    closes_at = window(plan, event, anchor_on, person.zone)[1]
    return newer is None or closes_at <= _begins_at(newer, person.zone, as_of)


def _anchor_on(told: World, plan: Schedule, event: EventSchedule, course: str, at: datetime) -> date | None:
    treatment = told.courses[course].at(at)
    if treatment is None:
        return None
    given_on = treatment.given_on
    if event.anchor == "first-infusion":
        return given_on[0] if given_on else treatment.start_on
    if event.anchor == "last-infusion":
        return given_on[-1] if given_on and _is_over(told, plan, treatment, at) else None
    first_on = given_on[0] if given_on else None
    return treatment.start_on or first_on if event.anchor == "course-start" else None


def _is_over(told: World, plan: Schedule, treatment: ExpectedCourse, at: datetime) -> bool:
    person, given_on = told.persons[treatment.subject].at(at), treatment.given_on
    idle = person is not None and (local(at, person.zone).date() - given_on[-1]).days >= plan.idle_days
    complete = len(given_on) >= treatment.planned or treatment.ended_on is not None
    return idle or complete or _newer(told, treatment, at) is not None


def _newer(told: World, treatment: ExpectedCourse, at: datetime) -> ExpectedCourse | None:
    """The person's next course, if it was told of by then."""
    versions = (history.at(at) for history in told.courses_of[treatment.subject])
    found = [each for each in versions if each is not None and each.number > treatment.number]
    return min(found, key=lambda each: each.number, default=None)


def _begins_at(treatment: ExpectedCourse, zone: str, now: datetime) -> datetime:
    first_on = min(treatment.given_on, default=treatment.start_on)
    return now if first_on is None else moment(first_on, time.min, zone)
