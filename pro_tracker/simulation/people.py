"""Made-up people: names no person has, addresses under a domain that cannot exist, and the facts of their enrolment."""

from datetime import date, timedelta
from random import Random

from pro_tracker.domain.subject_codes import Sex
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.simulation.figures import Figures

ZONES = {
    "north": ("America/New_York", "America/New_York", "America/New_York", "America/Chicago"),
    "south": ("America/Chicago", "America/Chicago", "America/Denver", "America/Phoenix"),
}
YOUNGEST, OLDEST = 18, 88


def enrolment(number: int, site_code: str, enrolled_on: date, *, figures: Figures, random: Random) -> EnrolmentFacts:
    """The facts of the cohort's `number`-th person, enrolled at a site on a date."""
    people, course = figures.people, figures.course
    email, mobile = _contacts(number, figures, random)
    lead = random.randint(course.lead_days.least, course.lead_days.most)
    return EnrolmentFacts(
        record_number=f"SIM-{number:06}",
        given_name=random.choice(people.given_names),
        family_name=random.choice(people.family_names),
        birth_date=_birth_date(enrolled_on, figures, random),
        sex=Sex.FEMALE if random.random() < people.female else Sex.MALE,
        email=email,
        mobile=mobile,
        language="es" if random.random() < people.spanish else "en",
        time_zone=random.choice(ZONES.get(site_code, ZONES["north"])),
        site_code=site_code,
        enrolled_on=enrolled_on,
        consent_version=figures.consent_version,
        consent_on=enrolled_on,
        planned_start_on=next_weekday(enrolled_on + timedelta(days=lead)),
        planned_infusions=_planned(figures, random),
    )


def next_weekday(day: date) -> date:
    """The day itself, or the Monday after a weekend."""
    return day + timedelta(days=max(0, 7 - day.weekday())) if day.weekday() > 4 else day


def _contacts(number: int, figures: Figures, random: Random) -> tuple[str, str]:
    email, mobile = f"patient{number}@patients.example", f"+1216555{number % 10_000:04}"
    people, draw = figures.people, random.random()
    if draw < people.neither:
        return "", ""
    if draw < people.neither + people.email_only:
        return email, ""
    if draw < people.neither + people.email_only + people.mobile_only:
        return "", mobile
    return email, mobile


def _birth_date(enrolled_on: date, figures: Figures, random: Random) -> date:
    age = min(max(random.gauss(figures.people.age.mean, figures.people.age.sd), YOUNGEST), OLDEST)
    return enrolled_on - timedelta(days=round((age + 0.5) * 365.25))


def _planned(figures: Figures, random: Random) -> int:
    planned = figures.course.planned
    return planned + random.randint(1, 3) if random.random() < figures.course.more_than_five else planned
