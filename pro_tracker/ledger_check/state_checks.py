"""Compares the message states in the ledger with the messages that providers accepted."""

from pro_tracker.ledger_check.context import CheckContext, CheckResult

SUBMITTED_STATES = ("sent", "uncertain")  # allowed ledger states of a message that a provider accepted


def check_message_states(context: CheckContext) -> list[CheckResult]:
    """Runs the checks in both directions, and one for claims and attempts without an end."""
    return [_check_accepted(context), _check_sent(context), _check_open(context)]


def _check_accepted(context: CheckContext) -> CheckResult:
    keys = context.recorded.first_accepted_at.keys()
    findings = [f"key {key}" for key in keys if not _is_known_as_submitted(context, key)]
    return CheckResult("accepted, not recorded in the ledger", len(keys), findings)


def _is_known_as_submitted(context: CheckContext, key: str) -> bool:
    """Returns whether the ledger reports the message as sent or uncertain, or as failed after it bounced."""
    message = context.ledger.messages.get(key)
    if message is None:
        return False
    has_bounced = message.state == "failed" and key in context.recorded.bounced_keys
    return has_bounced or message.state in SUBMITTED_STATES


def _check_sent(context: CheckContext) -> CheckResult:
    examined = 0
    findings: list[str] = []
    for message in context.ledger.messages.values():
        if message.state != "sent":
            continue
        examined += 1
        if message.key not in context.recorded.first_accepted_at:
            findings.append(f"message {message.id}")
    return CheckResult("recorded as sent, not accepted by a provider", examined, findings)


def _check_open(context: CheckContext) -> CheckResult:
    messages = context.ledger.messages.values()
    unfinished = [message for message in messages if message.has_open_attempt or message.state == "claimed"]
    findings = [f"message {message.id}" for message in unfinished]
    return CheckResult("claim or attempt never finished", len(messages), findings)
