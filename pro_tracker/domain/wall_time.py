"""Converts wall time in an IANA zone to UTC. Conversion is late, so that daylight saving moves no window or reminder.

The wall times themselves are planned in visit_windows.py and reminder_times.py.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

LAST_YEAR = 2199  # of entered dates, so that dates computed from them stay below datetime.MAXYEAR
# The last second of a day, so that a window that closes "on 4 March" is shown with that date.
END_OF_DAY = time(23, 59, 59)


def moment(on: date, at: time, zone: str) -> datetime:
    """Returns the UTC time at which clocks in `zone` (IANA name) show `on`, `at`.

    A time that daylight saving skips moves forward by the gap. Of a time that occurs twice the first is returned
    (fold=0 of PEP 495).
    """
    return datetime.combine(on, at, ZoneInfo(zone)).astimezone(UTC)


def next_at(after: datetime, at: time, zone: str) -> datetime:
    """Returns the first UTC time from `after` on at which clocks in `zone` show `at`, or have skipped it.

    Of a time that occurs twice this may be the second.
    """
    today = local_date(after, zone)
    both_folds = (at.replace(fold=0), at.replace(fold=1))
    # Three days, since a country may skip a day when it changes its zone (Samoa in 2011).
    days = [days_later(today, number) for number in range(3)]
    candidates = (moment(day, reading, zone) for day, reading in product(days, both_folds))
    return next(candidate for candidate in candidates if candidate >= after)


def local(now: datetime, zone: str) -> datetime:
    """Converts a time to wall time in `zone`."""
    return now.astimezone(ZoneInfo(zone))


def local_date(now: datetime, zone: str) -> date:
    """Returns the date in `zone` at a time."""
    return local(now, zone).date()


def days_later(on: date, days: int) -> date:
    """Returns the date `days` after `on`, or before it when negative."""
    return on + timedelta(days=days)
