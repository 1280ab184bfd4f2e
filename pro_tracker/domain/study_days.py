"""Study days as CDISC counts them: the reference date is day 1, the day before it day -1; there is no day 0."""

from datetime import date, timedelta


def study_day(on: date, reference_on: date) -> int:
    """The study day of a date (SDTM --DY) for a subject whose reference date, the first infusion, is `reference_on`."""
    days = (on - reference_on).days
    if days >= 0:
        return days + 1
    return days


def date_of(day: int, reference_on: date) -> date:
    """The date of a study day. Day 0 does not exist and is read as day 1."""
    days = day - 1 if day > 0 else day
    return reference_on + timedelta(days=days)
