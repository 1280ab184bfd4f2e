"""Fault injection: draws the faults and changes in a patient's scenario from a separate random stream.

The separate stream keeps the scenario itself the same with and without faults.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from random import Random

from pro_tracker.simulation.parameters import DayRange, FaultParameters, SimulationParameters
from pro_tracker.simulation.scenario import CourseScenario, DeathScenario, InjectedEvent, PatientScenario

MESSAGE_TIMES = tuple(f"{hour:02}:{minute:02}" for hour, minute in product(range(6, 24), (0, 30)))
MINUTES_PER_DAY = 24 * 60
PLANNED_START_SHIFT = (-2, 14)  # days
CORRECTION_SHIFTS = (-2, -1, 1, 2)  # days between the recorded and the actual date of an infusion
MISTYPED_BY = timedelta(days=30)  # about a month
LAST_BIRTH_DATE_CORRECTION = 40  # days after enrolment
DAYS_TO_RECORD_DEATH = (0, 1, 3, None)  # None: the day of the death is not known
SECOND_RECORD_AFTER = (0, 3)  # days after enrolment
MERGED_AFTER = (0, 20)  # days after the second enrolment
CORRECTED_WITHIN = 30  # days after the last infusion


def with_fault_parameters(parameters: SimulationParameters, faults: FaultParameters) -> SimulationParameters:
    """Returns the parameters with the shares and the duration that fault injection overrides."""
    demographics = parameters.demographics.model_copy(update={"withdrawal": faults.withdrawal})
    course = parameters.course.model_copy(update={"second_course": faults.second_course})
    changes = {
        "demographics": demographics,
        "course": course,
        "days": faults.days,
        "answering": faults.answering,
        "missed_days": faults.missed_days,
        "helpers": faults.helpers,
        "consents": faults.consents,
    }
    return parameters.model_copy(update=changes)


def with_injected_events(scenario: PatientScenario, faults: FaultParameters, seed: int) -> PatientScenario:
    """Returns the scenario with faults."""
    random = Random(f"{seed}:{scenario.number}:faults")
    of_death = Random(f"{seed}:{scenario.number}:death")  # nosec B311  its own, so that the others stay the same
    courses = tuple(_with_entry_delays(course, faults, random) for course in scenario.courses)
    patient_events = list(_patient_events(faults, random))
    address_events = list(_address_events(faults, random))
    treatment_events = list(_treatment_events(scenario, faults, random))
    withdrawal_reverted_after = _draw_withdrawal_reverted(faults, random)
    person_events = list(_person_events(scenario, faults, random))
    record_events = list(_record_events(faults, random))
    changed = replace(
        scenario,
        courses=courses,
        injected_events=(
            *scenario.injected_events,
            *patient_events,
            *address_events,
            *treatment_events,
            *record_events,
        ),
        withdrawal_reverted_after=withdrawal_reverted_after,
        death=_draw_death(faults, of_death),
    )
    return with_person_events(changed, person_events)


def _person_events(scenario: PatientScenario, faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields "transfer", and "birth-date" for a birth date that was mistyped at enrolment."""
    if random.random() < faults.transfer:
        at = _draw_time(faults, random)
        yield InjectedEvent(at, "transfer")
    is_mistyped = random.random() < faults.mistyped_birth_date
    if is_mistyped and scenario.facts.birth_date is not None:
        at = _draw_between(1, LAST_BIRTH_DATE_CORRECTION, random)
        yield InjectedEvent(at, "birth-date")


def with_person_events(scenario: PatientScenario, events: Sequence[InjectedEvent]) -> PatientScenario:
    """Returns the scenario with these events; with another birth date at enrolment, if one of them corrects it."""
    changed = replace(scenario, injected_events=(*scenario.injected_events, *events))
    born_on = scenario.facts.birth_date
    if born_on is None or "birth-date" not in [event.kind for event in events]:
        return changed
    mistyped = replace(scenario.facts, birth_date=born_on - MISTYPED_BY)
    return replace(changed, born_on=born_on, facts=mistyped)


def _draw_death(faults: FaultParameters, random: Random) -> DeathScenario | None:
    if random.random() >= faults.death:
        return None
    is_reverted = random.random() < faults.death_reverted
    after = _draw_time(faults, random)
    days_late = random.choice(DAYS_TO_RECORD_DEATH)
    to_revert = timedelta(days=_draw_days(faults.days_to_correction, random))
    return DeathScenario(after, days_late, to_revert if is_reverted else None)


def _draw_withdrawal_reverted(faults: FaultParameters, random: Random) -> timedelta | None:
    if random.random() >= faults.withdrawal_reverted:
        return None
    return timedelta(days=_draw_days(faults.days_to_correction, random))


def _with_entry_delays(course: CourseScenario, faults: FaultParameters, random: Random) -> CourseScenario:
    delays: list[int] = []
    for _ in course.infusions:
        is_late = random.random() < faults.late_entry
        delays.append(_draw_days(faults.entry_delay_days, random) if is_late else 0)
    return replace(course, entry_delays=tuple(delays))


def _patient_events(faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields "time-zone" (value: zone), "pause" (days, or None), "resume" and "preferences" (message time)."""
    if random.random() < faults.time_zone_change:
        for _ in range(random.choice((1, 2))):
            after = _draw_time(faults, random)
            yield InjectedEvent(after, "time-zone", random.choice(faults.time_zones))
    if random.random() < faults.pause:
        yield from _pause_events(faults, random)
    if random.random() < faults.preference_change:
        after = _draw_time(faults, random)
        yield InjectedEvent(after, "preferences", random.choice(MESSAGE_TIMES))


def _pause_events(faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields a pause with a known end, or an open-ended one and its later end."""
    after = _draw_time(faults, random)
    days = _draw_days(faults.pause_days, random)
    is_open_ended = random.random() < faults.open_ended_pause
    yield InjectedEvent(after, "pause", None if is_open_ended else days)
    if is_open_ended:
        yield InjectedEvent(after + timedelta(days=days), "resume")


def _address_events(faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields "dead-mailbox", "opt-out" and "wrong-number", and for a share of them the correction days later."""
    faults_and_corrections = (
        ("dead-mailbox", faults.dead_mailbox, "new-email", faults.address_corrected),
        ("opt-out", faults.opt_out, "opt-in", faults.opt_in_again),
        ("wrong-number", faults.wrong_number, "new-mobile", faults.address_corrected),
    )
    for kind, share, correction, corrected_share in faults_and_corrections:
        if random.random() >= share:
            continue
        after = _draw_time(faults, random)
        yield InjectedEvent(after, kind)
        if random.random() < corrected_share:
            days = _draw_days(faults.days_to_correction, random)
            yield InjectedEvent(after + timedelta(days=days), correction)


def _record_events(faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields "second-record" soon after enrolment, and "merge", which counts from the second enrolment."""
    if random.random() < faults.second_record:
        yield InjectedEvent(_draw_between(*SECOND_RECORD_AFTER, random), "second-record")
        yield InjectedEvent(_draw_between(*MERGED_AFTER, random), "merge")


def _treatment_events(scenario: PatientScenario, faults: FaultParameters, random: Random) -> Iterator[InjectedEvent]:
    """Yields "planned-start" (value: days) and "infusion-correction" (days; None removes the infusion)."""
    first = scenario.courses[0]
    enrolled_on = scenario.facts.enrolled_on or first.start_on
    lead = (first.start_on - enrolled_on).days
    if random.random() < faults.planned_start_change and lead > 1:
        after = _draw_between(1, lead - 1, random)
        yield InjectedEvent(after, "planned-start", random.randint(*PLANNED_START_SHIFT))
    for course in scenario.courses:
        if random.random() < faults.infusion_correction:
            last_day = (course.infusions[-1].given_on - enrolled_on).days
            is_removal = random.random() < faults.infusion_removal
            shift = None if is_removal else random.choice(CORRECTION_SHIFTS)
            after = _draw_between(last_day, last_day + CORRECTED_WITHIN, random)
            yield InjectedEvent(after, "infusion-correction", shift)


def _draw_time(faults: FaultParameters, random: Random) -> timedelta:
    """Draws a time after enrolment."""
    return _draw_between(faults.event_days.minimum, faults.event_days.maximum, random)


def _draw_between(first_day: int, last_day: int, random: Random) -> timedelta:
    """Draws a day, and any time of it, day or night."""
    days = random.randint(first_day, last_day)
    minutes = random.randint(0, MINUTES_PER_DAY - 1)
    return timedelta(days=days, minutes=minutes)


def _draw_days(limits: DayRange, random: Random) -> int:
    return random.randint(limits.minimum, limits.maximum)
