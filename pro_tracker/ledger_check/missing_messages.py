"""Checks for omissions: messages that were not sent in time, and visits and failures without a follow-up."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.ledger_snapshot import LedgerMessage, LedgerVisit
from pro_tracker.ledger_check.person_consents import was_declined_within
from pro_tracker.ledger_check.recorded_state import FOREVER, HELPER, RecordedState
from pro_tracker.ledger_check.send_deadlines import TOLERANCE, send_deadlines
from pro_tracker.ledger_check.send_rules import MessageKey
from pro_tracker.ledger_check.visit_ends import visit_ended_at

DEFERRED_TOLERANCE = timedelta(hours=16)  # five attempts take hours, and a night may separate two of them
FOLLOW_UP_LIMIT = timedelta(days=2)  # consequences of elapsed time are recorded by a nightly job
FAILED_STATES = ("failed", "uncertain")  # staff follow up on these two


def check_missing_messages(context: CheckContext) -> CheckResult:
    """Finds messages that were not sent within an hour of their time.

    A message was required if for that hour the visit was open and unanswered, the patient was reachable and not on
    hold, it was not quiet hours, the provider was up, and no newer message was due on the same day.
    """
    examined = 0
    findings: list[str] = []
    messages_by_visit = context.ledger.messages_by_visit()
    for visit in context.ledger.visits.values():
        messages = messages_by_visit[visit.id]
        deadlines = send_deadlines(context, visit, _tolerance(context.recorded, messages))
        sent_at = _sent_at(context.recorded, messages)
        examined += len(deadlines)
        for key, deadline in deadlines.items():
            if sent_at.get(key, FOREVER) > deadline:
                findings.append(_describe(visit, key, deadline))
    return CheckResult("missing, or more than one hour late", examined, findings)


def _tolerance(recorded: RecordedState, messages: Sequence[LedgerMessage]) -> timedelta:
    was_deferred = any(message.key in recorded.deferred_at for message in messages)
    return DEFERRED_TOLERANCE if was_deferred else TOLERANCE


def _sent_at(recorded: RecordedState, messages: Sequence[LedgerMessage]) -> Mapping[MessageKey, datetime]:
    """Returns when each message was accepted, or first attempted if the ledger reports it as failed or uncertain."""
    sent_at: dict[MessageKey, datetime] = {}
    for message in messages:
        at = recorded.first_accepted_at.get(message.key)
        if at is None and message.state in FAILED_STATES and message.attempted_at:
            at = message.attempted_at[0]
        if at is not None:
            key = (message.kind, message.step)
            sent_at[key] = min(at, sent_at.get(key, FOREVER))
    return sent_at


def _describe(visit: LedgerVisit, key: MessageKey, deadline: datetime) -> str:
    kind, number = key
    return f"visit {visit.id}, {kind} {number}, by {deadline:%Y-%m-%d %H:%M}"


def check_failures_without_call(context: CheckContext) -> CheckResult:
    """Finds open visits whose last message failed or is uncertain, and that are not on the call list two days later."""
    examined = 0
    findings: list[str] = []
    for visit_id, messages in context.ledger.messages_by_visit().items():
        last = _last_attempted(messages)
        if last is None or last.state not in FAILED_STATES or _is_optional(context, visit_id):
            continue
        follow_up_by = last.attempted_at[-1] + FOLLOW_UP_LIMIT
        visit = context.ledger.visits[visit_id]
        if follow_up_by >= visit_ended_at(context.recorded, visit):
            continue
        if was_declined_within(context, visit, last.attempted_at[-1], follow_up_by):
            continue
        examined += 1
        if visit_id not in context.ledger.called_visits:
            findings.append(f"visit {visit_id}, message {last.id}")
    return CheckResult("failed message without a call", examined, findings)


def _is_optional(context: CheckContext, visit_id: int) -> bool:
    visit = context.ledger.visits[visit_id]
    return context.schedule_of_visit(visit).events[visit.event].optional


def _last_attempted(messages: Sequence[LedgerMessage]) -> LedgerMessage | None:
    def last_attempted_at(message: LedgerMessage) -> datetime:
        return message.attempted_at[-1]

    attempted = [message for message in messages if message.attempted_at and message.channel != HELPER]
    return max(attempted, key=last_attempted_at, default=None)


def check_unexplained_visits(context: CheckContext) -> CheckResult:
    """Finds visits that closed unanswered two days before the end of the log, and have no reason in the ledger."""
    examined = 0
    findings: list[str] = []
    closed_before = context.recorded.ends_at - FOLLOW_UP_LIMIT
    for visit in context.ledger.visits.values():
        is_answered = visit.id in context.recorded.answers
        if is_answered or visit.closes_at >= closed_before:
            continue
        examined += 1
        if visit.missed_reason is None and visit.void_reason is None:
            findings.append(f"visit {visit.id}")
    return CheckResult("unanswered visit without a reason", examined, findings)
