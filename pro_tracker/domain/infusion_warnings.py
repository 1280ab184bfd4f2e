"""Warnings about an infusion as entered: against the protocol, and against what was recorded before. Pure.

A warning forbids nothing. It names what is odd, so that staff correct or confirm it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.protocol import TreatmentPlan

# Of protocols that name no dose: below anaesthesia, and far above what a slip of the decimal point leaves.
USUAL_DOSE = (Decimal("0.1"), Decimal(2))  # mg/kg
USUAL_WEIGHT = (35, 250)  # kg, of adults
DOSE_CHANGE_PERCENT = 50  # against the infusion before
WEIGHT_CHANGE_PERCENT = 10
DURATION_CHANGE_PERCENT = 50
MISSED = {
    MissedInfusionKind.DID_NOT_COME: "On this day the patient is recorded as not having come.",
    MissedInfusionKind.RESCHEDULED: "The infusion of this day is recorded as moved to another day.",
}
ENTRY_ENDS = "If you save the infusion, that entry is removed."


@dataclass(frozen=True, slots=True)
class GivenInfusion:
    """An infusion as entered or recorded: dates and times at the site, dose in mg/kg, weight in kg, minutes."""

    given_on: date
    started_at_local: time | None
    dose_mg_per_kg: Decimal
    weight_kg: Decimal
    minutes: int

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Start and end as wall times at the site; None without a start time."""
        if self.started_at_local is None:
            return None
        start = datetime.combine(self.given_on, self.started_at_local)
        return start, start + timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class TreatmentSoFar:
    """The protocol's plan (None without one), the other infusions of the course by date, and how many are planned.

    `missed`: the days on which none was given, and why.
    """

    plan: TreatmentPlan | None
    infusions: Sequence[GivenInfusion]
    planned_infusions: int
    missed: Mapping[date, MissedInfusionKind] = field(default_factory=dict)

    def before(self, given: GivenInfusion) -> GivenInfusion | None:
        """Returns the last infusion up to the day of this one; None if it is the first."""
        earlier = [other for other in self.infusions if other.given_on <= given.given_on]
        return earlier[-1] if earlier else None


@dataclass(frozen=True, slots=True)
class InfusionWarning:
    """One odd value. `field`: of the form."""

    field: str
    text: str


def warnings(given: GivenInfusion, so_far: TreatmentSoFar) -> Sequence[InfusionWarning]:
    """Returns the warnings about an infusion, in the order of the form."""
    last = so_far.before(given)
    return [
        *_interval_warnings(given, so_far),
        *_missed_warnings(given, so_far),
        *_number_warnings(so_far),
        *_dose_warnings(given, last, so_far.plan),
        *_weight_warnings(given, last),
        *_duration_warnings(given, so_far.plan),
    ]


def _interval_warnings(given: GivenInfusion, so_far: TreatmentSoFar) -> Iterator[InfusionWarning]:
    for other in so_far.infusions:
        if _overlap(given, other):
            text = f"It overlaps the infusion of {other.started_at_local:%H:%M}, which took {other.minutes} minutes."
            yield InfusionWarning("started_at_local", text)
        elif given.given_on == other.given_on:
            yield InfusionWarning("given_on", "Another infusion of this day is recorded.")
        elif _is_too_close(given, other, so_far.plan):
            yield InfusionWarning("given_on", _spacing_text(other, so_far.plan))


def _overlap(given: GivenInfusion, other: GivenInfusion) -> bool:
    mine, theirs = given.interval, other.interval
    if mine is None or theirs is None:
        return False
    return mine[0] < theirs[1] and theirs[0] < mine[1]


def _is_too_close(given: GivenInfusion, other: GivenInfusion, plan: TreatmentPlan | None) -> bool:
    return plan is not None and abs(given.given_on - other.given_on) < timedelta(days=plan.spacing_days)


def _spacing_text(other: GivenInfusion, plan: TreatmentPlan | None) -> str:
    days = plan.spacing_days if plan else 1
    return f"The protocol leaves {days} days between infusions; one was given on {other.given_on:%d %b %Y}."


def _missed_warnings(given: GivenInfusion, so_far: TreatmentSoFar) -> Iterator[InfusionWarning]:
    kind = so_far.missed.get(given.given_on)
    if kind is not None:
        yield InfusionWarning("given_on", f"{MISSED[kind]} {ENTRY_ENDS}")


def _number_warnings(so_far: TreatmentSoFar) -> Iterator[InfusionWarning]:
    number = len(so_far.infusions) + 1
    if number > so_far.planned_infusions:
        text = f"This is infusion {number} of {so_far.planned_infusions} planned. More may be given; check the date."
        yield InfusionWarning("given_on", text)


def _dose_warnings(
    given: GivenInfusion, last: GivenInfusion | None, plan: TreatmentPlan | None
) -> Iterator[InfusionWarning]:
    if _is_usual_dose(given.dose_mg_per_kg, plan) and not _differs_from_last(given, last):
        return
    compared = [_planned_dose(plan)]
    if last is not None:
        compared.append(f"the last infusion had {_plain(last.dose_mg_per_kg)} mg/kg")
    text = f"The dose is {_plain(given.dose_mg_per_kg)} mg/kg; {' and '.join(compared)}."
    yield InfusionWarning("dose_mg_per_kg", text)


def _is_usual_dose(dose: Decimal, plan: TreatmentPlan | None) -> bool:
    if plan is None:
        return USUAL_DOSE[0] <= dose <= USUAL_DOSE[1]
    return not _differs(dose, plan.dose_mg_per_kg, plan.tolerance_percent)


def _differs_from_last(given: GivenInfusion, last: GivenInfusion | None) -> bool:
    return last is not None and _differs(given.dose_mg_per_kg, last.dose_mg_per_kg, DOSE_CHANGE_PERCENT)


def _planned_dose(plan: TreatmentPlan | None) -> str:
    if plan is None:
        return f"usual are {_plain(USUAL_DOSE[0])} to {_plain(USUAL_DOSE[1])} mg/kg"
    return f"the protocol says {_plain(plan.dose_mg_per_kg)} mg/kg, within {plan.tolerance_percent} %"


def _weight_warnings(given: GivenInfusion, last: GivenInfusion | None) -> Iterator[InfusionWarning]:
    if last is not None and _differs(given.weight_kg, last.weight_kg, WEIGHT_CHANGE_PERCENT):
        text = f"The weight is {_plain(given.weight_kg)} kg; at the last infusion it was {_plain(last.weight_kg)} kg."
        yield InfusionWarning("weight_kg", text)
    elif not USUAL_WEIGHT[0] <= given.weight_kg <= USUAL_WEIGHT[1]:
        text = f"The weight is {_plain(given.weight_kg)} kg; usual are {USUAL_WEIGHT[0]} to {USUAL_WEIGHT[1]} kg."
        yield InfusionWarning("weight_kg", text)


def _duration_warnings(given: GivenInfusion, plan: TreatmentPlan | None) -> Iterator[InfusionWarning]:
    if plan is not None and _differs(Decimal(given.minutes), Decimal(plan.minutes), DURATION_CHANGE_PERCENT):
        yield InfusionWarning("minutes", f"It took {given.minutes} minutes; the protocol says {plan.minutes}.")


def _differs(value: Decimal, from_value: Decimal, percent: int) -> bool:
    return abs(value - from_value) * 100 > from_value * percent


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
