"""The rules for when a subject is called again and when a call is closed. Pure functions, no database access."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallTime
from pro_tracker.domain.protocol import CallRule
from pro_tracker.domain.wall_time import local_date, moment

# The outcome that closes a call after an attempt; None after an unanswered attempt, which is repeated.
CLOSING_OUTCOMES: Mapping[CallAttemptOutcome, CallOutcome | None] = {
    CallAttemptOutcome.REACHED: CallOutcome.REACHED,
    CallAttemptOutcome.VOICEMAIL: None,
    CallAttemptOutcome.NO_ANSWER: None,
    CallAttemptOutcome.WRONG_NUMBER: CallOutcome.WRONG_NUMBER,
    CallAttemptOutcome.REFUSED: CallOutcome.REFUSED,
    CallAttemptOutcome.TOO_ILL: CallOutcome.TOO_ILL,
    CallAttemptOutcome.HOSPITAL: CallOutcome.HOSPITAL,
    CallAttemptOutcome.LANGUAGE: CallOutcome.LANGUAGE,
    CallAttemptOutcome.DIED: CallOutcome.DIED,
}
STOP_REMINDERS_AFTER = frozenset(
    {CallOutcome.REFUSED, CallOutcome.TOO_ILL, CallOutcome.HOSPITAL}
)  # no reminder follows
# The preferred time of day for calls: from, until, in the subject's wall time.
CALL_WINDOWS: Mapping[CallTime, tuple[time, time]] = {
    CallTime.MORNING: (time(8), time(11)),
    CallTime.MIDDAY: (time(11), time(14)),
    CallTime.AFTERNOON: (time(14), time(17)),
    CallTime.EVENING: (time(17), time(21)),
}


def closing_outcome(
    outcome: CallAttemptOutcome, *, attempts: int, rule: CallRule, call_back: bool
) -> CallOutcome | None:
    """Returns the outcome that closes the call after an attempt with `outcome`, or None if it stays open.

    `attempts` counts the attempts at the visit so far, this one included. `call_back`: a day was agreed for the next
    call. It keeps a call open in which the subject was reached, but does not raise the maximum of unanswered attempts.
    """
    closing = CLOSING_OUTCOMES[outcome]
    if closing is None:
        return CallOutcome.NOT_REACHED if attempts >= rule.max_attempts else None
    return None if call_back else closing


def next_call_at(now: datetime, *, on: date | None, best_time: CallTime | None, zone: str, rule: CallRule) -> datetime:
    """Returns the earliest time (UTC) of the next call.

    That is the subject's preferred time on the agreed day `on`, or without one `again_days` of the rule after `now`.
    """
    if on is None:
        return now + timedelta(days=rule.again_days)
    return moment(on, _preferred_start(best_time), zone)


def cap_to_visit_window(again: datetime, closes_at: datetime, *, best_time: CallTime | None, zone: str) -> datetime:
    """Returns `again` if the visit is open then, else the subject's preferred time on the last day of the window."""
    if again < closes_at:
        return again
    return moment(local_date(closes_at, zone), _preferred_start(best_time), zone)


def _preferred_start(best_time: CallTime | None) -> time:
    start, _end = CALL_WINDOWS[best_time or CallTime.MORNING]
    return start


def is_good_time(now: datetime, best_time: CallTime | None, zone: str) -> bool:
    """Returns whether `now` is within the subject's preferred time of day; False without a preference."""
    if best_time is None:
        return False
    start, end = CALL_WINDOWS[best_time]
    return start <= now.astimezone(ZoneInfo(zone)).time() < end
