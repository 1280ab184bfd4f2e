"""Messages that a provider accepted, each with everything that was known at that time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from pro_tracker.ledger_check.context import CheckContext
from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.ledger_snapshot import LedgerMessage, LedgerVisit
from pro_tracker.ledger_check.person_consents import newest_outcome
from pro_tracker.ledger_check.recorded_state import PatientState
from pro_tracker.ledger_check.send_rules import DueMessage, SendRules, to_local


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message that a provider accepted.

    `rules`: the sending rules for the patient's state at that time. `due`: what the protocol and the patient required
    under this kind and number; None for a link that the patient requested. `pending_answer`: an answer to the visit
    that was being stored while messages were sent. `treatment_began_at`: start of the course's first infusion, as known
    at the end of the log. `copies`: agreements to the consent form until then of which a copy is due with the visit.
    `consent`: the newest answer of the person to that form at that time, "" without one.
    """

    entry: LogEntry
    message: LedgerMessage
    visit: LedgerVisit
    rules: SendRules
    due: DueMessage | None
    pending_answer: LogEntry | None
    answer: LogEntry | None
    refusal: LogEntry | None
    link_requests: Sequence[LogEntry]
    copies: Sequence[LogEntry]
    consent: str
    treatment_began_at: datetime | None

    @property
    def patient(self) -> PatientState:
        """Returns the patient's state when the provider accepted the message."""
        return self.rules.patient

    @property
    def channel(self) -> str:
        """Returns the channel on which the message was sent."""
        return str(self.entry.data["channel"])

    @property
    def is_requested(self) -> bool:
        """Returns whether the patient caused the message, a link or a copy: quiet hours and holds do not apply."""
        return self.is_copy or self.message.kind == "fresh-link"

    @property
    def is_copy(self) -> bool:
        """Returns whether the message leads to the copy of a consent, whatever became of the visit."""
        return self.message.kind == "consent-copy"

    @property
    def step_key(self) -> tuple[object, ...]:
        """Returns what may be sent once: a step, or for the channel choice "both" a step on one channel."""
        message = self.message
        if self.due is not None and "both" in self.due.channels:
            return self.visit.id, message.kind, message.step, self.channel
        return self.visit.id, message.kind, message.step, None

    @property
    def is_of_infusion_day(self) -> bool:
        """Returns whether the visit is one of an event that is asked after each infusion day."""
        return self.rules.schedule.events[self.visit.event].anchor == "each-infusion"

    @property
    def local_day(self) -> tuple[str, date]:
        """Returns the subject and the local date."""
        sent_on = to_local(self.entry.at, self.patient.time_zone).date()
        return self.message.subject, sent_on


def accepted_messages(context: CheckContext) -> Iterator[AcceptedMessage]:
    """Yields every accepted message that the ledger contains, in the order of the log."""
    for entry in context.recorded.accepted:
        message = context.ledger.messages.get(entry.data["key"])
        if message is None:
            continue
        patient = context.recorded.patients[message.subject].at_entry(entry.number)
        if patient is not None:
            yield _accepted_message(context, entry, message, patient)


def _accepted_message(
    context: CheckContext, entry: LogEntry, message: LedgerMessage, patient: PatientState
) -> AcceptedMessage:
    recorded = context.recorded
    visit = context.ledger.visits[message.visit]
    snoozes = _before(entry, recorded.snoozes.get(visit.id, []))
    schedule = context.schedule_of_visit(visit)
    rules = SendRules(schedule, patient, snoozes, schedule.events[visit.event].is_held)
    return AcceptedMessage(
        entry=entry,
        message=message,
        visit=visit,
        rules=rules,
        due=_due_message(rules, message, _as_planned_at(visit, entry)),
        pending_answer=recorded.pending_answers.get(visit.id),
        answer=recorded.answers.get(visit.id),
        refusal=recorded.refusals.get(visit.id),
        link_requests=_before(entry, recorded.link_requests.get(visit.id, [])),
        copies=_before(entry, recorded.consent_copies[visit.id]),
        consent=newest_outcome(context, visit, entry.number),
        treatment_began_at=min(recorded.courses[visit.course].latest.infusions.values(), default=None),
    )


def _as_planned_at(visit: LedgerVisit, entry: LogEntry) -> LedgerVisit:
    """Returns the visit with a planning time that applied to a message accepted at this entry.

    A reverted withdrawal plans a visit again, later than messages that were sent before. Their steps were counted from
    the opening of the visit or later.
    """
    if visit.planned_at <= entry.at:
        return visit
    return replace(visit, planned_at=visit.opens_at)


def _due_message(rules: SendRules, message: LedgerMessage, visit: LedgerVisit) -> DueMessage | None:
    key = (message.kind, message.step)
    for due in rules.due_messages(visit):
        if due.key == key:
            return due
    return None


def _before(entry: LogEntry, others: Iterable[LogEntry]) -> list[LogEntry]:
    return [other for other in others if other.number < entry.number]
