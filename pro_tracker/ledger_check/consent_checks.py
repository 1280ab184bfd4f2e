"""Checks of consent forms: stored as answered, no answer without consent, nothing left to ask after a decline."""

from collections.abc import Iterable, Iterator

from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.death_checks import WAITING_STATES, is_open
from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.ledger_snapshot import LedgerMessage, LedgerVisit
from pro_tracker.ledger_check.person_consents import GIVEN, is_declined_at, newest_outcome
from pro_tracker.ledger_check.stored_consents import StoredConsent

UNPLANNED_KINDS = ("fresh-link", "consent-copy")  # asked for by the patient, whatever was answered to the form


def check_consents(context: CheckContext) -> list[CheckResult]:
    """Compares the answers to consent forms in the log with the stored ones, and with what was asked."""
    return [
        _as_answered(context),
        _without_consent(context),
        _left_to_ask(context),
    ]


def _as_answered(context: CheckContext) -> CheckResult:
    """Finds answers to consent forms that are not in the ledger, differ from the log, or are not in the log."""
    expected = _logged(context)
    stored = _stored(context)
    different = [key for key in expected | stored if expected.get(key) != stored.get(key)]
    different.sort()
    findings = [f"decision {key}" for key in different]
    return CheckResult("consent not stored as it was answered", len(expected), findings)


def _logged(context: CheckContext) -> dict[int, StoredConsent]:
    logged: dict[int, StoredConsent] = {}
    for entries in context.recorded.consents.values():
        for entry in entries:
            decision = entry.data["decision"]
            logged[decision] = _expected(context, entry)
    return logged


def _stored(context: CheckContext) -> dict[int, StoredConsent]:
    """Returns the stored answers of the subjects in the log."""
    patients = context.recorded.patients
    stored = context.consents.answers
    return {decision: answer for decision, answer in stored.items() if answer.subject in patients}


def _expected(context: CheckContext, entry: LogEntry) -> StoredConsent:
    data = entry.data
    return StoredConsent(
        subject=data["subject"],
        form=data["form"],
        version=data["version"],
        outcome=data["outcome"],
        is_voided=data["decision"] in context.recorded.removed_consents,
    )


def _without_consent(context: CheckContext) -> CheckResult:
    """Finds visits with an answer that came before the person had agreed to the form, or after a decline."""
    examined, findings = 0, []
    for visit in context.ledger.visits.values():
        arrived = list(_arrived(context, visit))
        if not arrived or not context.schedule_of_visit(visit).consent:
            continue
        examined += 1
        outcomes = {newest_outcome(context, visit, entry.number) for entry in arrived}
        if outcomes != {GIVEN}:
            findings.append(f"visit {visit.id}")
    return CheckResult("answer without consent", examined, findings)


def _arrived(context: CheckContext, visit: LedgerVisit) -> Iterator[LogEntry]:
    """Yields the entries by which answers to this visit arrived, or the visit was sent."""
    recorded = context.recorded
    yield from recorded.given_answers.get(visit.id, ())
    if visit.id in recorded.answers:
        yield recorded.answers[visit.id]


def _left_to_ask(context: CheckContext) -> CheckResult:
    """Finds messages that wait, and calls, about open visits whose consent form is declined at the end of the log."""
    messages = context.ledger.messages_by_visit()
    visits = [visit for visit in context.ledger.visits.values() if _is_declined(context, visit)]
    findings: list[str] = []
    for visit in visits:
        if _has_waiting(messages[visit.id]):
            findings.append(f"visit {visit.id} has a message that waits")
        if visit.id in context.ledger.visits_to_remind:
            findings.append(f"visit {visit.id} has an open call")
    return CheckResult("left to ask after a declined consent form", len(visits), findings)


def _is_declined(context: CheckContext, visit: LedgerVisit) -> bool:
    if not is_open(context, visit):
        return False
    ended_at = context.recorded.ends_at
    return is_declined_at(context, visit, ended_at)


def _has_waiting(messages: Iterable[LedgerMessage]) -> bool:
    waiting = [message for message in messages if message.state in WAITING_STATES]
    return any(message.kind not in UNPLANNED_KINDS for message in waiting)
