"""People who are enrolled twice, and the merge of their records. Runs the real services; does not commit."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from pro_tracker.domain.channels import Channel
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import enrolment, merges
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.treatment import protocol_moves
from pro_tracker.simulation.consents import SimulatedConsents
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.scenario import CourseScenario, InjectedEvent, PatientScenario
from pro_tracker.simulation.treatment import SimulatedTreatment

AddPatient = Callable[[uuid.UUID, PatientScenario], object]


@dataclass
class SecondRecords:
    """Enrols patients a second time, with another address, and merges the second record into the first."""

    context: SimulationContext
    treatment: SimulatedTreatment
    add_patient: AddPatient
    consents: SimulatedConsents

    def enrol(self, scenario: PatientScenario, subject: Subject) -> tuple[PatientScenario, Subject]:
        """Enrols the patient once more and plans the same course; returns the second scenario and record.

        Treatment goes on under the first record, so the course of the second one is recorded twice.
        """
        facts = _facts_again(scenario)
        protocol = protocol_moves.protocol_named(scenario.protocol or self.treatment.protocol)
        second = enrolment.enrol(self.context.session, STAFF, facts, now=self.context.now, protocol=protocol)
        self._record_enrolment(facts, second.id)
        again = _scenario_again(scenario, facts, subject.id)
        self.consents.at_enrolment(again, second)
        self.add_patient(second.id, again)
        self.treatment.schedule(again, second)
        return again, second

    def _record_enrolment(self, facts: EnrolmentFacts, subject_id: uuid.UUID) -> None:
        self.context.record_event(
            "enrolled",
            subject=subject_id,
            site=facts.site_code,
            zone=facts.time_zone,
            preferred=Channel.EMAIL,
            addresses={Channel.EMAIL: facts.email},
        )

    def merge(self, second: Subject, first_id: uuid.UUID) -> None:
        """Merges the second record into the first; its courses are recorded twice."""
        session = self.context.session
        first = session.get_one(Subject, first_id)
        duplicates = frozenset(course.id for course in merges.courses_of(session, second))
        facts = MergeFacts(first, duplicates, "the same insurance card")
        merges.merge(session, STAFF, second, facts, now=self.context.now)
        self.context.record_event("merged", subject=second.id, into=first_id)


def _facts_again(scenario: PatientScenario) -> EnrolmentFacts:
    number = f"{scenario.facts.record_number}-again"
    email = f"again{scenario.number}@patients.example"
    birth_date = scenario.born_on or scenario.facts.birth_date  # staff mistype it once
    return replace(
        scenario.facts,
        record_number=number,
        birth_date=birth_date,
        email=email,
        mobile="",
        preferred_channel="",
    )


def _scenario_again(scenario: PatientScenario, facts: EnrolmentFacts, first_id: uuid.UUID) -> PatientScenario:
    """Returns a scenario without infusions whose only event is the merge."""
    merged = tuple(
        InjectedEvent(event.after, event.kind, str(first_id))
        for event in scenario.injected_events
        if event.kind == "merge"
    )
    course = CourseScenario(scenario.courses[0].start_on, (), None)
    return replace(
        scenario,
        facts=facts,
        courses=(course,),
        withdraws_after=None,
        death=None,
        helper=None,
        born_on=None,
        injected_events=merged,
        messages_received={},
        answers_at_message={},
    )
