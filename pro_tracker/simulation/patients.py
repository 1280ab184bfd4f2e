"""Synthetic patients: open the link of a message, confirm the birth date and answer, or do not; staff call them."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from sqlalchemy import select

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.errors import AlreadyAnswered, WindowClosed
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links, responses, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.simulation.answers import AnswerGenerator
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.delivery_reports import DeliveryReports
from pro_tracker.simulation.fake_providers import DeliveredMessage
from pro_tracker.simulation.parameters import SimulationParameters
from pro_tracker.simulation.patient_behaviour import PatientBehaviour
from pro_tracker.simulation.scenario import PatientScenario, answering_message, response_delay

LINK = re.compile(r"/v/([\w-]+)")
INTERVIEW_DURATION = timedelta(minutes=20)
OFFICE_HOURS = (7, 15)  # added to a night's UTC time


@dataclass
class SimulatedPatients:
    """All enrolled patients. `behaviour` is None without fault injection."""

    context: SimulationContext
    parameters: SimulationParameters
    reports: DeliveryReports
    behaviour: PatientBehaviour | None
    scenarios: dict[uuid.UUID, PatientScenario] = field(default_factory=dict)
    scheduled_calls: set[int] = field(default_factory=set)

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
        visit = self.context.session.get_one(Visit, message.visit_id)
        received = scenario.messages_received.get(visit.id, 0) + 1
        scenario.messages_received[visit.id] = received
        link = LINK.search(delivered.text)
        if link is None:
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
        """Schedules a call for every new entry of the call list."""
        is_new = (Call.closed_at.is_(None), Call.id.not_in(self.scheduled_calls))
        query = select(Call.id, Call.subject_id).where(*is_new).order_by(Call.id)
        for call_id, subject_id in self.context.session.execute(query):
            scenario = self.scenarios.get(subject_id)
            if scenario is not None:
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
        links.check_birth_date(session, visit, _birth_date(scenario), now=self.context.now)
        self._answer(visit.visit_id, Actor(ActorKind.PATIENT, str(link_id)), ResponseMode.SELF_WEB)

    def _answer_by_telephone(self, visit_id: int) -> None:
        self._answer(visit_id, STAFF, ResponseMode.TELEPHONE)

    def _answer(self, visit_id: int, actor: Actor, mode: ResponseMode) -> None:
        if self.save_answers(visit_id):
            subject_id = self.complete(visit_id, actor, mode)
            self.context.record_event("answered", subject=subject_id, visit=visit_id)

    def save_answers(self, visit_id: int) -> bool:
        """Saves an answer to every item of the visit. Returns False when the visit is closed or already answered."""
        now = self.context.now
        visit = visit_context.by_visit(self.context.session, visit_id)
        try:
            visit.require_open(now)
        except WindowClosed:
            self.context.counts["answers after the window closed"] += 1
            return False
        except AlreadyAnswered:
            self.context.counts["answers to completed visits"] += 1
            return False
        self._save(visit, now)
        return True

    def _save(self, visit: VisitContext, now: datetime) -> None:
        scenario = self.scenarios[visit.subject_id]
        generator = AnswerGenerator(self.parameters, scenario.traits, scenario.random)
        for instrument, _pack in visit.questionnaire.parts:
            answers = generator.draw_answers(instrument, visit.event_code)
            responses.save_answers(self.context.session, visit, instrument.code, answers, RequestContext(STAFF, now))

    def complete(self, visit_id: int, actor: Actor, mode: ResponseMode) -> uuid.UUID:
        """Completes a visit with its saved answers; returns the subject's id."""
        session = self.context.session
        visit = visit_context.by_visit(session, visit_id)
        responses.complete(session, visit, RequestContext(actor, self.context.now, mode))
        self.context.counts["answered"] += 1
        return visit.subject_id


def _birth_date(scenario: PatientScenario) -> date:
    if scenario.facts.birth_date is None:
        raise ValueError("a synthetic patient without a birth date")
    return scenario.facts.birth_date
