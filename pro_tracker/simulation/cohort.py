"""Lives a cohort through the real services under a simulated clock. An edge: it owns the clock and commits."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.wall_time import moment
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.planning import idle_courses
from pro_tracker.services.sending import delivery_reports
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.life import Life
from pro_tracker.simulation.mishaps import Mishaps
from pro_tracker.simulation.patient import Patients
from pro_tracker.simulation.sending import Meanwhile, SimulatedSender
from pro_tracker.simulation.telling import Tell
from pro_tracker.simulation.treatment import MORNING, STAFF, SimulatedTreatment

LONG_AGO = datetime.min.replace(tzinfo=UTC)
EACH_MINUTE = timedelta(minutes=1)  # as often as the service looks for what is due
NIGHT = time(3, 0)  # UTC: the service's daily work, and the staff's look at the call list


@dataclass
class Cohort:
    """A running simulation: its calendar, its people and what was counted."""

    session: Session
    calendar: Calendar
    sender: SimulatedSender
    meanwhile: Meanwhile
    patients: Patients
    treatment: SimulatedTreatment
    mishaps: Mishaps
    counts: Counter[str]
    tell: Tell
    swept_at: datetime = LONG_AGO

    def live(self, lives: list[Life], until: datetime, progress: Callable[[datetime], None]) -> None:
        """Let every life pass until then. `progress` is told the simulated moment once a simulated day."""
        for life in lives:
            on = life.facts.enrolled_on or self.calendar.now.date()
            self.calendar.add(moment(on, MORNING, life.facts.time_zone), partial(self._enrol, life))
        self._add_night(progress)
        while (next_at := self._next_at()) is not None and next_at <= until:
            if next_at == self.calendar.next_at:
                self.calendar.advance()
            else:
                self.calendar.move_to(next_at)
                self._send()
            self.session.commit()
            self.session.expunge_all()

    def _next_at(self) -> datetime | None:
        """When the next thing happens: one on the calendar, or a message is due, or a claim's lease runs out."""
        due_at = select(func.min(Message.send_at)).where(Message.state == MessageState.PLANNED)
        lapses_at = select(func.min(Message.lease_until)).where(Message.state == MessageState.CLAIMED)
        waiting = self.session.execute(select(due_at.scalar_subquery(), lapses_at.scalar_subquery())).one()
        sweeps = [max(each, self.swept_at + EACH_MINUTE) for each in waiting if each is not None]
        moments = [*sweeps, *([self.calendar.next_at] if self.calendar.next_at is not None else [])]
        return max(min(moments), self.calendar.now) if moments else None

    def _enrol(self, life: Life) -> None:
        now = self.calendar.now
        subject = enrolment.enrol(self.session, STAFF, life.facts, now=now)
        self.patients.enrolled(subject.id, life)
        self.counts["enrolled"] += 1
        self._tell_enrolment(life, subject)
        self.treatment.expect(life, subject)
        self.mishaps.expect(life, subject.id)
        if life.withdraws_after is not None:
            self.calendar.add(now + life.withdraws_after, partial(self._withdraw, life, subject.id))

    def _tell_enrolment(self, life: Life, subject: Subject) -> None:
        facts = life.facts
        addresses = {channel: address for channel, address in facts.addresses.items() if address}
        preferred = enrolment.preferred_channel(facts)
        self.tell("enrolled", subject=subject.id, zone=facts.time_zone, preferred=preferred, addresses=addresses)

    def _withdraw(self, life: Life, subject_id: uuid.UUID) -> None:
        subject = self.session.get_one(Subject, subject_id)
        enrolment.withdraw(self.session, STAFF, subject, "moved away", now=self.calendar.now)
        self.tell("withdrew", subject=subject_id)
        self.counts["withdrawn"] += 1
        if life.returns_after is not None:
            self.calendar.add(self.calendar.now + life.returns_after, partial(self._return, subject_id))

    def _return(self, subject_id: uuid.UUID) -> None:
        subject = self.session.get_one(Subject, subject_id)
        withdrawals.revert(self.session, STAFF, subject, reason="a misunderstanding", now=self.calendar.now)
        self.tell("returned", subject=subject_id)
        self.counts["withdrawals taken back"] += 1

    def _send(self) -> None:
        """What the sweep and its tasks do each minute, for the messages due at this moment."""
        self.swept_at = now = self.calendar.now
        for letter in self.sender.send_due(now, self.meanwhile):
            self.patients.read(letter, now=now)

    def _add_night(self, progress: Callable[[datetime], None]) -> None:
        now = self.calendar.now
        tonight = datetime.combine(now.date(), NIGHT, UTC)
        following = tonight if tonight > now else tonight + timedelta(days=1)
        self.calendar.add(following, partial(self._night, progress))

    def _night(self, progress: Callable[[datetime], None]) -> None:
        now = self.calendar.now
        idle_courses.plan_idle(self.session, now=now)
        calls.open_due(self.session, now=now)
        unanswered.record_missed(self.session, now=now)
        for receipt_id in delivery_reports.waiting(self.session, now=now):
            delivery_reports.process(self.session, receipt_id, now=now)
            self.session.commit()
        self.patients.expect_calls(now=now)
        progress(now)
        self._add_night(progress)
