"""Codes of messages: what kind one is, where it stands, what came of an attempt at it, and why it was ended."""

from enum import StrEnum


class MessageKind(StrEnum):
    """What a message is sent for. A snooze and a fresh link also name the template that they are written with."""

    REMINDER = "reminder"  # a step of the protocol
    SNOOZE = "snooze"  # comes back after "not today"
    FRESH_LINK = "fresh-link"  # the patient asked for a new link


class MessageState(StrEnum):
    """Where a message stands.

    planned -> claimed -> sent | failed | uncertain; planned -> ended when it is no longer wanted; claimed -> planned
    to be tried again.
    """

    PLANNED = "planned"
    CLAIMED = "claimed"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a message was ended unsent, where the reason is not that its visit ended (domain.unanswered)."""

    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    WINDOW_CLOSED = "window-closed"
    SUPERSEDED = "superseded"
    NO_CONTACT = "no-contact"
    RE_PLANNED = "re-planned"
    PAUSED = "paused"


class SendOutcome(StrEnum):
    """What is known of one hand-over. UNKNOWN: it may or may not have left, so nobody may simply repeat it."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try-again"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class HoldReason(StrEnum):
    """Why nothing may leave for a while."""

    INFUSION = "infusion"
    PAUSE = "pause"
    SNOOZE = "snooze"
