"""Lives a cohort through the real services under a simulated clock. An edge: it owns the clock and commits."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services import calls, courses, enrolment, outbox, protocols, visits
from pro_tracker.services.audit import Actor
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.figures import Figures
from pro_tracker.simulation.life import CourseScript, Life
from pro_tracker.simulation.patient import Patients

STAFF = Actor("command", "simulate")
LEASE = timedelta(minutes=2)
BATCH = 200  # messages claimed at once
NIGHT = time(3, 0)  # UTC: the service's daily work, and the staff's look at the call list
MORNING, EVENING = time(9, 30), time(17, 30)  # local: enrolment; when the day's infusion is written down


@dataclass
class Cohort:
    """A running simulation: its calendar, its people and what was counted."""

    session: Session
    figures: Figures
    calendar: Calendar
    patients: Patients
    until: datetime
    counts: Counter[str] = field(default_factory=Counter)

    def live(self, lives: list[Life], progress: Callable[[datetime], None]) -> None:
        """Let every life pass until the end. `progress` is told the simulated moment once a simulated day."""
        for life in lives:
            self._at(life, life.facts.enrolled_on, MORNING, partial(self._enrol, life))
        self._add_night(progress)
        while (next_at := self._next_at()) is not None and next_at <= self.until:
            if next_at == self.calendar.next_at:
                self.calendar.advance()
            else:
                self.calendar.move_to(next_at)
                self._send()
            self.session.commit()
            self.session.expunge_all()

    def _next_at(self) -> datetime | None:
        """When the next thing happens: one on the calendar, or a message that is due."""
        due_at = self.session.scalar(select(func.min(Message.send_at)).where(Message.state == "planned"))
        moments = [each for each in (self.calendar.next_at, due_at) if each is not None]
        return max(min(moments), self.calendar.now) if moments else None

    def _at(self, life: Life, day: object, at: time, act: Callable[[], None]) -> None:
        self.calendar.add(moment(day, at, life.facts.time_zone), act)  # type: ignore[arg-type]

    def _enrol(self, life: Life) -> None:
        now = self.calendar.now
        subject = enrolment.enrol(self.session, STAFF, life.facts, now=now)
        self.patients.enrolled(subject.id, life)
        self.counts["enrolled"] += 1
        first, *later = life.courses
        self._script(life, subject.id, first)
        for script in later:
            self._at(
                life, script.start_on - timedelta(days=3), MORNING, partial(self._next_course, life, subject.id, script)
            )
        if life.withdraws_after is not None:
            self.calendar.add(now + life.withdraws_after, partial(self._withdraw, subject.id))

    def _script(self, life: Life, subject_id: uuid.UUID, script: CourseScript) -> None:
        for facts in script.infusions:
            self._at(life, facts.given_on, EVENING, partial(self._infuse, subject_id, facts))
        if script.end_reason is not None:
            ends_on = script.infusions[-1].given_on
            self._at(life, ends_on, time(18, 0), partial(self._end_course, subject_id, script.end_reason))

    def _infuse(self, subject_id: uuid.UUID, facts: courses.InfusionFacts) -> None:
        subject = self._staying(subject_id)
        course = courses.current_course(self.session, subject) if subject else None
        if course is not None:
            courses.record_infusion(self.session, STAFF, course, facts, now=self.calendar.now)
            self.counts["infusions"] += 1

    def _end_course(self, subject_id: uuid.UUID, reason: str) -> None:
        subject = self._staying(subject_id)
        course = courses.current_course(self.session, subject) if subject else None
        if subject is not None and course is not None:
            now = self.calendar.now
            today = local_date(now, subject.time_zone)
            courses.end_course(self.session, STAFF, course, ended_on=today, reason=reason, now=now)
            self.counts["courses ended early"] += 1

    def _next_course(self, life: Life, subject_id: uuid.UUID, script: CourseScript) -> None:
        subject = self._staying(subject_id)
        if subject is not None:
            protocol = protocols.protocol(self.figures.protocol)
            now = self.calendar.now
            courses.start_course(self.session, subject, protocol, planned_start_on=script.start_on, now=now)
            self._script(life, subject_id, script)
            self.counts["second courses"] += 1

    def _withdraw(self, subject_id: uuid.UUID) -> None:
        subject = self.session.get_one(Subject, subject_id)
        enrolment.withdraw(self.session, STAFF, subject, "moved away", now=self.calendar.now)
        self.counts["withdrawn"] += 1

    def _staying(self, subject_id: uuid.UUID) -> Subject | None:
        subject = self.session.get_one(Subject, subject_id)
        return subject if subject.withdrawn_at is None else None

    def _send(self) -> None:
        """What the sweep and its tasks do each minute, for the messages due at this moment."""
        now = self.calendar.now
        claimed = outbox.claim_due(self.session, now=now, limit=BATCH, lease=LEASE)
        self.session.commit()
        for message_id in claimed:
            self.patients.receive(message_id, now=now)

    def _add_night(self, progress: Callable[[datetime], None]) -> None:
        now = self.calendar.now
        tonight = datetime.combine(now.date(), NIGHT, UTC)
        following = tonight if tonight > now else tonight + timedelta(days=1)
        self.calendar.add(following, partial(self._night, progress))

    def _night(self, progress: Callable[[datetime], None]) -> None:
        now = self.calendar.now
        visits.plan_idle(self.session, now=now)
        calls.open_due(self.session, now=now)
        self.patients.expect_calls(now=now)
        progress(now)
        self._add_night(progress)
