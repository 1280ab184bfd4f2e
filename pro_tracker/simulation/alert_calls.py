"""Staff call synthetic patients about their alerts, within the time of the response plan, and note what was done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random

from sqlalchemy import select

from pro_tracker.domain.alert_codes import AlertKind, AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason
from pro_tracker.models.call import Call
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.calling import alerts, call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.parameters import AlertParameters

FIRST, LAST = 0.1, 0.9  # when staff call, as a share of the plan's hours
# What an effect that was felt may lead to; the other outcomes follow from what the patient did.
AFTER_EFFECTS = (
    AlertOutcome.ADVISED,
    AlertOutcome.KNOWN,
    AlertOutcome.TREATMENT_CHANGED,
    AlertOutcome.REFERRED,
)


@dataclass
class AlertCalls:
    """The calls about alerts of all visits. `parameters` is None for protocols without alerts."""

    context: SimulationContext
    parameters: AlertParameters | None
    scheduled: set[int] = field(default_factory=set)  # ids of open calls

    def schedule(self, visit: VisitContext, random: Random) -> None:
        """Schedules the calls about a visit's alerts, if there are any and no call is scheduled yet."""
        within = self._within(visit)
        if within is None or self.parameters is None:
            return
        numbers = range(1, len(self.parameters.calls) + 1)
        calls = random.choices(numbers, self.parameters.calls)[0]
        shares = sorted(random.uniform(FIRST, LAST) for _ in range(calls))
        self.schedule_at(visit.visit_id, [share * within for share in shares], random)

    def schedule_at(self, visit_id: int, delays: Sequence[timedelta], random: Random) -> None:
        """Schedules a call after each of these delays; the last one reaches the patient."""
        call_id = self._open_call(visit_id)
        if call_id is None or call_id in self.scheduled:
            return
        self.scheduled.add(call_id)
        *missed, reached = delays
        for delay in missed:
            self.context.queue.schedule(self.context.now + delay, partial(self._miss, call_id))
        self.context.queue.schedule(self.context.now + reached, partial(self._reach, call_id, random))

    def _within(self, visit: VisitContext) -> timedelta | None:
        """Returns the shortest time of the response plans at this visit; None without a plan."""
        protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
        hours = [plan.within_hours for plan in protocol.plans_at(visit.event_code)]
        return timedelta(hours=min(hours)) if hours else None

    def _open_call(self, visit_id: int) -> int | None:
        calls = select(Call.id).where(
            Call.visit_id == visit_id,
            Call.reason == CallReason.ALERT,
            Call.closed_at.is_(None),
        )
        return self.context.session.scalar(calls)

    def _miss(self, call_id: int) -> None:
        facts = CallAttemptFacts(CallAttemptOutcome.NO_ANSWER, alert_outcome=AlertOutcome.NOT_REACHED)
        self._record(call_id, facts)

    def _reach(self, call_id: int, random: Random) -> None:
        assert self.parameters is not None
        call = self.context.session.get_one(Call, call_id)
        outcome = self._outcome(call.visit_id, random)
        done = self.parameters.done[outcome]
        self._record(call_id, CallAttemptFacts(CallAttemptOutcome.REACHED, alert_outcome=outcome, done=done))
        self.scheduled.remove(call_id)
        self.context.counts["alerts closed"] += 1

    def _record(self, call_id: int, facts: CallAttemptFacts) -> None:
        if self.context.session.get_one(Call, call_id).closed_at is not None:
            return  # the patient died
        call_attempts.record(self.context.session, STAFF, call_id, facts, now=self.context.now)
        self.context.counts["calls about alerts"] += 1

    def _outcome(self, visit_id: int, random: Random) -> AlertOutcome:
        """Returns what comes of the call, by what raised the alerts and what stands now."""
        raised = alerts.of_visits(self.context.session, [visit_id])[visit_id]
        effects = [each for each in raised if each.kind == AlertKind.ANSWER]
        if not effects:
            return AlertOutcome.SAFE
        if all(each.is_changed for each in effects):
            return AlertOutcome.BY_MISTAKE
        return random.choice(AFTER_EFFECTS)
