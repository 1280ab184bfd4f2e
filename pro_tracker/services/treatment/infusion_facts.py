"""The facts of one infusion and the rules for their ranges. No database access."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.domain.plausible_dates import EARLIEST
from pro_tracker.domain.wall_time import local_date


@dataclass(frozen=True, slots=True)
class AdverseEventFacts:
    """An untoward medical occurrence at or after the infusion; `ctcae_grade` 1 (mild) to 5 (death), CTCAE 5.0."""

    term: str
    ctcae_grade: int
    emergency_response: bool = False


@dataclass(frozen=True, slots=True)
class InfusionFacts:
    """One infusion as given, in the wall time of the site. `ondansetron_mg` None: none was given."""

    given_on: date
    started_at_local: time | None
    dose_mg_per_kg: Decimal
    weight_kg: Decimal
    minutes: int
    status: InfusionStatus = InfusionStatus.COMPLETED
    stop_reason: str | None = None
    ondansetron_mg: Decimal | None = None
    adverse_events: tuple[AdverseEventFacts, ...] = ()


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
    yield from _adverse_event_problems(facts)


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
        yield "ondansetron_mg", "Ondansetron must be 0 to 32 mg, or left empty when none was given."


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


def _adverse_event_problems(facts: InfusionFacts) -> Iterator[tuple[str, str]]:
    for event in facts.adverse_events:
        if not event.term.strip():
            yield "adverse_events", "Say what the adverse event was."
        if not 1 <= event.ctcae_grade <= 5:
            yield "adverse_events", "The CTCAE grade must be 1 to 5."
