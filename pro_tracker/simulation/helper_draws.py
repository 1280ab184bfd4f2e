"""Draws the helpers of synthetic patients, and what becomes of them, from a random stream of their own."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.simulation.parameters import DayRange, HelperParameters
from pro_tracker.simulation.scenario import HelperScenario, PatientScenario

OFFICE_MINUTES = 7 * 60  # from the time of day of the enrolment on


def with_helper(scenario: PatientScenario, parameters: HelperParameters, seed: int) -> PatientScenario:
    """Returns the scenario with the helper whom the patient names; unchanged for most patients."""
    random = Random(f"{seed}:{scenario.number}:helper")  # nosec B311: synthetic data, not secrets
    if random.random() >= parameters.named:
        return scenario
    return replace(scenario, helper=_draw_helper(parameters, random))


def _draw_helper(parameters: HelperParameters, random: Random) -> HelperScenario:
    days = parameters.days_to_change
    stops_at_mail = random.randint(1, parameters.most_mails)
    named_after = _draw_time(parameters.days_to_agreement, random)
    return HelperScenario(
        relation=random.choice(parameters.relations),
        named_after=named_after,
        has_dead_mailbox=random.random() < parameters.dead_mailbox,
        corrected_after=_later(named_after, _draw_change(parameters.corrected, days, random)),
        removed_after=_later(named_after, _draw_change(parameters.removed, days, random)),
        ending=random.choice(tuple(HelperEnding)),
        named_again_after=_draw_change(parameters.named_again, days, random),
        stops_at_mail=stops_at_mail if random.random() < parameters.stopped else None,
        reopened_after=_draw_change(parameters.reopened, days, random),
    )


def _draw_change(share: float, days: DayRange, random: Random) -> timedelta | None:
    after = _draw_time(days, random)
    return after if random.random() < share else None


def _later(start: timedelta, after: timedelta | None) -> timedelta | None:
    return None if after is None else start + after


def _draw_time(days: DayRange, random: Random) -> timedelta:
    day = random.randint(days.minimum, days.maximum)
    minutes = random.randint(1, OFFICE_MINUTES)
    return timedelta(days=day, minutes=minutes)
