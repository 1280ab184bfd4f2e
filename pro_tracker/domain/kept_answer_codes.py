"""Codes of the reply to a device that sends the answers it kept."""

from enum import StrEnum

from pro_tracker.domain.visit_windows import VisitStatus


class KeptAnswerOutcome(StrEnum):
    """Outcome of one answer that a device had kept."""

    SAVED = "saved"  # with the visit, or a later answer to the item was there
    LATE = "late"  # kept apart from the record, for staff to decide
    REFUSED = "refused"  # the visit takes no more answers at all, or does not ask this


class ReplyState(StrEnum):
    """State of the visit as the device is told: whether it goes on taking answers."""

    OPEN = "open"
    SENT = "sent"
    OVER = "over"
    HELD = "held"
    PLANNED = "planned"
    NO_LONGER_ASKED = "no-longer-asked"
    UNCONFIRMED = "unconfirmed"  # the birth date is needed
    UNREADABLE = "unreadable"


BY_STATUS = {
    VisitStatus.PLANNED: ReplyState.PLANNED,
    VisitStatus.DUE: ReplyState.OPEN,
    VisitStatus.OVERDUE: ReplyState.OPEN,
    VisitStatus.COMPLETED: ReplyState.SENT,
    VisitStatus.MISSED: ReplyState.OVER,
    VisitStatus.VOID: ReplyState.OVER,
}
