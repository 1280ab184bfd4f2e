"""Which days can be meant when somebody types one: a mistyped year must not plan or end anything. Pure."""

from datetime import date, timedelta

from pro_tracker.domain.errors import InvalidInput

EARLIEST = date(2000, 1, 1)
MAX_AHEAD = timedelta(days=2 * 366)


def problem(on: date | None, today: date) -> str | None:
    """What is wrong with a day that lies too long ago or too far ahead; None is no day yet."""
    if on is not None and on < EARLIEST:
        return f"This day lies before {EARLIEST.year}. Check the year."
    if on is not None and on - today > MAX_AHEAD:
        return "This day lies more than two years ahead. Check the year."
    return None


def check(on: date | None, today: date, *, field: str) -> None:
    """Raise InvalidInput, with its field, for a day that cannot be meant."""
    if reason := problem(on, today):
        raise InvalidInput(reason, field=field)
