"""Derives the anchor dates of visits from the recorded course and infusions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from pro_tracker.ledger_check.recorded_state import CourseState, RecordedState
from pro_tracker.ledger_check.schedule import ProtocolSchedule, ScheduleEvent
from pro_tracker.ledger_check.send_rules import to_local, to_utc, visit_window

# The anchors that the log determines. Staff enter the other ones.
CHECKED_ANCHORS = ("course-start", "first-infusion", "each-infusion", "last-infusion")


@dataclass(frozen=True)
class CourseAnchors:
    """The anchor dates of one course."""

    recorded: RecordedState
    schedule: ProtocolSchedule
    course: str

    def anchor_dates(self, event: ScheduleEvent, at: datetime) -> Sequence[date]:
        """Returns the anchor dates of the event as known at a time: none, one, or each day with an infusion."""
        course = self.recorded.courses[self.course].at(at)
        if course is None or _never_took_place(course):
            return []
        dates = sorted(set(course.infusion_dates))
        if event.anchor == "each-infusion":
            return dates
        anchor_on = self._anchor_on(event, course, dates, at)
        return [] if anchor_on is None else [anchor_on]

    def _anchor_on(self, event: ScheduleEvent, course: CourseState, dates: Sequence[date], at: datetime) -> date | None:
        first_on = dates[0] if dates else None
        if event.anchor == "first-infusion":
            return first_on or course.start_on
        if event.anchor == "course-start":
            return course.start_on or first_on
        if event.anchor == "last-infusion" and self._is_over(course, at):
            return dates[-1]
        return None

    def anchor_of(self, event: ScheduleEvent, anchored_on: date, at: datetime) -> date | None:
        """Returns the anchor date that a visit anchored to `anchored_on` should have; None while there is none."""
        dates = self.anchor_dates(event, at)
        if event.anchor == "each-infusion":
            return anchored_on if anchored_on in dates else None
        return dates[0] if dates else None

    def required_dates(self, event: ScheduleEvent, at: datetime) -> Iterator[date]:
        """Yields the anchor dates at that time whose visits close before the next course begins.

        An optional visit is required on none: it is not planned once its window is over.
        """
        course = self.recorded.courses[self.course].at(at)
        patient = None if course is None else self.recorded.patients[course.subject].at(at)
        if course is None or patient is None or event.optional:
            return
        next_course = self.next_course(course, self.recorded.ends_at)
        for anchor_on in self.anchor_dates(event, at):
            _, closes_at = visit_window(self.schedule, event, anchor_on=anchor_on, zone=patient.time_zone)
            if next_course is None or closes_at <= _starts_at(next_course, patient.time_zone, default=at):
                yield anchor_on

    def next_course(self, course: CourseState, at: datetime) -> CourseState | None:
        """Returns the patient's next course if it was known at that time."""
        next_course: CourseState | None = None
        for timeline in self.recorded.courses_by_subject[course.subject]:
            candidate = timeline.at(at)
            if candidate is None or candidate.number <= course.number:
                continue
            if next_course is None or candidate.number < next_course.number:
                next_course = candidate
        return next_course

    def _is_over(self, course: CourseState, at: datetime) -> bool:
        """Returns whether the course has infusions, and is complete, ended, idle or followed by another course."""
        dates = course.infusion_dates
        if not dates:
            return False
        if len(dates) >= course.planned_infusions or course.ended_on is not None:
            return True
        return self._is_idle(course, at) or self.next_course(course, at) is not None

    def _is_idle(self, course: CourseState, at: datetime) -> bool:
        patient = self.recorded.patients[course.subject].at(at)
        if patient is None:
            return False
        today = to_local(at, patient.time_zone).date()
        return (today - course.infusion_dates[-1]).days >= self.schedule.idle_days


def _never_took_place(course: CourseState) -> bool:
    """Returns whether the course ended without an infusion, so that nothing is asked about it."""
    return course.ended_on is not None and not course.infusion_dates


def _starts_at(course: CourseState, zone: str, *, default: datetime) -> datetime:
    first_on = min(course.infusion_dates, default=course.start_on)
    if first_on is None:
        return default
    return to_utc(first_on, time.min, zone)
