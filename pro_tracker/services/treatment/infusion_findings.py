"""Findings of an infusion (what was asked, measured and given in addition): rows from facts, and facts from rows."""

from dataclasses import replace
from datetime import datetime

from pro_tracker.domain.infusion_codes import ONDANSETRON
from pro_tracker.models.course import AdverseEvent, Infusion
from pro_tracker.models.infusion_findings import InfusionMedication, InfusionSymptom, InfusionVital
from pro_tracker.services.treatment import adverse_event_facts
from pro_tracker.services.treatment.infusion_facts import (
    AdverseEventFacts,
    InfusionFacts,
    MedicationFacts,
    SymptomFacts,
    VitalFacts,
)


def add_rows(infusion: Infusion, facts: InfusionFacts, now: datetime) -> None:
    """Adds the rows of the facts to an infusion that is not stored yet."""
    infusion.symptoms = [_symptom(each) for each in facts.symptoms]
    infusion.vitals = [_vital(each) for each in facts.vitals]
    infusion.medications = [_medication(each) for each in _all_medications(facts)]
    infusion.all_adverse_events = [_event(infusion, each, now) for each in facts.adverse_events]


def _symptom(facts: SymptomFacts) -> InfusionSymptom:
    return InfusionSymptom(code=facts.code, term=facts.term, answer=facts.answer)


def _event(infusion: Infusion, facts: AdverseEventFacts, now: datetime) -> AdverseEvent:
    event = adverse_event_facts.build(facts, infusion.course_id, now)
    event.found_on = infusion.given_on
    return event


def _vital(facts: VitalFacts) -> InfusionVital:
    return InfusionVital(
        code=facts.code,
        name=facts.name,
        timing=facts.timing,
        value=facts.value,
        unit=facts.unit,
    )


def _medication(facts: MedicationFacts) -> InfusionMedication:
    return InfusionMedication(name=facts.name, purpose=facts.purpose, amount=facts.amount, unit=facts.unit)


def _all_medications(facts: InfusionFacts) -> list[MedicationFacts]:
    if facts.ondansetron_mg is None:
        return list(facts.medications)
    name, purpose, unit = ONDANSETRON
    return [MedicationFacts(name, purpose, facts.ondansetron_mg, unit), *facts.medications]


def facts_of(infusion: Infusion) -> InfusionFacts:
    """Returns the recorded facts of an infusion, with its adverse events."""
    return InfusionFacts(
        given_on=infusion.given_on,
        started_at_local=infusion.started_at_local,
        dose_mg_per_kg=infusion.dose_mg_per_kg,
        weight_kg=infusion.weight_kg,
        minutes=infusion.minutes,
        status=infusion.status,
        stop_reason=infusion.stop_reason,
        ondansetron_mg=infusion.ondansetron_mg,
        adverse_events=tuple(
            replace(adverse_event_facts.facts_of(event), found_on=None) for event in infusion.adverse_events
        ),
        symptoms=tuple(SymptomFacts(each.code, each.term, each.answer) for each in infusion.symptoms),
        vitals=tuple(VitalFacts(each.code, each.name, each.timing, each.value, each.unit) for each in infusion.vitals),
        medications=tuple(
            MedicationFacts(each.name, each.purpose, each.amount, each.unit)
            for each in infusion.medications
            if not each.is_ondansetron
        ),
        nurse=infusion.nurse,
        chair=infusion.chair,
    )
