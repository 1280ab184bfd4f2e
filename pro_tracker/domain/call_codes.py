"""Codes of telephone calls: why somebody calls, what came of an attempt and of the call, and when to call best."""

from enum import StrEnum


class CallReason(StrEnum):
    """Why a subject is to be called about a visit."""

    NO_CONTACT = "no-contact"
    ALL_REMINDERS_SENT = "all-reminders-sent"
    SEND_FAILED = "send-failed"
    SEND_UNCERTAIN = "send-uncertain"
    ALERT = "alert"  # an answer needs a person the same day


class CallAttemptOutcome(StrEnum):
    """What a caller may say came of an attempt."""

    REACHED = "reached"
    VOICEMAIL = "voicemail"
    NO_ANSWER = "no-answer"
    WRONG_NUMBER = "wrong-number"
    REFUSED = "refused"
    TOO_ILL = "too-ill"
    LANGUAGE = "language"


class CallOutcome(StrEnum):
    """What a call is closed with: what a caller found out, that nobody was reached, or that nobody needs to call."""

    REACHED = "reached"
    WRONG_NUMBER = "wrong-number"
    REFUSED = "refused"
    TOO_ILL = "too-ill"
    LANGUAGE = "language"
    NOT_REACHED = "not-reached"  # after the last try
    ANSWERED = "answered"
    NO_LONGER_WANTED = "no-longer-wanted"


class CallTime(StrEnum):
    """The time of day at which a subject likes best to be called; calling.TIMES says from when until when."""

    MORNING = "morning"
    MIDDAY = "midday"
    AFTERNOON = "afternoon"
    EVENING = "evening"
