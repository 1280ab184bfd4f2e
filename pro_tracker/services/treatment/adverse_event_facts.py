"""The facts of one adverse event and the rules for them. No database access."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.models.course import AdverseEvent

DEATH_GRADE = 5
MAX_TERM_LENGTH = 200


@dataclass(frozen=True, slots=True)
class AdverseEventFacts:
    """An untoward medical occurrence; `ctcae_grade` 1 (mild) to 5 (death), CTCAE 5.0. None: not recorded.

    Dates and the time of onset are local to the site. `found_on` None: the day of the infusion at which it was found.
    `symptom_code`: the symptom of the protocol's list that it answers.
    """

    term: str
    ctcae_grade: int
    emergency_response: bool | None = None
    symptom_code: str | None = None
    source: AdverseEventSource | None = None
    found_on: date | None = None
    started_on: date | None = None
    started_at_local: time | None = None
    ended_on: date | None = None
    outcome: AdverseEventOutcome | None = None
    relatedness: Relatedness | None = None
    action_taken: ActionTaken | None = None
    is_serious: bool | None = None


def problems(facts: AdverseEventFacts, today: date) -> Iterator[tuple[str, str]]:
    """Yields the field and the reason of each fact that is out of range or contradicts another.

    `today`: at the site.
    """
    if not facts.term.strip():
        yield "term", "Say what the adverse event was."
    if not 1 <= facts.ctcae_grade <= DEATH_GRADE:
        yield "ctcae_grade", "The CTCAE grade must be 1 to 5."
    elif facts.outcome is not None and (facts.outcome == AdverseEventOutcome.FATAL) != _is_fatal(facts):
        yield "outcome", "Grade 5 and a fatal outcome go together. Correct one of them."
    if _is_fatal(facts) and facts.is_serious is False:
        yield "is_serious", "A death is serious. Correct this, or the grade."
    if facts.started_at_local is not None and facts.started_on is None:
        yield "started_on", "There is a time of onset without its day. Enter the day, or clear the time."
    yield from _date_problems(facts, today)


def _is_fatal(facts: AdverseEventFacts) -> bool:
    return facts.ctcae_grade == DEATH_GRADE


def _date_problems(facts: AdverseEventFacts, today: date) -> Iterator[tuple[str, str]]:
    days = {"found_on": facts.found_on, "started_on": facts.started_on, "ended_on": facts.ended_on}
    for field, on in days.items():
        if on is not None and on > today:
            yield field, "This day lies in the future. Check the date."
    if facts.started_on and facts.found_on and facts.started_on > facts.found_on:
        yield "started_on", "It began after the day on which it was found. Check both dates."
    if facts.ended_on and facts.started_on and facts.ended_on < facts.started_on:
        yield "ended_on", "It ended before it began. Check both dates."


def facts_of(event: AdverseEvent) -> AdverseEventFacts:
    """Returns the recorded facts of an adverse event."""
    names = AdverseEventFacts.__dataclass_fields__
    return AdverseEventFacts(**{name: getattr(event, name) for name in names})


def build(facts: AdverseEventFacts, course_id: int, now: datetime) -> AdverseEvent:
    """Builds the row of an adverse event of a course, recorded at `now`; does not add it to a session."""
    known = {name: getattr(facts, name) for name in AdverseEventFacts.__dataclass_fields__}
    return AdverseEvent(**known | {"term": facts.term.strip(), "course_id": course_id, "recorded_at": now})
