"""Helpers of synthetic patients: named, corrected and removed by staff, and ended by the helpers' own link."""

import re
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts import contacts, trusted_helper, unsubscribing
from pro_tracker.services.contacts.trusted_helper import HelperFacts
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.fake_providers import DeliveredMessage
from pro_tracker.simulation.scenario import HelperScenario, PatientScenario

STOP = re.compile(r"/helper/([\w-]+)/stop")
READS_AFTER = timedelta(hours=3)
Act = Callable[["SimulatedHelpers", PatientScenario, Subject], str | None]  # returns what to count


@dataclass
class SimulatedHelpers:
    """The helpers of all patients, through the services that staff and helpers use. `mails`: subject id -> number."""

    context: SimulationContext
    mails: Counter[uuid.UUID] = field(default_factory=Counter)

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Schedules what happens to the helper of a patient who was just enrolled."""
        helper = scenario.helper
        if helper is None:
            return
        if helper.has_dead_mailbox:
            scenario.dead_addresses.add(_address(scenario))
        self._schedule(helper.named_after, SimulatedHelpers.name, scenario, subject_id)
        self._schedule(helper.corrected_after, SimulatedHelpers.correct, scenario, subject_id)
        self._schedule(helper.removed_after, SimulatedHelpers.remove, scenario, subject_id)

    def receive(self, scenario: PatientScenario, subject_id: uuid.UUID, delivered: DeliveredMessage) -> None:
        """Delivers a mail to the helper, who may use its link to end them."""
        self.mails[subject_id] += 1
        self.context.counts["messages to helpers"] += 1
        link = STOP.search(delivered.text)
        if link is not None and self.mails[subject_id] == _last_mail(scenario):
            stop = partial(self._stop, scenario, subject_id, link[1])
            self.context.queue.schedule(self.context.now + READS_AFTER, stop)

    # Each act returns the name under which it is counted; None if it had no effect.

    def name(self, scenario: PatientScenario, subject: Subject) -> str | None:
        """Records a helper whom the patient agreed to today, unless there is one."""
        if subject.helper is not None:
            return None
        agreed_on = local_date(self.context.now, subject.time_zone)
        relation = _helper(scenario).relation
        self._record(subject, HelperFacts(email=_address(scenario), relation=relation, agreed_on=agreed_on))
        return "helpers named"

    def correct(self, scenario: PatientScenario, subject: Subject) -> str | None:
        """Replaces the address of the helper on file."""
        if subject.helper is None:
            return None
        facts = replace(trusted_helper.of(subject), email=f"new-{_address(scenario)}")
        self._record(subject, facts)
        return "helpers corrected"

    def remove(self, scenario: PatientScenario, subject: Subject) -> str | None:
        """Removes the helper on file; staff may record it again, when the patient agrees again."""
        if subject.helper is None:
            return None
        ending = _helper(scenario).ending
        trusted_helper.remove(self.context.session, subject, ending, now=self.context.now, actor=STAFF)
        self.context.record_event("helper-removed", subject=subject.id)
        self._schedule(_helper(scenario).named_again_after, SimulatedHelpers.name, scenario, subject.id)
        return "helpers removed"

    def reopen(self, _scenario: PatientScenario, subject: Subject) -> str | None:
        """Opens the address again that the helper had closed, as the helper asked staff to do."""
        contact = subject.helper
        if contact is None or contact.state != ContactState.STOPPED:
            return None
        contacts.reopen(self.context.session, contact, now=self.context.now, actor=STAFF)
        self.context.record_event("channel-opened", subject=subject.id, channel=Channel.HELPER)
        return "helpers who asked for mails again"

    def _stop(self, scenario: PatientScenario, subject_id: uuid.UUID, code: str) -> None:
        """Ends the mails, unless the helper was removed or has another address since the mail was sent."""
        session, now = self.context.session, self.context.now
        contact = unsubscribing.by_helper_code(session, code)
        if contact is None:
            return
        unsubscribing.unsubscribe_helper(session, contact, now=now)
        self.context.record_event("channel-closed", subject=subject_id, channel=Channel.HELPER)
        self.context.counts["helpers who stopped the mails"] += 1
        self._schedule(_helper(scenario).reopened_after, SimulatedHelpers.reopen, scenario, subject_id)

    def _record(self, subject: Subject, facts: HelperFacts) -> None:
        trusted_helper.record(self.context.session, subject, facts, now=self.context.now, actor=STAFF)
        self.context.record_event("address", subject=subject.id, channel=Channel.HELPER, to=facts.email)

    def _schedule(self, after: timedelta | None, act: Act, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Schedules an act of staff; None: it does not happen."""
        if after is not None:
            run = partial(self._run, act, scenario, subject_id)
            self.context.queue.schedule(self.context.now + after, run)

    def _run(self, act: Act, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Runs an act of staff, unless the patient has withdrawn or died, and counts it if it had an effect."""
        subject = self.context.session.get_one(Subject, subject_id)
        counted_as = act(self, scenario, subject) if _is_asked(subject) else None
        if counted_as is not None:
            self.context.counts[counted_as] += 1


def _helper(scenario: PatientScenario) -> HelperScenario:
    if scenario.helper is None:
        raise ValueError("a synthetic patient without a helper")
    return scenario.helper


def _is_asked(subject: Subject) -> bool:
    """Returns whether the patient takes part, under this record."""
    return subject.takes_part and subject.merged_into_id is None


def _last_mail(scenario: PatientScenario) -> int | None:
    """Returns the number of the mail whose link the helper uses; None for a helper who stays."""
    return scenario.helper.stops_at_mail if scenario.helper else None


def _address(scenario: PatientScenario) -> str:
    return f"helper{scenario.number}@family.example"
