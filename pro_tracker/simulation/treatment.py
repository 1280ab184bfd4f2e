"""Records the courses of synthetic patients as staff do: on time, late, or wrongly and corrected. Does not commit."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial

from pro_tracker.domain.adverse_event_codes import AdverseEventOutcome
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import person
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import (
    adverse_events,
    course_plans,
    courses,
    infusion_corrections,
    infusion_findings,
    protocol_moves,
)
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import CourseEndFacts, CourseStartFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from pro_tracker.services.treatment.replaced_rows import RowCorrection
from pro_tracker.simulation.adverse_events import LaterEvent, draw_later_event, with_findings
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.missed_days import SimulatedMissedDays
from pro_tracker.simulation.other_treatments import SimulatedOtherTreatments
from pro_tracker.simulation.scenario import CourseScenario, PatientScenario

FOLLOW_UP_AFTER = timedelta(days=1)
MORNING, EVENING, NIGHT = time(9, 30), time(17, 30), time(18, 0)  # local
COURSE_ENTERED_BEFORE = timedelta(days=3)  # staff enter a repeat course this long before it begins


@dataclass
class SimulatedTreatment:
    """Schedules and records the courses of all patients."""

    context: SimulationContext
    protocol: str

    def __post_init__(self) -> None:
        self.missed_days = SimulatedMissedDays(self.context, self._record_course)
        self.other_treatments = SimulatedOtherTreatments(self.context)

    def schedule(self, scenario: PatientScenario, subject: Subject) -> None:
        """Schedules the courses of a patient who was just enrolled. Enrolment has planned the first one already."""
        self._record_course(subject.id, courses.current_course(self.context.session, subject))
        first, *later = scenario.courses
        self._schedule_course(scenario, subject.id, first)
        for course in later:
            start = partial(self._start_course, scenario, subject.id, course)
            self._schedule_local(scenario, course.start_on - COURSE_ENTERED_BEFORE, MORNING, action=start)

    def change_planned_start(self, subject: Subject, *, days: int) -> bool:
        """Shifts the planned start date, but no infusion. Returns False when the course has no plan or has ended."""
        course = courses.current_course(self.context.session, subject)
        if course is None or course.planned_start_on is None or course.ended_on is not None:
            return False
        start_on = course.planned_start_on + timedelta(days=days)
        plan = CoursePlanFacts(start_on, course.planned_infusions)
        course_plans.change_plan(self.context.session, STAFF, course, plan, now=self.context.now)
        self._record_course(subject.id, course)
        return True

    def move_to_newest_version(self, subject: Subject) -> bool:
        """Moves the newest course to the newest version of its protocol. Returns False for one that follows it."""
        course = courses.current_course(self.context.session, subject)
        if course is None:
            return False
        newest = protocol_catalog.protocol(course.protocol_code)
        if newest.version == course.protocol_version:
            return False
        facts = ProtocolMoveFacts(newest, "amendment")
        protocol_moves.move(self.context.session, STAFF, course, facts, now=self.context.now)
        self.context.record_event("protocol-moved", subject=subject.id, course=course.id)
        return True

    def correct_infusion(self, subject: Subject, *, days: int) -> bool:
        """Moves an infusion by a number of days, or removes one (0 days).

        Returns False when there is no infusion or the service rejects the correction.
        """
        course = courses.current_course(self.context.session, subject)
        if course is None or not course.infusions:
            return False
        # The first infusion moves to an earlier day and the last one to a later day, so that their order is preserved.
        infusion = course.infusions[-1 if days >= 0 else 0]
        try:
            with self.context.session.begin_nested():
                self._apply_correction(subject, infusion, days)
        except InvalidInput:
            return False
        return True

    def _apply_correction(self, subject: Subject, infusion: Infusion, days: int) -> None:
        if days == 0:
            self._remove(infusion)
        else:
            self._move(subject, infusion, days)
        self.context.record_event(
            "infusion-removed", subject=subject.id, course=infusion.course_id, infusion=infusion.id
        )

    def _remove(self, infusion: Infusion) -> None:
        session, now = self.context.session, self.context.now
        infusion_corrections.remove(session, STAFF, infusion, reason="entered by mistake", now=now)

    def _move(self, subject: Subject, infusion: Infusion, days: int) -> None:
        session, now = self.context.session, self.context.now
        recorded = infusion_findings.facts_of(infusion)
        facts = replace(recorded, given_on=recorded.given_on + timedelta(days=days))
        correction = InfusionCorrectionFacts(facts, reason="wrong date")
        corrected = infusion_corrections.correct(session, STAFF, infusion, correction, now=now)
        self._record_infusion(subject.id, corrected)

    def _schedule_course(self, scenario: PatientScenario, subject_id: uuid.UUID, course: CourseScenario) -> None:
        self.missed_days.schedule(scenario, subject_id, course)
        self.other_treatments.schedule(scenario, subject_id, course)
        delays = course.entry_delays or (0,) * len(course.infusions)
        for facts, days in zip(course.infusions, delays, strict=True):
            entered_on = facts.given_on + timedelta(days=days)
            add_infusion = partial(self._add_infusion, scenario, subject_id, facts)
            self._schedule_local(scenario, entered_on, EVENING, action=add_infusion)
        if course.infusions:
            self._schedule_later_event(scenario, subject_id, course.infusions[-1].given_on)
        if course.end_reason is not None:
            end_course = partial(self._end_course, subject_id, course.end_reason)
            self._schedule_local(scenario, course.infusions[-1].given_on, NIGHT, action=end_course)

    def _schedule_local(
        self, scenario: PatientScenario, on: date, local_time: time, *, action: Callable[[], None]
    ) -> None:
        at = moment(on, local_time, scenario.facts.time_zone)
        self.context.queue.schedule(at, action)

    def _schedule_later_event(self, scenario: PatientScenario, subject_id: uuid.UUID, last_on: date) -> None:
        drawn = draw_later_event(last_on, f"{scenario.number}:{last_on}")
        if drawn is not None:
            report = partial(self._report_event, scenario, subject_id, drawn)
            self._schedule_local(scenario, drawn.reported_on, NIGHT, action=report)

    def _report_event(self, scenario: PatientScenario, subject_id: uuid.UUID, drawn: LaterEvent) -> None:
        """Records what the patient reports; a week later staff correct its outcome, or void it."""
        session = self.context.session
        if self._active_course(subject_id) is None:
            return
        subject = person.kept(session, subject_id)
        event = self._record_event(subject, drawn.facts)
        if event is None:
            return
        follow_up = partial(self._follow_up, event.id, drawn)
        self._schedule_local(scenario, drawn.over_on + FOLLOW_UP_AFTER, NIGHT, action=follow_up)

    def _record_event(self, subject: Subject, facts: AdverseEventFacts) -> AdverseEvent | None:
        """Returns the recorded event; None if its infusion was removed, so that it has no treatment."""
        session, now = self.context.session, self.context.now
        try:
            with session.begin_nested():
                event = adverse_events.record(session, STAFF, subject, facts, now=now)
        except InvalidInput:
            return None
        self.context.counts["later adverse events"] += 1
        return event

    def _follow_up(self, event_id: int, drawn: LaterEvent) -> None:
        session, now = self.context.session, self.context.now
        event = session.get_one(AdverseEvent, event_id)
        if drawn.is_error:
            adverse_events.void(session, STAFF, event, reason="of another patient", now=now)
            return
        over = replace(drawn.facts, outcome=AdverseEventOutcome.RECOVERED, ended_on=drawn.over_on)
        correction = RowCorrection(over, "called back: it is over")
        adverse_events.correct(session, STAFF, event, correction, now=now)

    def _add_infusion(self, scenario: PatientScenario, subject_id: uuid.UUID, facts: courses.InfusionFacts) -> None:
        course = self._active_course(subject_id)
        if course is None:
            return
        session = self.context.session
        facts = _as_asked(scenario, course, facts)
        try:
            with session.begin_nested():
                infusion = courses.record_infusion(session, STAFF, course, facts, now=self.context.now)
        except InvalidInput:
            self.context.counts["infusions rejected"] += 1
            return
        self._record_infusion(subject_id, infusion)
        self.context.counts["infusions"] += 1

    def _end_course(self, subject_id: uuid.UUID, reason: str) -> None:
        course = self._active_course(subject_id)
        if course is None:
            return
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        today = local_date(now, subject.time_zone)
        end = CourseEndFacts(ended_on=today, reason=reason)
        courses.end_course(session, STAFF, course, end, now=now)
        self.context.record_event("course-ended", subject=subject_id, course=course.id, on=today)
        self.context.counts["courses ended early"] += 1

    def _start_course(self, scenario: PatientScenario, subject_id: uuid.UUID, course: CourseScenario) -> None:
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        if not subject.takes_part:
            return
        code, _, _version = scenario.protocol.partition("@")
        protocol = protocol_catalog.protocol(code or self.protocol)
        facts = CourseStartFacts(protocol, course.start_on)
        started = courses.start_course(session, subject, facts, now=now)
        self._record_course(subject_id, started)
        self._schedule_course(scenario, subject_id, course)
        self.context.counts["second courses"] += 1

    def _active_course(self, subject_id: uuid.UUID) -> Course | None:
        """Returns the newest course, or None when the patient has withdrawn or died."""
        subject = self.context.session.get_one(Subject, subject_id)
        if not subject.takes_part:
            return None
        return courses.current_course(self.context.session, subject)

    def _record_course(self, subject_id: uuid.UUID, course: Course | None) -> None:
        assert course is not None
        self.context.record_event(
            "course",
            subject=subject_id,
            course=course.id,
            number=course.number,
            start_on=course.planned_start_on,
            planned=course.planned_infusions,
        )

    def _record_infusion(self, subject_id: uuid.UUID, infusion: Infusion) -> None:
        local_time = infusion.started_at_local or time.min
        subject = self.context.session.get_one(Subject, subject_id)
        data = {
            "course": infusion.course_id,
            "infusion": infusion.id,
            "from": datetime.combine(infusion.given_on, local_time),  # a keyword of Python, so it needs a dict
            "zone": subject.site.time_zone,
        }
        self.context.record_event("infusion-recorded", subject=subject_id, **data)


def _as_asked(scenario: PatientScenario, course: Course, facts: courses.InfusionFacts) -> courses.InfusionFacts:
    plan = protocol_catalog.bound_to(course).treatment
    return with_findings(facts, plan, f"{scenario.number}:{facts.given_on}")
