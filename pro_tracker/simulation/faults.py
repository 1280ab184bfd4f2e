"""Fault injection: draws the faults and changes in a patient's scenario from a separate random stream.

The separate stream keeps the scenario itself the same with and without faults.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from random import Random

from pro_tracker.simulation.parameters import DayRange, FaultParameters, SimulationParameters
from pro_tracker.simulation.scenario import CourseScenario, InjectedEvent, PatientScenario

MESSAGE_TIMES = tuple(f"{hour:02}:{minute:02}" for hour, minute in product(range(6, 24), (0, 30)))
MINUTES_PER_DAY = 24 * 60
PLANNED_START_SHIFT = (-2, 14)  # days
CORRECTION_SHIFTS = (-2, -1, 1, 2)  # days between the recorded and the actual date of an infusion
CORRECTED_WITHIN = 30  # days after the last infusion


def with_fault_parameters(parameters: SimulationParameters, faults: FaultParameters) -> SimulationParameters:
    """Returns the parameters with the shares and the duration that fault injection overrides."""
    demographics = parameters.demographics.model_copy(update={"withdrawal": faults.withdrawal})
    course = parameters.course.model_copy(update={"second_course": faults.second_course})
    changes = {"demographics": demographics, "course": course, "days": faults.days}
    return parameters.model_copy(update=changes)


def with_injected_events(scenario: PatientScenario, faults: FaultParameters, seed: int) -> PatientScenario:
    """Returns the scenario with faults."""
    random = Random(f"{seed}:{scenario.number}:faults")
    courses = tuple(_with_entry_delays(course, faults, random) for course in scenario.courses)
    patient_events = list(_patient_events(faults, random))
    address_events = list(_address_events(faults, random))
    treatment_events = list(_treatment_events(scenario, faults, random))
    return replace(
        scenario,
        courses=courses,
        injected_events=(*patient_events, *address_events, *treatment_events),
        withdrawal_reverted_after=_draw_withdrawal_reverted(faults, random),
    )


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
