"""Checks that nothing is left to ask of a patient whose death is recorded: no visit, no message, no call."""

from collections.abc import Iterator, Sequence

from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.ledger_snapshot import LedgerMessage, LedgerVisit

WAITING_STATES = ("planned", "claimed")


def check_after_deaths(context: CheckContext) -> CheckResult:
    """Finds open visits, waiting messages and open calls of patients who died, at the end of the log."""
    visits = [visit for visit in context.ledger.visits.values() if _has_died(context, visit)]
    messages = context.ledger.messages_by_visit()
    findings: list[str] = []
    for visit in visits:
        findings += _left_to_ask(context, visit, messages[visit.id])
    return CheckResult("left to ask after a recorded death", len(visits), findings)


def _left_to_ask(context: CheckContext, visit: LedgerVisit, messages: Sequence[LedgerMessage]) -> Iterator[str]:
    if is_open(context, visit):
        yield f"visit {visit.id} is open"
    if any(message.state in WAITING_STATES for message in messages):
        yield f"visit {visit.id} has a message that waits"
    if visit.id in context.ledger.visits_to_call:
        yield f"visit {visit.id} has an open call"


def _has_died(context: CheckContext, visit: LedgerVisit) -> bool:
    return context.recorded.patients[visit.subject].latest.died


def is_open(context: CheckContext, visit: LedgerVisit) -> bool:
    """Returns whether the visit waits for answers, or will, at the end of the log."""
    if visit.completed_at is not None or visit.voided_at is not None:
        return False
    return visit.closes_at > context.recorded.ends_at
