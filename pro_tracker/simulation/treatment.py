"""The courses of made-up people as staff write them down: on the day, days late, wrongly and corrected. An edge."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial

from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import course_plans, courses, infusion_corrections
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.life import CourseScript, Life, Trouble
from pro_tracker.simulation.telling import Tell

STAFF = Actor(ActorKind.COMMAND, "simulate")
MORNING, EVENING, NIGHT = time(9, 30), time(17, 30), time(18, 0)  # local
AHEAD = timedelta(days=3)  # a repeat course is entered so long before it begins


@dataclass
class SimulatedTreatment:
    """Everybody's courses: what is written down, and when."""

    session: Session
    calendar: Calendar
    protocol: str
    counts: Counter[str]
    tell: Tell

    def expect(self, life: Life, subject: Subject) -> None:
        """Put the courses of somebody who was just enrolled on the calendar; the first one is planned already."""
        self._tell_course(subject.id, courses.current_course(self.session, subject))
        first, *later = life.courses
        self._script(life, subject.id, first)
        for script in later:
            self._at(life, script.start_on - AHEAD, MORNING, partial(self._next_course, life, subject.id, script))

    def move_plan(self, subject: Subject, trouble: Trouble) -> bool:
        """Another first day; the infusions come when they come."""
        course = courses.current_course(self.session, subject)
        if course is None or course.planned_start_on is None or course.ended_on is not None:
            return False
        course_plans.change_plan(
            self.session,
            STAFF,
            course,
            planned_start_on=course.planned_start_on + timedelta(days=int(trouble.value or 0)),
            planned_infusions=course.planned_infusions,
            now=self.calendar.now,
        )
        self._tell_course(subject.id, course)
        return True

    def correct(self, subject: Subject, trouble: Trouble) -> bool:
        """One infusion was on another day, or was never given. What the service refuses stays as it was."""
        course = courses.current_course(self.session, subject)
        if course is None or not course.infusions:
            return False
        days = int(trouble.value or 0)
        infusion = course.infusions[-1 if days >= 0 else 0]
        try:
            with self.session.begin_nested():
                self._correct(subject, infusion, days)
        except InvalidInput:
            return False
        return True

    def _correct(self, subject: Subject, infusion: Infusion, days: int) -> None:
        now, reason = self.calendar.now, "written down wrongly"
        if days == 0:
            infusion_corrections.remove(self.session, STAFF, infusion, reason=reason, now=now)
        else:
            known = infusion_corrections.facts_of(infusion)
            facts = replace(known, given_on=known.given_on + timedelta(days=days))
            put = infusion_corrections.correct(self.session, STAFF, infusion, facts, reason=reason, now=now)
            self._tell_infusion(subject.id, put)
        self.tell("not-infused", subject=subject.id, course=infusion.course_id, infusion=infusion.id)

    def _script(self, life: Life, subject_id: uuid.UUID, script: CourseScript) -> None:
        late = script.days_late or (0,) * len(script.infusions)
        for facts, days in zip(script.infusions, late, strict=True):
            on = facts.given_on + timedelta(days=days)
            self._at(life, on, EVENING, partial(self._infuse, subject_id, facts))
        if script.end_reason is not None:
            last_on = script.infusions[-1].given_on
            self._at(life, last_on, NIGHT, partial(self._end_course, subject_id, script.end_reason))

    def _infuse(self, subject_id: uuid.UUID, facts: courses.InfusionFacts) -> None:
        course = self._course_of(subject_id)
        if course is None:
            return
        try:
            with self.session.begin_nested():
                infusion = courses.record_infusion(self.session, STAFF, course, facts, now=self.calendar.now)
        except InvalidInput:
            self.counts["infusions refused"] += 1
            return
        self._tell_infusion(subject_id, infusion)
        self.counts["infusions"] += 1

    def _end_course(self, subject_id: uuid.UUID, reason: str) -> None:
        course = self._course_of(subject_id)
        if course is None:
            return
        now = self.calendar.now
        today = local_date(now, self.session.get_one(Subject, subject_id).time_zone)
        courses.end_course(self.session, STAFF, course, ended_on=today, reason=reason, now=now)
        self.tell("course-ended", subject=subject_id, course=course.id, on=today)
        self.counts["courses ended early"] += 1

    def _next_course(self, life: Life, subject_id: uuid.UUID, script: CourseScript) -> None:
        subject = self.session.get_one(Subject, subject_id)
        if subject.withdrawn_at is not None:
            return
        protocol, now = protocol_catalog.protocol(self.protocol), self.calendar.now
        course = courses.start_course(self.session, subject, protocol, planned_start_on=script.start_on, now=now)
        self._tell_course(subject_id, course)
        self._script(life, subject_id, script)
        self.counts["second courses"] += 1

    def _course_of(self, subject_id: uuid.UUID) -> Course | None:
        """The newest course of somebody who has not withdrawn."""
        subject = self.session.get_one(Subject, subject_id)
        return courses.current_course(self.session, subject) if subject.withdrawn_at is None else None

    def _at(self, life: Life, on: date, at: time, act: Callable[[], None]) -> None:
        self.calendar.add(moment(on, at, life.facts.time_zone), act)

    def _tell_course(self, subject_id: uuid.UUID, course: Course | None) -> None:
        assert course is not None
        plan = {"number": course.number, "start_on": course.planned_start_on, "planned": course.planned_infusions}
        self.tell("course", subject=subject_id, course=course.id, **plan)

    def _tell_infusion(self, subject_id: uuid.UUID, infusion: Infusion) -> None:
        begun = datetime.combine(infusion.given_on, infusion.started_at_local or time.min)
        self.tell("infused", subject=subject_id, course=infusion.course_id, infusion=infusion.id, **{"from": begun})
