"""Findings at the infusions of synthetic patients, and what patients report on later days.

The lists are those of the protocol. Each draw has a random stream of its own, so that other draws stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.domain.infusion_codes import OPEN_QUESTION, SymptomAnswer
from pro_tracker.domain.protocol import PlannedSymptom, PlannedVital, TreatmentPlan
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.services.treatment.infusion_facts import InfusionFacts, SymptomFacts, VitalFacts

NOT_ASKED_SHARE = 0.03  # of infusions
NOT_TAKEN_SHARE = 0.04  # of readings
VITALS = {  # code -> mean and standard deviation
    "SYSBP": (128, 14),
    "DIABP": (78, 9),
    "PULSE": (74, 10),
    "OXYSAT": (97, 1),
    "SEDATION": (2, 0.7),
    "DISSOC": (3, 2),
}
LATER_SHARE, VOIDED_SHARE = 0.25, 0.08  # of patients; of these events, those that were another patient's
LATER_TERMS = ("Headache", "Insomnia", "Fatigue", "Vivid dreams", "Palpitations")
GRADES, GRADE_SHARES = (1, 2, 3), (0.6, 0.35, 0.05)
RELATIONS = (Relatedness.UNLIKELY, Relatedness.POSSIBLE)
KNOWN_AT_ONCE: Mapping[str, Any] = {  # of what is reported at an infusion
    "source": AdverseEventSource.ASKED,
    "emergency_response": False,
    "outcome": AdverseEventOutcome.RECOVERED,
    "relatedness": Relatedness.PROBABLE,
    "action_taken": ActionTaken.DOSE_NOT_CHANGED,
    "is_serious": False,
}
ANYTHING_ELSE = PlannedSymptom(OPEN_QUESTION, "Anything else")


@dataclass(frozen=True, slots=True)
class LaterEvent:
    """An adverse event that a patient reports days after an infusion; `over_on` is known a week later.

    `is_error`: staff void it, since it was another patient's.
    """

    facts: AdverseEventFacts
    reported_on: date
    over_on: date
    is_error: bool


def with_findings(facts: InfusionFacts, plan: TreatmentPlan | None, seed: str) -> InfusionFacts:
    """Returns the infusion with the answers and vital signs that the protocol asks for; unchanged without a list."""
    if plan is None or not plan.symptoms:
        return facts
    random = Random(f"{seed}:findings")  # nosec B311: synthetic data, not secrets
    was_asked = random.random() >= NOT_ASKED_SHARE
    events = tuple(_found(event, plan, facts, was_asked=was_asked) for event in facts.adverse_events)
    answers = [_answer(symptom, events, was_asked=was_asked) for symptom in _questions(plan)]
    readings = _readings(plan, random)
    return replace(facts, adverse_events=events, symptoms=tuple(answers), vitals=tuple(readings))


def _questions(plan: TreatmentPlan) -> tuple[PlannedSymptom, ...]:
    return (*plan.symptoms, ANYTHING_ELSE)


def _found(
    event: AdverseEventFacts, plan: TreatmentPlan, facts: InfusionFacts, *, was_asked: bool
) -> AdverseEventFacts:
    listed = _listed(event.term, plan) if was_asked else None
    known = replace(event, **KNOWN_AT_ONCE, started_on=facts.given_on)
    if not was_asked:
        return replace(known, source=AdverseEventSource.VOLUNTEERED)
    if listed is None:
        return known
    return replace(known, term=listed.term, symptom_code=listed.code)


def _listed(term: str, plan: TreatmentPlan) -> PlannedSymptom | None:
    """Returns the symptom of the protocol's list with this term; None if it is not there."""
    return next((symptom for symptom in plan.symptoms if symptom.term.casefold() == term), None)


def _answer(symptom: PlannedSymptom, events: Sequence[AdverseEventFacts], *, was_asked: bool) -> SymptomFacts:
    if not was_asked:
        return SymptomFacts(symptom.code, symptom.term, SymptomAnswer.NOT_ASKED)
    reported = [_code(event) for event in events]
    answer = SymptomAnswer.YES if symptom.code in reported else SymptomAnswer.NO
    return SymptomFacts(symptom.code, symptom.term, answer)


def _code(event: AdverseEventFacts) -> str:
    return event.symptom_code or OPEN_QUESTION


def _readings(plan: TreatmentPlan, random: Random) -> list[VitalFacts]:
    found: list[VitalFacts] = []
    for vital in plan.vitals:
        for timing in vital.timings:
            value = _reading(vital, random)
            found.append(VitalFacts(vital.code, vital.name, timing, value, vital.unit))
    return found


def _reading(vital: PlannedVital, random: Random) -> Decimal | None:
    drawn = Decimal(round(random.gauss(*_usual(vital))))
    if random.random() < NOT_TAKEN_SHARE:
        return None
    return min(max(drawn, vital.lowest), vital.highest)


def _usual(vital: PlannedVital) -> tuple[float, float]:
    middle = float(vital.lowest + vital.highest) / 2
    return VITALS.get(vital.code, (middle, 1))


def draw_later_event(last_on: date, seed: str) -> LaterEvent | None:
    """Returns what a patient reports in the weeks after the last infusion, asked or not; None for most patients."""
    random = Random(f"{seed}:later")  # nosec B311: synthetic data, not secrets
    if random.random() >= LATER_SHARE:
        return None
    started_on = last_on + timedelta(days=random.randint(1, 12))
    reported_on = started_on + timedelta(days=random.randint(0, 5))
    facts = _later_facts(random, started_on, reported_on)
    is_error = random.random() < VOIDED_SHARE
    over_on = reported_on + timedelta(days=random.randint(1, 6))
    return LaterEvent(facts, reported_on, over_on, is_error)


def _later_facts(random: Random, started_on: date, reported_on: date) -> AdverseEventFacts:
    return AdverseEventFacts(
        term=random.choice(LATER_TERMS),
        ctcae_grade=random.choices(GRADES, GRADE_SHARES)[0],
        emergency_response=False,
        source=random.choice(tuple(AdverseEventSource)),
        found_on=reported_on,
        started_on=started_on,
        outcome=AdverseEventOutcome.NOT_RECOVERED,
        relatedness=random.choice(RELATIONS),
        action_taken=ActionTaken.NOT_APPLICABLE,
        is_serious=False,
    )
