"""Synthetic patients: open the link of a message, confirm the birth date and answer, or do not; staff call them."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial

from sqlalchemy import select

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason
from pro_tracker.domain.channels import reaches_helper
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import identity_checks, links, visit_context
from pro_tracker.services.answering.identity_checks import BirthDateCheck
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.simulation.answering_sessions import AnsweringSessions
from pro_tracker.simulation.consents import SimulatedConsents
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.delivery_reports import DeliveryReports
from pro_tracker.simulation.fake_providers import DeliveredMessage
from pro_tracker.simulation.helpers import SimulatedHelpers
from pro_tracker.simulation.parameters import SimulationParameters
from pro_tracker.simulation.patient_behaviour import PatientBehaviour
from pro_tracker.simulation.scenario import PatientScenario, answering_message, response_delay

LINK = re.compile(r"/v/([\w-]+)")
INTERVIEW_DURATION = timedelta(minutes=20)
TRIES = 5  # wrong birth dates in a row, before the patient stops for the day
TRIES_AGAIN_AFTER = timedelta(days=1)
OFFICE_HOURS = (7, 15)  # added to a night's UTC time


@dataclass
class SimulatedPatients:
    """All enrolled patients. `behaviour` is None without fault injection."""

    context: SimulationContext
    parameters: SimulationParameters
    reports: DeliveryReports
    helpers: SimulatedHelpers
    behaviour: PatientBehaviour | None
    consents: SimulatedConsents
    scenarios: dict[uuid.UUID, PatientScenario] = field(default_factory=dict)
    scheduled_calls: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sessions = AnsweringSessions(self.context, self.parameters, self.scenarios, self.consents)

    def add(self, subject_id: uuid.UUID, scenario: PatientScenario) -> None:
        """Adds an enrolled patient."""
        self.scenarios[subject_id] = scenario

    def receive(self, delivered: DeliveredMessage) -> None:
        """Delivers a message; schedules the answer if the patient answers after this message."""
        self.context.counts["messages"] += 1
        message = self._message_of(delivered)
        scenario = self.scenarios[message.subject_id]
        if delivered.to in scenario.dead_addresses:
            self.reports.schedule_bounce(delivered)
            return
        if reaches_helper(delivered.channel):
            self.helpers.receive(scenario, message.subject_id, delivered)
            return
        visit = self.context.session.get_one(Visit, message.visit_id)
        received = scenario.messages_received.get(visit.id, 0) + 1
        scenario.messages_received[visit.id] = received
        link = LINK.search(delivered.text)
        if link is None or scenario.is_staged:
            return
        if self.behaviour is not None:
            self.behaviour.react_to_message(scenario, delivered, link[1])
        if received == answering_message(scenario, visit.id, visit.event_code, parameters=self.parameters):
            answer_at = self.context.now + response_delay(scenario, self.parameters)
            self.context.queue.schedule(answer_at, partial(self._answer_by_link, scenario, link[1]))

    def _message_of(self, delivered: DeliveredMessage) -> Message:
        query = select(Message).where(Message.key == uuid.UUID(delivered.key))
        return self.context.session.scalars(query).one()

    def schedule_calls(self) -> None:
        """Schedules a call for every new entry of the call list. Calls about alerts are scheduled when they open."""
        is_new = (Call.closed_at.is_(None), Call.reason != CallReason.ALERT, Call.id.not_in(self.scheduled_calls))
        query = select(Call.id, Call.subject_id).where(*is_new).order_by(Call.id)
        for call_id, subject_id in self.context.session.execute(query):
            scenario = self.scenarios.get(subject_id)
            if scenario is not None and not scenario.is_staged:
                self.scheduled_calls.add(call_id)
                self._schedule_call(call_id, scenario)

    def _schedule_call(self, call_id: int, scenario: PatientScenario) -> None:
        random = scenario.random
        limits = self.parameters.responses.days_to_call
        days = random.randint(limits.minimum, limits.maximum)
        hours = random.randint(*OFFICE_HOURS)
        delay = timedelta(days=days, hours=hours)
        is_reached = random.random() < self.parameters.responses.reached_by_call
        call = partial(self._call, call_id, scenario, is_reached)
        self.context.queue.schedule(self.context.now + delay, call)

    def _call(self, call_id: int, scenario: PatientScenario, is_reached: bool) -> None:
        session, now = self.context.session, self.context.now
        call = session.get_one(Call, call_id)
        if call.closed_at is not None:
            return  # the patient has answered since
        visit_id = call.visit_id
        outcome = self._draw_call_outcome(scenario, is_reached)
        call_attempts.record(session, STAFF, call_id, CallAttemptFacts(outcome), now=now)
        self.context.counts["calls"] += 1
        if self.behaviour is not None:
            self.behaviour.record_call(call, outcome)
        if is_reached:
            self.context.queue.schedule(now + INTERVIEW_DURATION, partial(self._answer_by_telephone, visit_id))

    def _draw_call_outcome(self, scenario: PatientScenario, is_reached: bool) -> CallAttemptOutcome:
        # Drawn even if the patient is reached, so that equal seeds use equal random numbers.
        missed = CallAttemptOutcome.NO_ANSWER
        if self.behaviour is not None:
            missed = self.behaviour.draw_call_outcome(scenario)
        return CallAttemptOutcome.REACHED if is_reached else missed

    def _answer_by_link(self, scenario: PatientScenario, token: str) -> None:
        session = self.context.session
        link_id = links.find(session, token)
        visit = visit_context.by_link(session, link_id)
        if self._gets_in(visit, scenario):
            self.sessions.answer(visit.visit_id, Actor(ActorKind.PATIENT, str(link_id)), ResponseMode.SELF_WEB)
        elif self.context.now < visit.closes_at:
            again = partial(self._answer_by_link, scenario, token)
            self.context.queue.schedule(self.context.now + TRIES_AGAIN_AFTER, again)

    def _gets_in(self, visit: VisitContext, scenario: PatientScenario) -> bool:
        """Gives the birth date until it is taken or the page makes the patient wait."""
        if visit.revoked_at is not None:
            return False
        given = _birth_date(scenario)
        for _ in range(TRIES):
            outcome = identity_checks.check_birth_date(self.context.session, visit, given, now=self.context.now)
            if outcome is BirthDateCheck.RIGHT:
                return True
        self.context.counts["days without getting in"] += 1
        return False

    def _answer_by_telephone(self, visit_id: int) -> None:
        self.sessions.answer(visit_id, STAFF, ResponseMode.TELEPHONE)


def _birth_date(scenario: PatientScenario) -> date:
    born_on = scenario.born_on or scenario.facts.birth_date
    if born_on is None:
        raise ValueError("a synthetic patient without a birth date")
    return born_on
