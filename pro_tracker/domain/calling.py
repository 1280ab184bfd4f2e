"""When somebody calls a subject again, and when nobody does any more. Pure: outcomes and times, no tables."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.domain.protocol import CallRule
from pro_tracker.domain.wall_time import local_date, moment

# What a caller may say came of it.
OUTCOMES = ("reached", "voicemail", "no-answer", "wrong-number", "refused", "too-ill", "language")
MISSED = frozenset({"voicemail", "no-answer"})  # somebody tries again
NO_MORE_ASKED = frozenset({"refused", "too-ill"})  # no reminder follows
NOT_REACHED = "not-reached"  # what a call is closed with after the last try
# What subjects say is the best time to call them: from, until, by their own clock.
TIMES = {
    "morning": (time(8), time(11)),
    "midday": (time(11), time(14)),
    "afternoon": (time(14), time(17)),
    "evening": (time(17), time(21)),
}


def ends_with(outcome: str, *, tried: int, rule: CallRule, call_back: bool) -> str | None:
    """What the call is closed with after an attempt that came to `outcome`, the visit's `tried`-th; None: it stays.

    Whoever was spoken with and named a day for the next call stays on the list; a day set after a miss does not make
    the number of attempts any greater.
    """
    if outcome in MISSED:
        return NOT_REACHED if tried >= rule.max_attempts else None
    return None if call_back else outcome


def again_at(now: datetime, *, on: date | None, best_time: str | None, zone: str, rule: CallRule) -> datetime:
    """Not before when to call again: on the day agreed, from the time the subject likes best, else after some days."""
    if on is None:
        return now + timedelta(days=rule.again_days)
    return moment(on, TIMES[best_time or "morning"][0], zone)


def in_time(again: datetime, closes_at: datetime, *, best_time: str | None, zone: str) -> datetime:
    """The same, or on the last day on which the questions can be answered where they would be over by then."""
    if again < closes_at:
        return again
    return moment(local_date(closes_at, zone), TIMES[best_time or "morning"][0], zone)


def is_good_time(now: datetime, best_time: str | None, zone: str) -> bool:
    """Whether the subject's clock stands within the time that suits them best."""
    if best_time is None:
        return False
    start, end = TIMES[best_time]
    return start <= now.astimezone(ZoneInfo(zone)).time() < end
