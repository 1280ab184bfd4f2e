"""Staff say that a synthetic patient got no infusion on the day planned, and void what was a mistake."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial

from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.wall_time import moment
from pro_tracker.models.course import Course
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.treatment import courses, missed_infusions
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.scenario import CourseScenario, MissedDayScenario, PatientScenario

MORNING, NOON, NIGHT = time(10, 30), time(12, 0), time(18, 30)  # local
VOIDED_AT = time(16, 0)  # before the infusions of the day are entered
RecordCourse = Callable[[uuid.UUID, Course | None], None]


@dataclass
class SimulatedMissedDays:
    """The missed days of all courses. `record_course` reports the plan of a course to the event log."""

    context: SimulationContext
    record_course: RecordCourse

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID, course: CourseScenario) -> None:
        """Schedules what staff say of the missed day of a course, if it has one."""
        missed = course.missed
        if missed is None:
            return
        at = _moment(scenario, missed, _local_time(missed))
        self.context.queue.schedule(at, partial(self._record, scenario, subject_id, missed))

    def _record(self, scenario: PatientScenario, subject_id: uuid.UUID, missed: MissedDayScenario) -> None:
        """Records the day, if it is the one that the page names: the plan or the record may differ."""
        session, now = self.context.session, self.context.now
        course = self._open_course(subject_id)
        if course is None or not self._is_expected(course, missed):
            return
        row = missed_infusions.record(session, STAFF, course, missed.facts, now=now)
        self.record_course(subject_id, course)
        self.context.counts["missed days"] += 1
        if missed.is_error:
            at = _moment(scenario, missed, VOIDED_AT)
            self.context.queue.schedule(at, partial(self._void, subject_id, row.id))

    def _is_expected(self, course: Course, missed: MissedDayScenario) -> bool:
        expected_on = missed_infusions.expected_on(self.context.session, course, now=self.context.now)
        return expected_on == missed.facts.planned_on

    def _void(self, subject_id: uuid.UUID, missed_id: int) -> None:
        session, now = self.context.session, self.context.now
        row = session.get_one(MissedInfusion, missed_id)
        if row.voided_at is not None:
            return
        missed_infusions.remove(session, STAFF, row, reason="another patient", now=now)
        self.record_course(subject_id, session.get_one(Course, row.course_id))
        self.context.counts["missed days voided"] += 1

    def _open_course(self, subject_id: uuid.UUID) -> Course | None:
        """Returns the newest course; None when it has ended, or the patient has withdrawn or died."""
        subject = self.context.session.get_one(Subject, subject_id)
        course = courses.current_course(self.context.session, subject)
        if course is None or course.ended_on is not None or not subject.takes_part:
            return None
        return course


def _moment(scenario: PatientScenario, missed: MissedDayScenario, local_time: time) -> datetime:
    return moment(missed.facts.planned_on, local_time, scenario.facts.time_zone)


def _local_time(missed: MissedDayScenario) -> time:
    """Returns when staff learn of it: of a day that is moved in the morning, of a patient who did not come at night."""
    if missed.is_error:
        return NOON
    return MORNING if missed.facts.kind is MissedInfusionKind.RESCHEDULED else NIGHT
