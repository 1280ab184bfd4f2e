"""Wall time in a zone -> moment in UTC, resolved late so that daylight saving moves no reminder and no window.

Plain arithmetic on zones; what is planned at which wall time is in visit_windows.py and reminder_times.py.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# The last moment of a day that still carries its date, so that "closes on 4 March" reads right wherever it is shown.
END_OF_DAY = time(23, 59, 59)


def moment(on: date, at: time, zone: str) -> datetime:
    """The UTC moment at which clocks in `zone` (IANA name) show `on`, `at`.

    A time that daylight saving skips moves forward by what is skipped; of a time that comes twice, the first is meant
    (fold=0 of PEP 495).
    """
    return datetime.combine(on, at, ZoneInfo(zone)).astimezone(UTC)


def next_at(after: datetime, at: time, zone: str) -> datetime:
    """The first UTC moment from `after` on at which clocks in `zone` show `at`, or have skipped it."""
    today = local_date(after, zone)
    found = (each for days in range(3) for each in _moments(days_later(today, days), at, zone))
    return next(each for each in found if each >= after)


def local(now: datetime, zone: str) -> datetime:
    """The same moment as people in `zone` read it."""
    return now.astimezone(ZoneInfo(zone))


def local_date(now: datetime, zone: str) -> date:
    """The date in `zone` at this moment."""
    return local(now, zone).date()


def days_later(on: date, days: int) -> date:
    """The date `days` after `on`; before it when negative."""
    return on + timedelta(days=days)


def _moments(on: date, at: time, zone: str) -> tuple[datetime, datetime]:
    """When clocks show this: twice the same moment, but where clocks go back. Of a skipped time the later reading."""
    first = moment(on, at, zone)
    return first, max(first, moment(on, at.replace(fold=1), zone))
