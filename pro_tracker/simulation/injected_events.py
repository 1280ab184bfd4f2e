"""Runs injected events through the services that staff and providers use, and records them in the event log."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import time, timedelta
from functools import partial

from pro_tracker.domain.channels import PREFERABLE_CHANNELS, Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts import contacts, preferences
from pro_tracker.services.enrolment import identity_corrections, transfers
from pro_tracker.services.enrolment.identity_corrections import IdentityCorrection
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseEndFacts
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.delivery_reports import DeliveryReports
from pro_tracker.simulation.scenario import InjectedEvent, PatientScenario
from pro_tracker.simulation.second_records import SecondRecords
from pro_tracker.simulation.treatment import SimulatedTreatment


@dataclass(frozen=True)
class Occurrence:
    """An injected event together with the patient whom it concerns."""

    event: InjectedEvent
    scenario: PatientScenario
    subject: Subject


@dataclass
class EventInjector:
    """Schedules and runs the injected events of all patients."""

    context: SimulationContext
    treatment: SimulatedTreatment
    reports: DeliveryReports
    second_records: SecondRecords

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Schedules the events of a patient who was just enrolled."""
        for event in scenario.injected_events:
            run = partial(self._run, scenario, subject_id, event)
            self.context.queue.schedule(self.context.now + event.after, run)

    def _run(self, scenario: PatientScenario, subject_id: uuid.UUID, event: InjectedEvent) -> None:
        """Runs the event unless the patient has withdrawn or died; counts it if it had an effect."""
        subject = self.context.session.get_one(Subject, subject_id)
        if not subject.takes_part or subject.merged_into_id is not None:
            return
        counted_as, handle = HANDLERS[event.kind]
        had_effect = handle(self, Occurrence(event, scenario, subject))
        if had_effect:
            self.context.counts[counted_as] += 1

    # Each handler returns whether the event had an effect.

    def change_time_zone(self, occurrence: Occurrence) -> bool:
        """Moves the patient to another time zone."""
        current = preferences.for_subject(occurrence.subject)
        changed = replace(current, time_zone=str(occurrence.event.value))
        return self._change_preferences(occurrence.subject, changed)

    def change_preferences(self, occurrence: Occurrence) -> bool:
        """Selects the other channel, if the patient has one, and a message time of the patient's own."""
        subject = occurrence.subject
        message_time = time.fromisoformat(str(occurrence.event.value))
        channel = _other_channel(subject)
        current = preferences.for_subject(subject)
        changed = replace(current, preferred_channel=channel, message_time=message_time)
        return self._change_preferences(subject, changed)

    def _change_preferences(self, subject: Subject, changed: preferences.Preferences) -> bool:
        preferences.change(self.context.session, subject, changed, now=self.context.now, actor=STAFF)
        self._record("zone", subject, zone=changed.time_zone)
        self._record("preferences", subject, channel=changed.preferred_channel, hour=changed.message_time)
        return True

    def pause(self, occurrence: Occurrence) -> bool:
        """Begins a pause today, for a number of days or without a known end."""
        subject = occurrence.subject
        days = occurrence.event.value
        today = local_date(self.context.now, subject.time_zone)
        until_on = None if days is None else today + timedelta(days=int(days))
        facts = pauses.PauseFacts(today, until_on, "in hospital")
        pause = pauses.begin(self.context.session, STAFF, subject, facts, now=self.context.now)
        self._record("paused", subject, pause=pause.id, from_on=today, until_on=until_on)
        return True

    def resume(self, occurrence: Occurrence) -> bool:
        """Ends an open-ended pause as of yesterday."""
        subject = occurrence.subject
        all_pauses = pauses.for_subject(self.context.session, subject.id)
        pause = next((each for each in all_pauses if each.until_on is None), None)
        if pause is None:
            return False
        now = self.context.now
        yesterday = local_date(now, subject.time_zone) - timedelta(days=1)
        until_on = max(pause.from_on, yesterday)
        end = PauseEndFacts(until_on, "home again")
        pauses.change_end(self.context.session, STAFF, pause, end, now=now)
        self._record("paused", subject, pause=pause.id, from_on=pause.from_on, until_on=until_on)
        return True

    def lose_mailbox(self, occurrence: Occurrence) -> bool:
        """Makes the e-mail address bounce. The service learns of it from the next mail, so nothing is recorded."""
        address = _address(occurrence.subject, Channel.EMAIL)
        if not address:
            return False
        occurrence.scenario.dead_addresses.add(address)
        return True

    def move_protocol(self, occurrence: Occurrence) -> bool:
        """Moves the patient's newest course to the newest version of its protocol."""
        return self.treatment.move_to_newest_version(occurrence.subject)

    def opt_out(self, occurrence: Occurrence) -> bool:
        """Sends STOP."""
        return self._send_keyword(occurrence.subject, ReportEvent.STOP, "channel-closed")

    def opt_in(self, occurrence: Occurrence) -> bool:
        """Sends START. It opens a channel that the patient stopped, but not one that staff closed."""
        contact = contacts.of_subject(self.context.session, occurrence.subject.id, Channel.SMS)
        if contact is None or contact.state != ContactState.STOPPED:
            return False
        return self._send_keyword(occurrence.subject, ReportEvent.START, "channel-opened")

    def report_wrong_number(self, occurrence: Occurrence) -> bool:
        """Closes the SMS channel by staff."""
        contact = contacts.of_subject(self.context.session, occurrence.subject.id, Channel.SMS)
        if contact is None or contact.state != ContactState.ACTIVE:
            return False
        contacts.close(self.context.session, contact, ContactState.WRONG_NUMBER, now=self.context.now, actor=STAFF)
        self._record("channel-closed", occurrence.subject, channel=Channel.SMS)
        return True

    def correct_email(self, occurrence: Occurrence) -> bool:
        """Replaces the e-mail address by staff."""
        address = f"new{occurrence.scenario.number}@patients.example"
        return self._correct_address(occurrence.subject, Channel.EMAIL, address)

    def correct_mobile(self, occurrence: Occurrence) -> bool:
        """Replaces the mobile number by staff."""
        address = f"+1440555{occurrence.scenario.number % 10_000:04}"
        return self._correct_address(occurrence.subject, Channel.SMS, address)

    def enrol_twice(self, occurrence: Occurrence) -> bool:
        """Enrols the patient a second time."""
        again, second = self.second_records.enrol(occurrence.scenario, occurrence.subject)
        self.schedule(again, second.id)
        return True

    def merge(self, occurrence: Occurrence) -> bool:
        """Merges the second record of a patient into the first one. It is an event of the second record only."""
        if occurrence.event.value is None:
            return False
        self.second_records.merge(occurrence.subject, uuid.UUID(str(occurrence.event.value)))
        return True

    def change_planned_start(self, occurrence: Occurrence) -> bool:
        """Shifts the planned start of the course."""
        shift = int(occurrence.event.value or 0)
        return self.treatment.change_planned_start(occurrence.subject, days=shift)

    def correct_infusion(self, occurrence: Occurrence) -> bool:
        """Corrects the date of an infusion, or removes the infusion."""
        shift = int(occurrence.event.value or 0)
        return self.treatment.correct_infusion(occurrence.subject, days=shift)

    def transfer(self, occurrence: Occurrence) -> bool:
        """Transfers the patient to another site, if there is one."""
        subject, now = occurrence.subject, self.context.now
        others = transfers.targets(self.context.session, subject)
        if not others:
            return False
        to = others[0].code
        facts = TransferFacts(to, local_date(now, subject.time_zone), "moved to another town")
        transfers.transfer(self.context.session, STAFF, subject, facts, now=now)
        self._record("transferred", subject, site=to)
        return True

    def correct_birth_date(self, occurrence: Occurrence) -> bool:
        """Corrects a birth date that was mistyped at enrolment."""
        session, subject = self.context.session, occurrence.subject
        known = identity_corrections.recorded(session, subject)
        corrected = replace(known, birth_date=occurrence.scenario.born_on)
        correction = IdentityCorrection(corrected, "mistyped at enrolment")
        identity_corrections.correct(session, STAFF, subject, correction, now=self.context.now)
        self._record("birth-date-corrected", subject)
        return True

    def _correct_address(self, subject: Subject, channel: Channel, address: str) -> bool:
        if _address(subject, channel) is None:
            return False
        contacts.correct(self.context.session, subject, {channel: address}, now=self.context.now, actor=STAFF)
        self._record("address", subject, channel=channel, to=address)
        return True

    def _send_keyword(self, subject: Subject, keyword: ReportEvent, event: str) -> bool:
        address = _address(subject, Channel.SMS)
        if address is None:
            return False
        self.reports.report_keyword(keyword, address)
        self._record(event, subject, channel=Channel.SMS)
        return True

    def _record(self, event: str, subject: Subject, **data: object) -> None:
        self.context.record_event(event, subject=subject.id, **data)


def _address(subject: Subject, channel: Channel) -> str | None:
    for contact in subject.contacts:
        if contact.channel == channel:
            return contact.address
    return None


def _other_channel(subject: Subject) -> Channel:
    """Returns the channel that the patient does not prefer, or the preferred one when there is no other."""
    preferred = subject.preferred_channel
    known = {contact.channel for contact in subject.contacts}
    others = (channel for channel in PREFERABLE_CHANNELS if channel in known and channel != preferred)
    return next(others, preferred)


Handler = Callable[[EventInjector, Occurrence], bool]
HANDLERS: Mapping[str, tuple[str, Handler]] = {  # kind -> name in the counts, handler
    "time-zone": ("time zone changes", EventInjector.change_time_zone),
    "preferences": ("preference changes", EventInjector.change_preferences),
    "pause": ("pauses", EventInjector.pause),
    "resume": ("pauses ended by staff", EventInjector.resume),
    "dead-mailbox": ("dead mailboxes", EventInjector.lose_mailbox),
    "opt-out": ("STOP messages", EventInjector.opt_out),
    "opt-in": ("START messages", EventInjector.opt_in),
    "wrong-number": ("wrong numbers", EventInjector.report_wrong_number),
    "new-email": ("addresses corrected", EventInjector.correct_email),
    "new-mobile": ("addresses corrected", EventInjector.correct_mobile),
    "planned-start": ("planned starts changed", EventInjector.change_planned_start),
    "transfer": ("transfers", EventInjector.transfer),
    "birth-date": ("birth dates corrected", EventInjector.correct_birth_date),
    "second-record": ("people enrolled twice", EventInjector.enrol_twice),
    "merge": ("records merged", EventInjector.merge),
    "protocol-move": ("moves to the newest protocol version", EventInjector.move_protocol),
    "infusion-correction": ("infusions corrected", EventInjector.correct_infusion),
}
