"""Draws the enrolment facts of synthetic patients. Names are invented; address domains and numbers do not exist."""

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random

from pro_tracker.domain.subject_codes import Sex
from pro_tracker.languages import SOURCE
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.simulation.parameters import SimulationParameters

NORTH_ZONES = ("America/New_York", "America/New_York", "America/New_York", "America/Chicago")
SOUTH_ZONES = ("America/Chicago", "America/Chicago", "America/Denver", "America/Phoenix")
ZONES = {"north": NORTH_ZONES, "south": SOUTH_ZONES}  # by site code
YOUNGEST, OLDEST = 18, 88  # years
SATURDAY = 5


def draw_enrolment(
    number: int, site_code: str, *, enrolled_on: date, parameters: SimulationParameters, random: Random
) -> EnrolmentFacts:
    """Draws the enrolment facts of the cohort's patient with this number."""
    demographics = parameters.demographics
    email, mobile = _contacts(number, parameters, random)
    lead_days = parameters.course.lead_days
    lead = timedelta(days=random.randint(lead_days.minimum, lead_days.maximum))
    return EnrolmentFacts(
        record_number=f"SIM-{number:06}",
        given_name=random.choice(demographics.given_names),
        family_name=random.choice(demographics.family_names),
        birth_date=_birth_date(enrolled_on, parameters, random),
        sex=Sex.FEMALE if random.random() < demographics.female else Sex.MALE,
        email=email,
        mobile=mobile,
        language=_language(demographics.languages, random),
        time_zone=random.choice(ZONES.get(site_code, NORTH_ZONES)),
        site_code=site_code,
        enrolled_on=enrolled_on,
        consent_version=parameters.consent_version,
        consent_on=enrolled_on,
        planned_start_on=next_weekday(enrolled_on + lead),
        planned_infusions=_planned_infusions(parameters, random),
    )


def next_weekday(day: date) -> date:
    """Returns the day itself, or the following Monday for a Saturday or Sunday."""
    if day.weekday() < SATURDAY:
        return day
    return day + timedelta(days=7 - day.weekday())


def _contacts(number: int, parameters: SimulationParameters, random: Random) -> tuple[str, str]:
    """Returns e-mail address and mobile number; an empty text for a missing one."""
    demographics = parameters.demographics
    email = f"patient{number}@patients.example"
    mobile = f"+1216555{number % 10_000:04}"
    email_only_from = demographics.no_contact
    mobile_only_from = email_only_from + demographics.email_only
    both_from = mobile_only_from + demographics.mobile_only
    draw = random.random()
    if draw < email_only_from:
        return "", ""
    if draw < mobile_only_from:
        return email, ""
    if draw < both_from:
        return "", mobile
    return email, mobile


def _language(shares: Mapping[str, float], random: Random) -> str:
    """Draws one of the languages by its share; English has what the others leave."""
    draw, upper = random.random(), 0.0
    for language, share in shares.items():
        upper += share
        if draw < upper:
            return language
    return SOURCE


def _birth_date(enrolled_on: date, parameters: SimulationParameters, random: Random) -> date:
    distribution = parameters.demographics.age
    drawn = random.gauss(distribution.mean, distribution.sd)
    age = min(max(drawn, YOUNGEST), OLDEST)
    # Half a year more keeps the patient at this age for months.
    return enrolled_on - timedelta(days=round((age + 0.5) * 365.25))


def _planned_infusions(parameters: SimulationParameters, random: Random) -> int:
    usual = parameters.course.planned_infusions
    if random.random() < parameters.course.longer_plan:
        return usual + random.randint(1, 3)
    return usual
