"""Wall time in a zone -> moment in UTC, resolved late so that daylight saving moves no reminder and no window.

Plain arithmetic on zones; what is planned at which wall time is in visit_windows.py and reminder_times.py.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LAST_YEAR = 2199  # of dates that people enter; what is counted from a later one might leave the calendar
# The last moment of a day that still carries its date, so that "closes on 4 March" reads right wherever it is shown.
END_OF_DAY = time(23, 59, 59)


def moment(on: date, at: time, zone: str) -> datetime:
    """The UTC moment at which clocks in `zone` (IANA name) show `on`, `at`.

    A time that daylight saving skips moves forward by what is skipped; of a time that comes twice, the first is meant
    (fold=0 of PEP 495).
    """
    return datetime.combine(on, at, ZoneInfo(zone)).astimezone(UTC)


def next_at(after: datetime, at: time, zone: str) -> datetime:
    """The first UTC moment from `after` on at which clocks in `zone` show `at`, or have skipped it.

    Of a time that comes twice this may be the second.
    """
    today = local_date(after, zone)
    days = (days_later(today, number) for number in range(3))  # one may be a day that a country skipped
    readings = (moment(day, at.replace(fold=fold), zone) for day in days for fold in (0, 1))
    return next(each for each in readings if each >= after)


def local(now: datetime, zone: str) -> datetime:
    """The same moment as people in `zone` read it."""
    return now.astimezone(ZoneInfo(zone))


def local_date(now: datetime, zone: str) -> date:
    """The date in `zone` at this moment."""
    return local(now, zone).date()


def days_later(on: date, days: int) -> date:
    """The date `days` after `on`; before it when negative."""
    return on + timedelta(days=days)
