"""Lets troubles happen through the services that staff and providers use, and tells the outside record. An edge."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import time, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts import contacts, preferences
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.treatment import pauses
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.life import Life, Trouble
from pro_tracker.simulation.postbox import Letter
from pro_tracker.simulation.telling import Tell
from pro_tracker.simulation.treatment import STAFF, SimulatedTreatment

BOUNCES_AFTER = timedelta(minutes=3)


@dataclass
class Mishaps:
    """The troubles of everybody enrolled so far."""

    session: Session
    calendar: Calendar
    treatment: SimulatedTreatment
    counts: Counter[str]
    tell: Tell

    def expect(self, life: Life, subject_id: uuid.UUID) -> None:
        """Put a person's troubles on the calendar."""
        for trouble in life.troubles:
            self.calendar.add(self.calendar.now + trouble.after, partial(self._happen, life, subject_id, trouble))

    def bounce(self, letter: Letter) -> None:
        """Mail to a dead address was accepted: minutes later its mailbox refuses it, and somebody says so twice."""
        for times in (1, 2):
            self.calendar.add(self.calendar.now + times * BOUNCES_AFTER, partial(self._bounced, letter))

    def _happen(self, life: Life, subject_id: uuid.UUID, trouble: Trouble) -> None:
        subject = self.session.get_one(Subject, subject_id)
        counted, act = HAPPEN[trouble.what]
        if subject.withdrawn_at is None and act(self, life, subject, trouble):
            self.counts[counted] += 1

    def _move(self, _life: Life, subject: Subject, trouble: Trouble) -> bool:
        return self._prefer(subject, replace(preferences.for_subject(subject), time_zone=str(trouble.value)))

    def _wish(self, _life: Life, subject: Subject, trouble: Trouble) -> bool:
        """The other channel, and an hour of their own."""
        hour, preferred = time.fromisoformat(str(trouble.value)), subject.preferred_channel
        others = (each.channel for each in subject.contacts if each.channel != preferred)
        channel = next(others, preferred)
        wanted = replace(preferences.for_subject(subject), preferred_channel=channel, message_time=hour)
        return self._prefer(subject, wanted)

    def _prefer(self, subject: Subject, wanted: preferences.Preferences) -> bool:
        preferences.change(self.session, subject, wanted, now=self.calendar.now, actor=STAFF)
        self._tell(subject, "zone", zone=wanted.time_zone)
        self._tell(subject, "wishes", channel=wanted.preferred_channel, hour=wanted.message_time)
        return True

    def _pause(self, _life: Life, subject: Subject, trouble: Trouble) -> bool:
        today = local_date(self.calendar.now, subject.time_zone)
        until_on = None if trouble.value is None else today + timedelta(days=int(trouble.value))
        facts = pauses.PauseFacts(today, until_on, "in hospital")
        pause = pauses.begin(self.session, STAFF, subject, facts, now=self.calendar.now)
        self._tell(subject, "paused", pause=pause.id, from_on=today, until_on=until_on)
        return True

    def _resume(self, _life: Life, subject: Subject, _trouble: Trouble) -> bool:
        """Home again: yesterday was the last day."""
        open_ones = [each for each in pauses.for_subject(self.session, subject.id) if each.until_on is None]
        if not open_ones:
            return False
        pause, now = open_ones[0], self.calendar.now
        last = max(pause.from_on, local_date(now, subject.time_zone) - timedelta(days=1))
        pauses.change_end(self.session, STAFF, pause, until_on=last, reason="home again", now=now)
        self._tell(subject, "paused", pause=pause.id, from_on=pause.from_on, until_on=last)
        return True

    def _dead(self, life: Life, subject: Subject, _trouble: Trouble) -> bool:
        """The mailbox is gone; the service learns of it by the next mail."""
        address = self._address(subject, Channel.EMAIL)
        life.dead |= {address} if address else set()
        return bool(address)

    def _stop(self, _life: Life, subject: Subject, _trouble: Trouble) -> bool:
        return self._text_back(subject, ReportEvent.STOP, "closed")

    def _start(self, _life: Life, subject: Subject, _trouble: Trouble) -> bool:
        """Opens what they stopped themselves, and nothing that staff closed."""
        contact = contacts.of_subject(self.session, subject.id, Channel.SMS)
        if contact is None or contact.state != ContactState.STOPPED:
            return False
        return self._text_back(subject, ReportEvent.START, "opened")

    def _wrong_number(self, _life: Life, subject: Subject, _trouble: Trouble) -> bool:
        contact = contacts.of_subject(self.session, subject.id, Channel.SMS)
        if contact is None or contact.state != ContactState.ACTIVE:
            return False
        contacts.close(self.session, contact, ContactState.WRONG_NUMBER, now=self.calendar.now, actor=STAFF)
        self._tell(subject, "closed", channel=Channel.SMS)
        return True

    def _new_email(self, life: Life, subject: Subject, _trouble: Trouble) -> bool:
        return self._correct_address(subject, Channel.EMAIL, f"new{life.number}@patients.example")

    def _new_mobile(self, life: Life, subject: Subject, _trouble: Trouble) -> bool:
        return self._correct_address(subject, Channel.SMS, f"+1440555{life.number % 10_000:04}")

    def _correct_address(self, subject: Subject, channel: Channel, address: str) -> bool:
        """Staff get the right one, where there was one."""
        if self._address(subject, channel) is None:
            return False
        contacts.correct(self.session, subject, {channel: address}, now=self.calendar.now, actor=STAFF)
        self._tell(subject, "address", channel=channel, to=address)
        return True

    def _text_back(self, subject: Subject, word: ReportEvent, told: str) -> bool:
        """One word by text message, which the provider hands on."""
        address = self._address(subject, Channel.SMS)
        if address is None:
            return False
        self._report(Channel.SMS, word, address=address)
        self._tell(subject, told, channel=Channel.SMS)
        return True

    def deliver(self, letter: Letter, after: timedelta) -> None:
        """The provider reports that the letter was delivered, and says so twice."""
        for times in (1, 2):
            self.calendar.add(self.calendar.now + times * after, partial(self._about, letter, ReportEvent.DELIVERED))

    def _bounced(self, letter: Letter) -> None:
        if self._about(letter, ReportEvent.HARD_BOUNCE):
            rows = select(Message.subject_id).where(Message.key == uuid.UUID(letter.key))
            subject_id = self.session.scalars(rows).one()
            self.counts["bounces"] += 1
            self.tell("bounced", subject=subject_id, key=letter.key, channel=letter.channel, to=letter.to)

    def _about(self, letter: Letter, event: ReportEvent) -> bool:
        """What the provider reports of a letter; whether it is news."""
        report = ReportedEvent(
            provider="simulation",
            event_id=f"{event}-{letter.key}",
            channel=letter.channel,
            event=event,
            at=self.calendar.now,
            message_key=uuid.UUID(letter.key),
        )
        return delivery_reports.take(self.session, report, now=self.calendar.now)

    def _report(self, channel: Channel, event: ReportEvent, *, address: str) -> None:
        now = self.calendar.now
        event_id = f"{event}-{address}-{now.isoformat()}"
        report = ReportedEvent(
            provider="simulation", event_id=event_id, channel=channel, event=event, at=now, address=address
        )
        delivery_reports.take(self.session, report, now=now)

    def _address(self, subject: Subject, channel: Channel) -> str | None:
        return next((each.address for each in subject.contacts if each.channel == channel), None)

    def _tell(self, subject: Subject, what: str, **facts: object) -> None:
        self.tell(what, subject=subject.id, **facts)


Act = Callable[[Mishaps, Life, Subject, Trouble], bool]  # whether it happened
HAPPEN: Mapping[str, tuple[str, Act]] = {  # how it is counted, and what it is
    "move": ("moves to another zone", Mishaps._move),
    "wish": ("own hours", Mishaps._wish),
    "pause": ("pauses", Mishaps._pause),
    "resume": ("pauses ended by staff", Mishaps._resume),
    "dead": ("mailboxes gone", Mishaps._dead),
    "stop": ("STOP", Mishaps._stop),
    "start": ("START", Mishaps._start),
    "wrong-number": ("wrong numbers", Mishaps._wrong_number),
    "new-email": ("addresses corrected", Mishaps._new_email),
    "new-mobile": ("addresses corrected", Mishaps._new_mobile),
    "replan": ("planned starts moved", lambda each, _life, *who: each.treatment.move_plan(*who)),
    "correct": ("infusions corrected", lambda each, _life, *who: each.treatment.correct(*who)),
}
