"""Codes of telephone calls: reasons, outcomes of attempts and calls, and preferred times of day."""

from enum import StrEnum


class CallReason(StrEnum):
    """Reason why a subject is to be called about a visit."""

    NO_CONTACT = "no-contact"
    ALL_REMINDERS_SENT = "all-reminders-sent"
    SEND_FAILED = "send-failed"
    SEND_UNCERTAIN = "send-uncertain"
    STARTED_NOT_SENT = "started-not-sent"  # answers were saved and not sent, and no more come
    IDENTITY = "identity"  # the birth date was given wrongly several times: perhaps it is wrong on file
    ALERT = "alert"  # an answer needs a person the same day


class CallAttemptOutcome(StrEnum):
    """The outcome of one call attempt, as entered by the caller."""

    REACHED = "reached"
    VOICEMAIL = "voicemail"
    NO_ANSWER = "no-answer"
    WRONG_NUMBER = "wrong-number"
    REFUSED = "refused"
    TOO_ILL = "too-ill"
    HOSPITAL = "hospital"
    LANGUAGE = "language"
    DIED = "died"  # recorded together with the death: see services/enrolment/endings.py


class CallOutcome(StrEnum):
    """The outcome that closes a call: that of an attempt, that all attempts failed, or that no call is needed."""

    REACHED = "reached"
    WRONG_NUMBER = "wrong-number"
    REFUSED = "refused"
    TOO_ILL = "too-ill"
    HOSPITAL = "hospital"
    LANGUAGE = "language"
    DIED = "died"
    NOT_REACHED = "not-reached"  # after the last attempt that the protocol allows
    ANSWERED = "answered"
    NO_LONGER_NEEDED = "no-longer-wanted"


class CallTime(StrEnum):
    """The time of day that a subject prefers for calls; the hours are in calling.CALL_WINDOWS."""

    MORNING = "morning"
    MIDDAY = "midday"
    AFTERNOON = "afternoon"
    EVENING = "evening"
