"""Patients' reactions to a message other than answering it, and outcomes of calls. Used with fault injection."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.channels import Channel
from pro_tracker.models.call import Call
from pro_tracker.services.answering import links, snoozes, visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.delivery_reports import DeliveryReports
from pro_tracker.simulation.fake_providers import DeliveredMessage
from pro_tracker.simulation.parameters import FaultParameters
from pro_tracker.simulation.scenario import PatientScenario

SNOOZES_AFTER = timedelta(minutes=40)
MINUTES_PER_DAY = 24 * 60


@dataclass
class PatientBehaviour:
    """The behaviour of all patients."""

    context: SimulationContext
    faults: FaultParameters
    reports: DeliveryReports

    def react_to_message(self, scenario: PatientScenario, message: DeliveredMessage, token: str) -> None:
        """Draws whether the patient snoozes or requests another link, and whether the provider reports delivery."""
        random, now = scenario.random, self.context.now
        draw = random.random()
        if draw < self.faults.snooze:
            self.context.queue.schedule(now + SNOOZES_AFTER, partial(self._snooze, scenario, token))
        elif draw < self.faults.snooze + self.faults.link_request:
            delay = timedelta(minutes=random.randint(1, 2 * MINUTES_PER_DAY))
            self.context.queue.schedule(now + delay, partial(self._request_link, token))
        if random.random() < self.faults.delivery_report:
            delay = timedelta(minutes=random.randint(0, MINUTES_PER_DAY))
            self.reports.schedule_delivery(message, delay)

    def draw_call_outcome(self, scenario: PatientScenario) -> CallAttemptOutcome:
        """Draws the outcome of a call that does not reach the patient in good health."""
        outcomes = list(self.faults.call_outcomes)
        weights = list(self.faults.call_outcomes.values())
        return scenario.random.choices(outcomes, weights)[0]

    def record_call(self, call: Call, outcome: CallAttemptOutcome) -> None:
        """Records what the service learned from a call."""
        if outcome == CallAttemptOutcome.WRONG_NUMBER:
            self.context.record_event("channel-closed", subject=call.subject_id, channel=Channel.SMS)
        if call.outcome in STOP_REMINDERS_AFTER:
            self.context.record_event("declined", subject=call.subject_id, visit=call.visit_id)
            self.context.counts["refusals by telephone"] += 1

    def _snooze(self, scenario: PatientScenario, token: str) -> None:
        """Snoozes until one of the days that the page offers."""
        visit = self._open_visit(token)
        if visit is None:
            return
        session, now = self.context.session, self.context.now
        choices = snoozes.choices(session, visit, now=now)
        if not choices:
            return
        until_on = scenario.random.choice(choices).until_on
        snoozes.snooze(session, visit, until_on, now=now)
        self.context.record_event("snoozed", subject=visit.subject_id, visit=visit.visit_id, until_on=until_on)
        self.context.counts["snoozes"] += 1

    def _request_link(self, token: str) -> None:
        visit = self._open_visit(token)
        if visit is None:
            return
        links.request_fresh_link(self.context.session, visit, now=self.context.now)
        self.context.record_event("link-requested", subject=visit.subject_id, visit=visit.visit_id)
        self.context.counts["links requested"] += 1

    def _open_visit(self, token: str) -> VisitContext | None:
        """Returns the visit behind a link, or None when it cannot be answered now."""
        link_id = links.find(self.context.session, token)
        visit = visit_context.by_link(self.context.session, link_id)
        if visit.completed_at is not None or visit.voided_at is not None:
            return None
        is_open = visit.opens_at <= self.context.now < visit.closes_at
        return visit if is_open else None
