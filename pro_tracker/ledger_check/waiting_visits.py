"""Works out which visits wait for another one: a subject who was entered late is asked one thing at a time.

docs/protocol-format.md defines the rule.
"""

from datetime import datetime, timedelta
from operator import attrgetter

from pro_tracker.ledger_check.context import CheckContext
from pro_tracker.ledger_check.ledger_snapshot import LedgerVisit
from pro_tracker.ledger_check.visit_ends import visit_ended_at

CONTINUED_WITHIN = timedelta(days=1)  # the job that continues with a waiting visit runs at least once a day


def waits_until(context: CheckContext, visit: LedgerVisit) -> datetime:
    """Returns from when on the visit requires messages.

    A visit that was planned after it had opened, and about which the subject was not notified, waits until every newer
    visit of its course that is open by then has ended.
    """
    free_at = max(visit.opens_at, visit.planned_at)
    if visit.planned_at <= visit.opens_at:
        return free_at
    for newer in _newer_visits(context, visit):
        is_open_by_then = newer.opens_at <= free_at + CONTINUED_WITHIN
        if is_open_by_then and not _was_notified_before(visit, newer.opens_at):
            ended_at = visit_ended_at(context.recorded, newer)
            free_at = max(free_at, ended_at + CONTINUED_WITHIN)
    return free_at


def _newer_visits(context: CheckContext, visit: LedgerVisit) -> list[LedgerVisit]:
    """Returns the visits of the course that opened later and had not ended when this one was planned, oldest first."""
    newer: list[LedgerVisit] = []
    for other in context.ledger.visits_by_course[visit.course]:
        ended_at = visit_ended_at(context.recorded, other)
        if other.opens_at > visit.opens_at and ended_at > visit.planned_at:
            newer.append(other)
    newer.sort(key=attrgetter("opens_at"))
    return newer


def _was_notified_before(visit: LedgerVisit, at: datetime) -> bool:
    if visit.notified_at is None:
        return False
    return visit.notified_at < at
