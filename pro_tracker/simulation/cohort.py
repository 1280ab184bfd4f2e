"""Runs a cohort through the real services under a simulated clock. Commits after every action."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial

from sqlalchemy import func, select

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.wall_time import moment
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import idle_courses
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.treatment import protocol_moves
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.deaths import SimulatedDeaths
from pro_tracker.simulation.helpers import SimulatedHelpers
from pro_tracker.simulation.injected_events import EventInjector
from pro_tracker.simulation.message_sender import MessageSender, PrepareConcurrentAction
from pro_tracker.simulation.patients import SimulatedPatients
from pro_tracker.simulation.scenario import PatientScenario
from pro_tracker.simulation.staged_sessions import StagedSessions
from pro_tracker.simulation.treatment import MORNING, SimulatedTreatment

NEVER = datetime.min.replace(tzinfo=UTC)
SEND_INTERVAL = timedelta(minutes=1)  # as often as the service looks for due messages
NIGHT = time(3, 0)  # UTC: time of the nightly jobs; staff also look at the call list

DUE_AT = select(func.min(Message.send_at)).where(Message.state == MessageState.PLANNED)
LEASE_EXPIRES_AT = select(func.min(Message.lease_until)).where(Message.state == MessageState.CLAIMED)
NEXT_SEND_TIMES = select(DUE_AT.scalar_subquery(), LEASE_EXPIRES_AT.scalar_subquery())

ReportProgress = Callable[[datetime], None]  # gets the simulated time


@dataclass
class CohortSimulation:
    """A running simulation."""

    context: SimulationContext
    sender: MessageSender
    prepare_concurrent_action: PrepareConcurrentAction
    patients: SimulatedPatients
    treatment: SimulatedTreatment
    injector: EventInjector
    staged: StagedSessions
    deaths: SimulatedDeaths
    helpers: SimulatedHelpers
    last_sent_at: datetime = NEVER

    def run(self, scenarios: list[PatientScenario], until: datetime, report_progress: ReportProgress) -> None:
        """Runs all scenarios up to a simulated time. Reports progress once per simulated day."""
        self._schedule_enrolments(scenarios)
        self._schedule_night(report_progress)
        next_at = self._next_at()
        while next_at is not None and next_at <= until:
            self._step(next_at)
            self.context.session.commit()
            self.context.session.expunge_all()
            next_at = self._next_at()

    def _step(self, next_at: datetime) -> None:
        """Runs the next scheduled action, or sends the messages that are due before it."""
        queue = self.context.queue
        if next_at == queue.next_at:
            queue.run_next()
        else:
            queue.advance_to(next_at)
            self._send()

    def _next_at(self) -> datetime | None:
        """Returns the time of the next action, due message or expiring lease; None when there is none."""
        times = self._send_times()
        if self.context.queue.next_at is not None:
            times.append(self.context.queue.next_at)
        if not times:
            return None
        return max(min(times), self.context.now)

    def _send_times(self) -> list[datetime]:
        """Returns when the next message is due and when the next lease expires, at the sender's interval."""
        times = self.context.session.execute(NEXT_SEND_TIMES).one()
        earliest = self.last_sent_at + SEND_INTERVAL
        return [max(at, earliest) for at in times if at is not None]

    def _schedule_enrolments(self, scenarios: list[PatientScenario]) -> None:
        for scenario in scenarios:
            enrolled_on = scenario.facts.enrolled_on or self.context.now.date()
            at = moment(enrolled_on, MORNING, scenario.facts.time_zone)
            self.context.queue.schedule(at, partial(self._enrol, scenario))

    def _enrol(self, scenario: PatientScenario) -> None:
        now = self.context.now
        protocol = protocol_moves.protocol_named(scenario.protocol or self.treatment.protocol)
        subject = enrolment.enrol(self.context.session, STAFF, scenario.facts, now=now, protocol=protocol)
        self.patients.add(subject.id, scenario)
        self.context.counts["enrolled"] += 1
        self._record_enrolment(scenario.facts, subject.id)
        self.patients.consents.at_enrolment(scenario, subject)
        self.treatment.schedule(scenario, subject)
        self.injector.schedule(scenario, subject.id)
        self.staged.schedule(scenario, subject.id)
        if scenario.withdraws_after is not None:
            withdraw = partial(self._withdraw, scenario, subject.id)
            self.context.queue.schedule(now + scenario.withdraws_after, withdraw)
        self.deaths.schedule(scenario, subject.id)
        self.helpers.schedule(scenario, subject.id)

    def _record_enrolment(self, facts: EnrolmentFacts, subject_id: uuid.UUID) -> None:
        addresses = {channel: address for channel, address in facts.addresses.items() if address}
        preferred = enrolment.preferred_channel(facts)
        self.context.record_event(
            "enrolled",
            subject=subject_id,
            site=facts.site_code,
            zone=facts.time_zone,
            preferred=preferred,
            addresses=addresses,
        )

    def _withdraw(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        if not self.patients.consents.withdraw(scenario, subject):
            enrolment.withdraw(session, STAFF, subject, WithdrawalFacts("moved away"), now=now)
        self.context.record_event("withdrew", subject=subject_id)
        self.context.counts["withdrawn"] += 1
        if scenario.withdrawal_reverted_after is not None:
            revert = partial(self._revert_withdrawal, subject_id)
            self.context.queue.schedule(now + scenario.withdrawal_reverted_after, revert)

    def _revert_withdrawal(self, subject_id: uuid.UUID) -> None:
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        withdrawals.revert(session, STAFF, subject, reason="a misunderstanding", now=now)
        self.context.record_event("withdrawal-reverted", subject=subject_id)
        self.context.counts["withdrawals reverted"] += 1

    def _send(self) -> None:
        """Sends the messages due now and delivers them to the patients."""
        self.last_sent_at = self.context.now
        for message in self.sender.send_due(self.context.now, self.prepare_concurrent_action):
            self.patients.receive(message)

    def _schedule_night(self, report_progress: ReportProgress) -> None:
        now = self.context.now
        night = datetime.combine(now.date(), NIGHT, UTC)
        if night <= now:
            night += timedelta(days=1)
        self.context.queue.schedule(night, partial(self._run_night, report_progress))

    def _run_night(self, report_progress: ReportProgress) -> None:
        """Runs the service's nightly jobs, and schedules the staff's calls and the next night."""
        session, now = self.context.session, self.context.now
        idle_courses.plan_idle(session, now=now)
        calls.open_due(session, now=now)
        unanswered.record_missed(session, now=now)
        for report_id in delivery_reports.waiting(session, now=now):
            delivery_reports.process(session, report_id, now=now)
            session.commit()
        self.patients.schedule_calls()
        report_progress(now)
        self._schedule_night(report_progress)
