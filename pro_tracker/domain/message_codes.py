"""Codes of messages: kind, state, outcome of an attempt, reason for ending, reason for a hold."""

from collections.abc import Mapping
from enum import StrEnum


class MessageKind(StrEnum):
    """The kinds of message. All but REMINDER are also the codes of their templates."""

    REMINDER = "reminder"  # a step of the protocol
    SNOOZE = "snooze"  # on the day that the patient chose with "not today"
    FRESH_LINK = "fresh-link"  # the patient requested a new link
    CONSENT_COPY = "consent-copy"  # where to read again what the patient agreed to


class MessageState(StrEnum):
    """The states of a message.

    planned -> claimed -> sent | failed | uncertain; planned -> ended, cancelled unsent; claimed -> planned, to be
    retried.
    """

    PLANNED = "planned"
    CLAIMED = "claimed"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    ENDED = "ended"


WAITING_STATES = (MessageState.PLANNED, MessageState.CLAIMED)  # still to be sent


class EndReason(StrEnum):
    """Reasons why a message was ended unsent, apart from the end of its visit (domain.unanswered)."""

    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    WINDOW_CLOSED = "window-closed"
    SUPERSEDED = "superseded"
    NO_CONTACT = "no-contact"
    RE_PLANNED = "re-planned"
    PAUSED = "paused"


class SendOutcome(StrEnum):
    """Outcome of one attempt. UNKNOWN: the message may have been sent, so repeating could send it twice."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try-again"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class HoldReason(StrEnum):
    """Reasons for a hold."""

    INFUSION = "infusion"
    PAUSE = "pause"
    SNOOZE = "snooze"


# The reason of a message that is not sent because of a hold. After an infusion and after a snooze messages follow by
# themselves, so one that has no place left is re-planned like any other.
ENDED_BY_HOLD: Mapping[HoldReason, EndReason] = {
    HoldReason.INFUSION: EndReason.RE_PLANNED,
    HoldReason.PAUSE: EndReason.PAUSED,
    HoldReason.SNOOZE: EndReason.RE_PLANNED,
}
