"""Checks each accepted message against the rules and facts in effect at that time."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

from pro_tracker.ledger_check.accepted_messages import AcceptedMessage, accepted_messages
from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.person_consents import DECLINED
from pro_tracker.ledger_check.recorded_state import HELPER

IN_FLIGHT_LIMIT = timedelta(minutes=1)  # a message in flight when an answer is stored is accepted within this time
ADDRESS = re.compile(r"https?://\S+")
HELPER_STOP = re.compile(r"https?://[^/]+/helper/[^/]+/stop")  # the one address that a helper may get


def check_accepted_messages(context: CheckContext) -> list[CheckResult]:
    """Runs every check of accepted messages. A finding names message, visit and time."""
    messages = list(accepted_messages(context))
    violations = {"sent twice": list(_duplicates(messages))}
    for check, is_violation in MESSAGE_CHECKS.items():
        violations[check] = [message for message in messages if is_violation(message)]
    violations["second reminder on one day"] = list(_second_reminders(messages))
    results: list[CheckResult] = []
    for check, found in violations.items():
        findings = [_describe(violation) for violation in found]
        results.append(CheckResult(check, len(messages), findings))
    return results


def _describe(accepted: AcceptedMessage) -> str:
    sent_at = f"{accepted.entry.at:%Y-%m-%d %H:%M}"
    return f"message {accepted.message.id} of visit {accepted.visit.id}, accepted {sent_at}"


def _in_quiet_hours(accepted: AcceptedMessage) -> bool:
    """Returns whether it was quiet hours in the patient's time zone of that moment."""
    if accepted.is_requested:
        return False
    return accepted.rules.is_quiet(accepted.entry.at)


def _on_hold(accepted: AcceptedMessage) -> bool:
    """Returns whether a pause, the hold after an infusion or a snooze was in effect."""
    if accepted.is_requested:
        return False
    return accepted.rules.is_on_hold(accepted.entry.at)


def _after_completion(accepted: AcceptedMessage) -> bool:
    """Returns whether the visit was already answered.

    For an answer that was stored while messages were sent, the entry `answer-pending` is the limit, except for the
    messages that were in flight at that time.
    """
    if accepted.answer is None or accepted.is_copy:
        return False
    if _was_in_flight(accepted):
        return False
    limit = accepted.pending_answer or accepted.answer
    return accepted.entry.number > limit.number


def _was_in_flight(accepted: AcceptedMessage) -> bool:
    pending = accepted.pending_answer
    if pending is None:
        return False
    is_listed = accepted.message.key in pending.data["in_flight"]
    return is_listed and accepted.entry.at <= pending.at + IN_FLIGHT_LIMIT


def _after_refusal(accepted: AcceptedMessage) -> bool:
    """Returns whether the patient had refused this visit by telephone, or was too ill for it.

    A link that the patient requested after that is sent.
    """
    if accepted.refusal is None or accepted.is_requested:
        return False
    return accepted.refusal.number < accepted.entry.number


def _after_decline(accepted: AcceptedMessage) -> bool:
    """Returns whether the newest answer of the person to the consent form was a decline."""
    return accepted.consent == DECLINED and not accepted.is_requested


def _after_withdrawal(accepted: AcceptedMessage) -> bool:
    return accepted.patient.withdrawn


def _after_death(accepted: AcceptedMessage) -> bool:
    """Returns whether the death of the patient was recorded."""
    return accepted.patient.died


def _after_merge(accepted: AcceptedMessage) -> bool:
    """Returns whether the record had been merged into another one, with its course as recorded twice."""
    return accepted.patient.merged


def _to_closed_channel(accepted: AcceptedMessage) -> bool:
    return accepted.channel in accepted.patient.closed_channels


def _to_other_address(accepted: AcceptedMessage) -> bool:
    """Returns whether the address was not the patient's address on this channel at that time."""
    current = accepted.patient.addresses.get(accepted.channel)
    return current != str(accepted.entry.data["to"])


def _to_unknown_helper(accepted: AcceptedMessage) -> bool:
    """Returns whether no helper was on file: none was named yet, or the one who was had been removed."""
    return accepted.channel == HELPER and HELPER not in accepted.patient.addresses


def _has_link_for_helper(accepted: AcceptedMessage) -> bool:
    """Returns whether a helper got an address that leads elsewhere than to the end of these mails."""
    if accepted.channel != HELPER:
        return False
    found = ADDRESS.findall(accepted.entry.data.get("text", ""))
    return any(HELPER_STOP.fullmatch(address) is None for address in found)


def _outside_window(accepted: AcceptedMessage) -> bool:
    visit = accepted.visit
    sent_at = accepted.entry.at
    if accepted.is_copy:
        return False
    if visit.ended_at is not None and sent_at > visit.ended_at:
        return True
    if visit.opens_at <= sent_at < visit.closes_at:
        return False
    # A visit before treatment ends with the start of treatment, which may be recorded after a message was sent.
    was_cut_off = visit.closes_at == accepted.treatment_began_at
    return not was_cut_off or accepted.treatment_began_at in accepted.patient.infusions_started_at


def _not_due(accepted: AcceptedMessage) -> bool:
    """Returns whether the message was not required, too early, on a wrong channel or from a wrong template."""
    due = accepted.due
    if accepted.is_copy:
        return accepted.message.step >= len(accepted.copies)  # more copies than consents
    if due is None:
        was_requested = accepted.is_requested and accepted.link_requests
        return not was_requested
    is_too_early = accepted.entry.at < due.due_at
    is_wrong_channel = accepted.channel not in accepted.rules.channels(due.channels)
    return is_too_early or is_wrong_channel or due.template != accepted.message.template


MESSAGE_CHECKS: Mapping[str, Callable[[AcceptedMessage], bool]] = {
    "sent in quiet hours": _in_quiet_hours,
    "sent during a pause, infusion hold or snooze": _on_hold,
    "sent after completion": _after_completion,
    "sent after refusal by telephone": _after_refusal,
    "sent after a declined consent form": _after_decline,
    "sent after withdrawal": _after_withdrawal,
    "sent after a recorded death": _after_death,
    "sent to a merged record": _after_merge,
    "sent to a closed channel": _to_closed_channel,
    "sent to another address": _to_other_address,
    "sent to a helper who was not on file": _to_unknown_helper,
    "link in a message to a helper": _has_link_for_helper,
    "sent outside the visit window": _outside_window,
    "sent but not due": _not_due,
}


def _duplicates(messages: Iterable[AcceptedMessage]) -> Iterator[AcceptedMessage]:
    """Yields messages accepted before under the same key, or as another message of the same step."""
    seen: set[object] = set()
    for accepted in messages:
        identities = {accepted.message.key, accepted.step_key}
        if identities & seen:
            yield accepted
        seen |= identities


def _second_reminders(messages: Iterable[AcceptedMessage]) -> Iterator[AcceptedMessage]:
    """Yields messages of another step than the first one of the patient's local day, and of the helper's.

    Requested links do not count. Each infusion day is asked about by itself: a second message about it on one day is
    found, not one about others. Nor is one about a visit that was planned after the first message was sent.
    """
    earlier_by_day: dict[object, list[AcceptedMessage]] = defaultdict(list)
    for accepted in messages:
        if accepted.is_requested:
            continue
        earlier = earlier_by_day[_day(accepted)]
        if any(_is_second(accepted, each) for each in earlier):
            yield accepted
        earlier.append(accepted)


def _day(accepted: AcceptedMessage) -> tuple[object, ...]:
    infusion_day = accepted.visit.id if accepted.is_of_infusion_day else None
    return accepted.local_day, infusion_day, accepted.channel == HELPER


def _is_second(accepted: AcceptedMessage, earlier: AcceptedMessage) -> bool:
    # Without the channel: one step may use both channels on one day.
    step = accepted.step_key[:3]
    earlier_step = earlier.step_key[:3]
    was_planned = accepted.visit.planned_at <= earlier.entry.at
    return step != earlier_step and was_planned
