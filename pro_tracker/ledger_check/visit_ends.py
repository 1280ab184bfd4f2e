"""Works out when a visit required nothing any more."""

from datetime import datetime

from pro_tracker.ledger_check.ledger_snapshot import LedgerVisit
from pro_tracker.ledger_check.recorded_state import RecordedState


def visit_ended_at(recorded: RecordedState, visit: LedgerVisit) -> datetime:
    """Returns when the visit required nothing any more, or the end of the log."""
    ends = [visit.closes_at, recorded.participation_ended_at(visit.subject)]
    if visit.voided_at is not None:
        ends.append(visit.voided_at)
    if visit.id in recorded.answers:
        ends.append(recorded.answers[visit.id].at)
    if visit.id in recorded.refusals:
        ends.append(recorded.refusals[visit.id].at)
    return min(ends)
