"""Treatments alongside the infusions, such as drugs or physical therapy: their facts and the rules for them.

A change of dose ends one row and begins another. That there is none is a row too, since "not asked" is no "none".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.other_treatment_codes import OtherTreatmentKind, TreatmentFrequency
from pro_tracker.models.other_treatment import OtherTreatment
from pro_tracker.services.treatment import replaced_rows
from pro_tracker.services.treatment.course_rows import RowActions, RowEntry, RowKind

EARLIEST = date(1950, 1, 1)  # treatments of many years are recorded with the day on which they began
MOST, DECIMALS = Decimal("999999.999"), 3  # as its column stores it


@dataclass(frozen=True, slots=True)
class OtherTreatmentFacts:
    """A treatment alongside: one dose is `amount` in `unit`, as often as `frequency` says. None: not known.

    Days are local to the site. `asked_on`: when the clinic learned of it. `ended_on` None: it goes on. The kind NONE
    has nothing but `asked_on`.
    """

    kind: OtherTreatmentKind
    name: str
    asked_on: date
    amount: Decimal | None = None
    unit: str | None = None
    frequency: TreatmentFrequency | None = None
    started_on: date | None = None
    ended_on: date | None = None


def facts_of(treatment: OtherTreatment) -> OtherTreatmentFacts:
    """Returns the recorded facts of a treatment."""
    names = OtherTreatmentFacts.__dataclass_fields__
    return OtherTreatmentFacts(**{name: getattr(treatment, name) for name in names})


def problems(facts: OtherTreatmentFacts, today: date) -> Iterator[tuple[str, str]]:
    """Yields the field and the reason of each fact that is out of range or contradicts another.

    `today`: at the site.
    """
    if facts.kind == OtherTreatmentKind.NONE:
        yield from _contradictions_of_none(facts)
    elif not facts.name.strip():
        yield "name", "Say which treatment it is."
    if facts.amount is not None and not _is_dose(facts.amount):
        yield "amount", "The dose must be more than 0 and less than a million, with at most three decimals."
    if (facts.amount is None) != (not facts.unit):
        yield "unit", "A dose has a number and a unit, such as 300 and mg. Enter both or none."
    yield from _date_problems(facts, today)


def _is_dose(amount: Decimal) -> bool:
    return 0 < amount <= MOST and amount == round(amount, DECIMALS)


def _contradictions_of_none(facts: OtherTreatmentFacts) -> Iterator[tuple[str, str]]:
    entered = (facts.name.strip(), facts.amount, facts.unit, facts.frequency, facts.started_on, facts.ended_on)
    if any(entered):
        yield "kind", "There is no other treatment, and one is described. Choose its kind, or clear the other fields."


def _date_problems(facts: OtherTreatmentFacts, today: date) -> Iterator[tuple[str, str]]:
    days = {"asked_on": facts.asked_on, "started_on": facts.started_on, "ended_on": facts.ended_on}
    for field, on in days.items():
        if on is not None and on > today:
            yield field, "This day lies in the future. Check the date."
        elif on is not None and on < EARLIEST:
            yield field, "This day lies before 1950. Check the date."
    if facts.ended_on and facts.started_on and facts.ended_on < facts.started_on:
        yield "ended_on", "It ended before it began. Check both dates."


def _check(session: Session, entry: RowEntry[OtherTreatmentFacts]) -> None:
    """Raises InvalidInput with its field for facts that contradict each other, a death, or what is recorded."""
    course, facts = entry.course, entry.facts
    for field, reason in problems(facts, replaced_rows.site_day(session, course, entry.now)):
        raise InvalidInput(reason, field=field)
    for field in ("asked_on", "started_on", "ended_on"):
        replaced_rows.reject_after_death(entry.subject, getattr(facts, field), field)
    recorded = [facts_of(each) for each in replaced_rows.in_effect(session, OtherTreatment, entry.subject)]
    _reject_contradiction(facts, recorded)


def _reject_contradiction(facts: OtherTreatmentFacts, recorded: Sequence[OtherTreatmentFacts]) -> None:
    """Raises InvalidInput for a treatment that is recorded already, and for none where one goes on."""
    if facts in recorded:
        raise InvalidInput("This treatment is recorded already.")
    if facts.kind == OtherTreatmentKind.NONE and any(_goes_on(each, facts.asked_on) for each in recorded):
        raise InvalidInput(
            "A treatment that goes on is recorded. Correct it first: enter the day on which it ended.", field="kind"
        )


def _goes_on(facts: OtherTreatmentFacts, on: date) -> bool:
    """Returns whether the treatment was going on at this day, as far as is recorded."""
    has_ended = facts.ended_on is not None and facts.ended_on <= on
    began_later = facts.started_on is not None and facts.started_on > on
    return facts.kind != OtherTreatmentKind.NONE and not has_ended and not began_later


def _columns(facts: OtherTreatmentFacts) -> dict[str, Any]:
    known = {name: getattr(facts, name) for name in OtherTreatmentFacts.__dataclass_fields__}
    return known | {"name": facts.name.strip(), "unit": facts.unit or None}


OTHER_TREATMENTS: RowKind[OtherTreatment, OtherTreatmentFacts] = RowKind(
    table=OtherTreatment,
    actions=RowActions("other-treatment.record", "other-treatment.correct", "other-treatment.void"),
    check=_check,
    facts_of=facts_of,
    columns=_columns,
)
