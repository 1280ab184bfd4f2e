"""The facts of one infusion and the rules for their ranges. No database access."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import (
    OPEN_QUESTION,
    InfusionStatus,
    MedicationPurpose,
    SymptomAnswer,
    VitalTiming,
)
from pro_tracker.domain.plausible_dates import EARLIEST
from pro_tracker.domain.wall_time import local_date
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts, problems

__all__ = ["AdverseEventFacts", "InfusionFacts", "MedicationFacts", "SymptomFacts", "VitalFacts", "check"]


@dataclass(frozen=True, slots=True)
class SymptomFacts:
    """One symptom that the protocol asks about, and the answer, or that it was not asked about."""

    code: str
    term: str
    answer: SymptomAnswer


@dataclass(frozen=True, slots=True)
class VitalFacts:
    """One vital sign at one time of the infusion; `value` in `unit`, None: the protocol asks for it, not taken."""

    code: str
    name: str
    timing: VitalTiming
    value: Decimal | None
    unit: str


@dataclass(frozen=True, slots=True)
class MedicationFacts:
    """Another drug given at the infusion; `amount` in `unit`, 0: not given, None: the dose is not known."""

    name: str
    purpose: MedicationPurpose
    amount: Decimal | None
    unit: str


@dataclass(frozen=True, slots=True)
class InfusionFacts:
    """One infusion as given, in the wall time of the site. `ondansetron_mg` None: not recorded, 0: none was given.

    Without `symptoms` it is not known whether it was asked about; `medications` are those other than ondansetron.
    """

    given_on: date
    started_at_local: time | None
    dose_mg_per_kg: Decimal
    weight_kg: Decimal
    minutes: int
    status: InfusionStatus = InfusionStatus.COMPLETED
    stop_reason: str | None = None
    ondansetron_mg: Decimal | None = None
    adverse_events: tuple[AdverseEventFacts, ...] = ()
    symptoms: tuple[SymptomFacts, ...] = ()
    vitals: tuple[VitalFacts, ...] = ()
    medications: tuple[MedicationFacts, ...] = ()
    nurse: str | None = None
    chair: str | None = None


def check(facts: InfusionFacts, *, zone: str, now: datetime) -> None:
    """Raises InvalidInput with its field for the first fact that is out of range or contradicts another."""
    today = local_date(now, zone)
    for field, reason in _problems(facts, today):
        raise InvalidInput(reason, field=field)


def _problems(facts: InfusionFacts, today: date) -> Iterator[tuple[str, str]]:
    if facts.given_on > today:
        yield "given_on", "The infusion date lies in the future. Record an infusion once it was given."
    if facts.given_on < EARLIEST:
        yield "given_on", f"The infusion date lies before {EARLIEST.year}. Check the year."
    yield from _quantity_problems(facts)
    yield from _status_problems(facts)
    yield from _adverse_event_problems(facts, today)
    yield from _answer_problems(facts)


def _quantity_problems(facts: InfusionFacts) -> Iterator[tuple[str, str]]:
    # A number that rounds to 0 in its column is rejected as well.
    dose, weight = facts.dose_mg_per_kg, facts.weight_kg
    if not (0 < dose <= 5 and _rounded(dose, "0.001")):
        yield "dose_mg_per_kg", "The dose must be above 0 and at most 5 mg/kg."
    if not (0 < weight < 500 and 0 < _rounded(weight, "0.1") < 500):
        yield "weight_kg", "The weight must be above 0 and below 500 kg."
    if not 0 < facts.minutes <= 24 * 60:
        yield "minutes", "The duration must be 1 to 1440 minutes."
    ondansetron = facts.ondansetron_mg
    if ondansetron is not None and not 0 <= ondansetron <= 32:
        yield "ondansetron_mg", "Ondansetron must be 0 to 32 mg, or left empty when that is not known."


def _rounded(value: Decimal, unit: str) -> Decimal:
    """Returns the number rounded as the column stores it: 0.0001 mg/kg becomes 0 with a `unit` of 0.001."""
    return value.quantize(Decimal(unit), ROUND_HALF_UP)


def _status_problems(facts: InfusionFacts) -> Iterator[tuple[str, str]]:
    reason = (facts.stop_reason or "").strip()
    if facts.status not in tuple(InfusionStatus):
        yield "status", "The infusion was either completed or stopped."
    if facts.status == InfusionStatus.STOPPED and not reason:
        yield "stop_reason", "Say why the infusion was stopped."
    if facts.status == InfusionStatus.COMPLETED and reason:
        yield (
            "stop_reason",
            "A completed infusion has no reason for stopping. Clear it, or mark the infusion as stopped.",
        )


def _adverse_event_problems(facts: InfusionFacts, today: date) -> Iterator[tuple[str, str]]:
    for event in facts.adverse_events:
        for _field, reason in problems(replace(event, found_on=facts.given_on), today):
            yield "adverse_events", reason


def _answer_problems(facts: InfusionFacts) -> Iterator[tuple[str, str]]:
    """Yields what the answers and the adverse events say of each other: a yes has its event, and a no has none."""
    named = {event.symptom_code for event in facts.adverse_events}
    for symptom in facts.symptoms:
        # The question after the list is answered by events without a code of their own.
        code = None if symptom.code == OPEN_QUESTION else symptom.code
        if symptom.answer == SymptomAnswer.YES and code not in named:
            yield "adverse_events", f"{symptom.term}: was reported, so it needs its grade."
        if symptom.answer == SymptomAnswer.NO and code in named:
            yield "adverse_events", f"{symptom.term}: is described, but the answer is no. Correct one of them."
