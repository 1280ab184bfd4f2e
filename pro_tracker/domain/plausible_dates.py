"""Rejects implausible dates, so that a mistyped year does not plan or end anything. Pure functions."""

from datetime import date, timedelta

from pro_tracker.domain.errors import InvalidInput

EARLIEST = date(2000, 1, 1)
MAX_AHEAD = timedelta(days=2 * 366)


def problem(on: date | None, today: date) -> str | None:
    """Returns the reason why a date is too early or too far ahead of `today`, or None. A missing date is plausible."""
    if on is not None and on < EARLIEST:
        return f"This day lies before {EARLIEST.year}. Check the year."
    if on is not None and on - today > MAX_AHEAD:
        return "This day lies more than two years ahead. Check the year."
    return None


def check(on: date | None, today: date, *, field: str) -> None:
    """Raises InvalidInput with `field` for an implausible date."""
    if reason := problem(on, today):
        raise InvalidInput(reason, field=field)
