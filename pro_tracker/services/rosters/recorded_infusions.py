"""Compares the infusions of a file with those that are recorded. Read only."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from pro_tracker.models.course import Infusion
from pro_tracker.services.rosters.infusion_rows import InfusionRow
from pro_tracker.services.rosters.roster_cells import COLUMN_BY_FIELD
from pro_tracker.services.rosters.roster_checks import FREE_TEXT, RosterFinding
from pro_tracker.services.treatment import infusion_findings
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts

DETAILS = ("started_at_local", "dose_mg_per_kg", "weight_kg", "minutes", "status", "stop_reason", "ondansetron_mg")
VALUES = "Recorded is {recorded}, the file has {given}."
WORDS = "This is recorded in other words."
EVENTS = "The file has an adverse event that is not recorded with this infusion."


def matching(row: InfusionRow, rows: Sequence[InfusionRow], recorded: Sequence[Infusion]) -> Infusion | None:
    """Returns the recorded infusion that a row of this person is about, or None.

    It has the same date and start; or it is the only one of its day, and so is the row, so that a start that was left
    out or mistyped is a difference and no second infusion.
    """
    same_day = [each for each in recorded if each.given_on == row.facts.given_on]
    for each in same_day:
        if (each.given_on, each.started_at_local) == row.at:
            return each
    rows_of_day = [each for each in rows if each.facts.given_on == row.facts.given_on]
    return same_day[0] if len(same_day) == len(rows_of_day) == 1 else None


def differences(row: InfusionRow, infusion: Infusion) -> Iterator[RosterFinding]:
    """Yields what a row says otherwise; adverse events that staff added since are none. Free text is not repeated."""
    recorded = infusion_findings.facts_of(infusion)
    for name in DETAILS:
        before, now = getattr(recorded, name), getattr(row.facts, name)
        if before != now:
            column = COLUMN_BY_FIELD.get(name, name)
            reason = WORDS if column in FREE_TEXT else VALUES.format(recorded=_written(before), given=_written(now))
            yield RosterFinding(row.line, column, reason, is_warning=True)
    if _unrecorded(row.facts, recorded):
        yield RosterFinding(row.line, "adverse_event", EVENTS, is_warning=True)


def with_recorded_events(facts: InfusionFacts, infusion: Infusion) -> InfusionFacts:
    """Returns the infusion as the file has it, with all that is recorded and a row has no column for."""
    recorded = infusion_findings.facts_of(infusion)
    in_file = {name: getattr(facts, name) for name in ("given_on", *DETAILS)}
    new = _unrecorded(facts, recorded)
    return replace(recorded, **in_file, adverse_events=(*recorded.adverse_events, *new))


def _unrecorded(facts: InfusionFacts, recorded: InfusionFacts) -> list[AdverseEventFacts]:
    """Returns the adverse events of a row that are not recorded, by what a row can say of them."""
    known = {_named(event) for event in recorded.adverse_events}
    return [event for event in facts.adverse_events if _named(event) not in known]


def _named(event: AdverseEventFacts) -> tuple[str, int, bool | None]:
    return event.term, event.ctcae_grade, event.emergency_response


def _written(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
