"""When somebody calls a subject again, and when nobody does any more. Pure: outcomes and times, no tables."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallTime
from pro_tracker.domain.protocol import CallRule
from pro_tracker.domain.wall_time import local_date, moment

# What a caller found out, which closes the call; None after a miss, after which somebody tries again.
FOUND_OUT: Mapping[CallAttemptOutcome, CallOutcome | None] = {
    CallAttemptOutcome.REACHED: CallOutcome.REACHED,
    CallAttemptOutcome.VOICEMAIL: None,
    CallAttemptOutcome.NO_ANSWER: None,
    CallAttemptOutcome.WRONG_NUMBER: CallOutcome.WRONG_NUMBER,
    CallAttemptOutcome.REFUSED: CallOutcome.REFUSED,
    CallAttemptOutcome.TOO_ILL: CallOutcome.TOO_ILL,
    CallAttemptOutcome.LANGUAGE: CallOutcome.LANGUAGE,
}
STOP_REMINDERS_AFTER = frozenset({CallOutcome.REFUSED, CallOutcome.TOO_ILL})  # no reminder follows
# What subjects say is the best time to call them: from, until, by their own clock.
CALL_WINDOWS: Mapping[CallTime, tuple[time, time]] = {
    CallTime.MORNING: (time(8), time(11)),
    CallTime.MIDDAY: (time(11), time(14)),
    CallTime.AFTERNOON: (time(14), time(17)),
    CallTime.EVENING: (time(17), time(21)),
}


def closing_outcome(
    outcome: CallAttemptOutcome, *, attempts: int, rule: CallRule, call_back: bool
) -> CallOutcome | None:
    """What the call is closed with after an attempt that came to `outcome`, the visit's `attempts`-th; None: it stays.

    Whoever was spoken with and named a day for the next call stays on the list; a day set after a miss does not make
    the number of attempts any greater.
    """
    found = FOUND_OUT[outcome]
    if found is None:
        return CallOutcome.NOT_REACHED if attempts >= rule.max_attempts else None
    return None if call_back else found


def next_call_at(now: datetime, *, on: date | None, best_time: CallTime | None, zone: str, rule: CallRule) -> datetime:
    """Not before when to call again: on the day agreed, from the time the subject likes best, else after some days."""
    if on is None:
        return now + timedelta(days=rule.again_days)
    return moment(on, CALL_WINDOWS[best_time or CallTime.MORNING][0], zone)


def cap_to_visit_window(again: datetime, closes_at: datetime, *, best_time: CallTime | None, zone: str) -> datetime:
    """The same, or on the last day on which the questions can be answered where they would be over by then."""
    if again < closes_at:
        return again
    return moment(local_date(closes_at, zone), CALL_WINDOWS[best_time or CallTime.MORNING][0], zone)


def is_good_time(now: datetime, best_time: CallTime | None, zone: str) -> bool:
    """Whether the subject's clock stands within the time that suits them best."""
    if best_time is None:
        return False
    start, end = CALL_WINDOWS[best_time]
    return start <= now.astimezone(ZoneInfo(zone)).time() < end
