"""Checks that visits exist, have the right dates and were voided only with a cause, given the recorded courses."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from pro_tracker.ledger_check.anchor_dates import CHECKED_ANCHORS, CourseAnchors
from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.ledger_snapshot import DIED, LedgerVisit
from pro_tracker.ledger_check.recorded_state import CourseState, PatientState, Timeline
from pro_tracker.ledger_check.schedule import ScheduleEvent
from pro_tracker.ledger_check.send_rules import DAY, visit_window

Window = tuple[datetime, datetime]  # opens, closes


@dataclass(frozen=True, slots=True)
class VisitDates:
    """The anchor date of a visit and its window (opens, closes). Both are None without an anchor date."""

    anchor_on: date | None
    window: Window | None

    def __str__(self) -> str:
        if self.anchor_on is None or self.window is None:
            return "without a date"
        opens_at, closes_at = self.window
        return f"anchored to {self.anchor_on}, open from {opens_at:%Y-%m-%d %H:%M} to {closes_at:%Y-%m-%d %H:%M} UTC"


def check_visit_dates(context: CheckContext) -> CheckResult:
    """Finds visits whose anchor date and window do not follow from the course.

    A visit follows changes of its course until its patient was notified of it or began to answer, or until the course
    moved to another protocol version while the visit was open or over.
    """
    examined = 0
    findings: list[str] = []
    for visit in context.ledger.visits.values():
        expected = _expected_dates(context, visit)
        if expected is None:
            continue
        examined += 1
        actual = VisitDates(visit.anchor_on, (visit.opens_at, visit.closes_at))
        if actual != expected:
            findings.append(f"visit {visit.id} is {actual}, expected {expected}")
    return CheckResult("visit on the wrong dates", examined, findings)


def _expected_dates(context: CheckContext, visit: LedgerVisit) -> VisitDates | None:
    """Returns the dates that follow from the course, or None when the log does not determine them."""
    fixed_at = _fixed_at(context, visit)
    anchors = _anchors_of(context, visit)
    event = anchors.schedule.events[visit.event]
    patient = context.recorded.patients[visit.subject].at(fixed_at)
    if patient is None or event.anchor not in CHECKED_ANCHORS:
        return None
    anchor_on = anchors.anchor_of(event, visit.anchor_on, fixed_at)
    if anchor_on is None:
        # Only a patient who was notified makes a lost anchor date a finding: other visits may be voided later.
        return None if visit.notified_at is None else VisitDates(None, None)
    window = visit_window(anchors.schedule, event, anchor_on=anchor_on, zone=patient.time_zone)
    return VisitDates(anchor_on, _as_asked(context, visit, event, window))


def _as_asked(context: CheckContext, visit: LedgerVisit, event: ScheduleEvent, window: Window) -> Window:
    """Returns the window, cut off by the start of treatment, whatever the patient was notified of.

    A visit with answers keeps the window that it had: it may be cut off by an infusion that was corrected since.
    """
    if not event.before_treatment:
        return window
    course = context.recorded.courses[visit.course]
    if visit.is_unanswered:
        return _until(window, min(course.latest.infusions.values(), default=window[1]))
    return _until(window, visit.closes_at) if visit.closes_at in _known_starts(course) else window


def _known_starts(course: Timeline[CourseState]) -> set[datetime]:
    """Returns the start of every infusion that the course had at any time."""
    starts: set[datetime] = set()
    for state in course.versions:
        starts.update(state.infusions.values())
    return starts


def _until(window: Window, end_at: datetime) -> Window:
    opens_at, closes_at = window
    return min(opens_at, end_at), min(closes_at, end_at)


def _fixed_at(context: CheckContext, visit: LedgerVisit) -> datetime:
    """Returns from when on the visit no longer follows changes of its course.

    One that had opened stays with the protocol version that its course leaves, and with the dates of that moment.
    """
    ended_at = context.recorded.participation_ended_at(visit.subject)
    times = [time for time in (visit.notified_at, visit.started_at, ended_at) if time is not None]
    if visit.protocol != context.ledger.protocols[visit.course]:
        times += _moves_since(context, visit)
    return min(times)


def _moves_since(context: CheckContext, visit: LedgerVisit) -> list[datetime]:
    """Returns when the course moved to another protocol version, from the opening of the visit on."""
    moves = context.recorded.protocol_moves[visit.course]
    moved_at = [move.at for move in moves]
    return [at for at in moved_at if at >= visit.opens_at]


def check_missing_visits(context: CheckContext) -> CheckResult:
    """Finds visits that a course requires and that do not exist.

    Considers the state one day before the end of the log, the withdrawal or the death, because a nightly job plans
    what follows from elapsed time.
    """
    visits = context.ledger.visits.values()
    once = {(visit.course, visit.event) for visit in visits}
    each_day = {(visit.course, visit.event, visit.anchor_on) for visit in visits}
    examined = 0
    findings: list[str] = []
    for course, event, anchor_on in _required_visits(context):
        examined += 1
        is_repeated = event.anchor == "each-infusion"
        exists = (course, event.code, anchor_on) in each_day if is_repeated else (course, event.code) in once
        if not exists:
            findings.append(f"course {course}, {event.code}")
    return CheckResult("visit not planned", examined, findings)


def _required_visits(context: CheckContext) -> Iterator[tuple[str, ScheduleEvent, date]]:
    """Yields course id, event and anchor date."""
    for course, timeline in context.recorded.courses.items():
        anchors = CourseAnchors(context.recorded, context.schedule_of(course), course)
        as_of = context.recorded.participation_ended_at(timeline.latest.subject) - DAY
        for event in anchors.schedule.events.values():
            for anchor_on in anchors.required_dates(event, as_of):
                yield course, event, anchor_on


def check_voided_visits(context: CheckContext) -> CheckResult:
    """Finds visits that were voided although the log contains no cause."""
    examined = 0
    findings: list[str] = []
    for visit in context.ledger.visits.values():
        if visit.voided_at is None:
            continue
        examined += 1
        if not _has_cause(context, visit):
            findings.append(f"visit {visit.id}: {visit.void_reason}")
    return CheckResult("visit voided without cause", examined, findings)


def _has_cause(context: CheckContext, visit: LedgerVisit) -> bool:
    """Returns whether the patient withdrew, died or was merged, a later course began, or the anchor date is lost."""
    recorded = context.recorded
    if visit.void_reason == "no-date" and visit.voided_at is not None:
        return _has_lost_anchor(context, visit, visit.voided_at)
    if visit.void_reason == "new-course":
        course = recorded.courses[visit.course].latest
        return _anchors_of(context, visit).next_course(course, recorded.ends_at) is not None
    return _is_of_patient(recorded.patients[visit.subject], visit)


def _is_of_patient(patient: Timeline[PatientState], visit: LedgerVisit) -> bool:
    """Returns whether the patient withdrew, died or was merged into another record.

    The visit has the reason "clinic" if a death was reverted after its time.
    """
    causes = {
        "withdrawn": patient.latest.withdrawn,
        "duplicate": patient.latest.merged,
        DIED: patient.latest.died,
        "clinic": not patient.latest.died and any(version.died for version in patient.versions),
    }
    return causes.get(visit.void_reason or "", False)


def _has_lost_anchor(context: CheckContext, visit: LedgerVisit, voided_at: datetime) -> bool:
    """Returns whether there was no anchor date when the visit was voided, and none before it would have closed.

    The same reason ends a visit whose event the protocol that its course moved to does not have.
    """
    if visit.event not in context.schedule_of(visit.course).events:
        return True
    anchors = _anchors_of(context, visit)
    event = anchors.schedule.events[visit.event]
    if event.anchor not in CHECKED_ANCHORS:
        return True
    ended_at = min(visit.closes_at, context.recorded.participation_ended_at(visit.subject))
    last_chance_at = max(voided_at, ended_at)
    dates = [anchors.anchor_of(event, visit.anchor_on, at) for at in (voided_at, last_chance_at)]
    return dates == [None, None]


def _anchors_of(context: CheckContext, visit: LedgerVisit) -> CourseAnchors:
    return CourseAnchors(context.recorded, context.schedule_of_visit(visit), visit.course)
