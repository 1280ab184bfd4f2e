"""Wording of the communication log: a sentence on whether the subject was asked, and labels for reasons and changes."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, assert_never

from flask_babel import format_date, gettext as _, lazy_gettext, ngettext

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.message_codes import EndReason, MessageKind
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.subject_codes import IdentityField, Sex
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.models.call import CallAttempt
from pro_tracker.models.interruption import Snooze
from pro_tracker.services.record.identity_history import FormerValue
from pro_tracker.services.record.ledger import MessageEntry, VisitEntry
from pro_tracker.services.record.ledger_changes import DataChange
from pro_tracker.web import labels

KINDS = {
    MessageKind.REMINDER: lazy_gettext("Step %(number)s"),
    MessageKind.SNOOZE: lazy_gettext("Asked to come back"),
    MessageKind.FRESH_LINK: lazy_gettext("New link, on request"),
    MessageKind.CONSENT_COPY: lazy_gettext("Copy of the consent"),
}
# Why a message was cancelled. UNANSWERED has the reasons of messages that ended with their visit.
END_REASONS = {
    EndReason.ANSWERED: lazy_gettext("answered before"),
    EndReason.WITHDRAWN: lazy_gettext("the patient withdrew"),
    EndReason.WINDOW_CLOSED: lazy_gettext("the time to answer was over"),
    EndReason.SUPERSEDED: lazy_gettext("a later message took its place"),
    EndReason.NO_CONTACT: lazy_gettext("no usable address on this channel"),
    EndReason.RE_PLANNED: lazy_gettext("the plan changed"),
    EndReason.PAUSED: lazy_gettext("the patient had a pause"),
}
# Why a message was not sent: cancelled, or failed with a note of the service itself. Any other text that is not in
# UNANSWERED is the provider's reply, which is shown unchanged.
NOT_SENT_REASONS: Mapping[Any, object] = {
    **END_REASONS,
    "held back": lazy_gettext("held back: the provider was slow"),
    "the sender stopped in the middle": lazy_gettext("the sender stopped in the middle"),
}
UNANSWERED: Mapping[Any, object] = labels.UNANSWERED_REASONS
# What a provider reported later.
REPORTS = {
    ReportEvent.FAILED: lazy_gettext("not delivered"),
    ReportEvent.HARD_BOUNCE: lazy_gettext("came back: no such address"),
    ReportEvent.SOFT_BOUNCE: lazy_gettext("came back for now"),
    ReportEvent.COMPLAINED: lazy_gettext("reported as unwanted"),
    ReportEvent.STOP: lazy_gettext("answered with STOP"),
    ReportEvent.START: lazy_gettext("answered with START"),
    ReportEvent.HELP: lazy_gettext("answered with HELP"),
    ReportEvent.KEY_PRESSED: lazy_gettext("pressed 1 for a text message"),
}
ACTORS = {
    ActorKind.PATIENT: lazy_gettext("the patient"),
    ActorKind.SERVICE: lazy_gettext("the service"),
    ActorKind.COMMAND: lazy_gettext("the operator (command)"),
}
CHANGES = {
    "adverse-event.correct": lazy_gettext("Adverse event corrected"),
    "adverse-event.record": lazy_gettext("Adverse event recorded"),
    "adverse-event.void": lazy_gettext("Adverse event marked as entered in error"),
    "answer.save": lazy_gettext("Answers taken on the telephone"),
    "answers.acknowledge": lazy_gettext("Answers marked as looked at"),
    "answers.undo-acknowledge": lazy_gettext("Mark removed: answers looked at"),
    "call.attempt": lazy_gettext("Called"),
    "call.claim": lazy_gettext("Said: I am calling"),
    "contact.acknowledge": lazy_gettext("Closed address seen"),
    "contact.close": lazy_gettext("Channel closed"),
    "contact.correct": lazy_gettext("Address corrected"),
    "contact.reopen": lazy_gettext("Channel opened again"),
    "course.end": lazy_gettext("Course ended"),
    "course.move-protocol": lazy_gettext("Course moved to another protocol version"),
    "course.plan": lazy_gettext("Plan of the course changed"),
    "course.reopen": lazy_gettext("Course opened again"),
    "course.set-date": lazy_gettext("Date of a study event entered by staff"),
    "course.start": lazy_gettext("Course started"),
    "death.correct": lazy_gettext("Date of death corrected"),
    "death.record": lazy_gettext("Death recorded"),
    "death.revert": lazy_gettext("Record of a death reverted"),
    "goal.correct": lazy_gettext("Words of the patient's own goal corrected"),
    "goal.correct-rating": lazy_gettext("Rating of the patient's own goal corrected"),
    "goal.rate": lazy_gettext("Own goal rated"),
    "goal.set": lazy_gettext("Own goal written down"),
    "goal.void": lazy_gettext("Own goal marked as entered in error"),
    "goal.void-rating": lazy_gettext("Rating of the own goal marked as entered in error"),
    "helper.correct": lazy_gettext("Helper corrected"),
    "helper.record": lazy_gettext("Helper recorded, with the patient's agreement"),
    "helper.remove": lazy_gettext("Helper removed"),
    "infusion.confirm": lazy_gettext("Odd values of an infusion confirmed"),
    "infusion.correct": lazy_gettext("Infusion corrected"),
    "infusion.record": lazy_gettext("Infusion recorded"),
    "infusion.remove": lazy_gettext("Infusion removed"),
    "late-answer.decide": lazy_gettext("Decided about an answer that arrived late"),
    "link.hand-over": lazy_gettext("Link opened here, to answer at the clinic"),  # codespell:ignore
    "link.request": lazy_gettext("New link asked for"),
    "link.print": lazy_gettext("Card with a code made"),
    "link.revoke": lazy_gettext("Links ended"),
    "liver-test.correct": lazy_gettext("Liver tests corrected"),
    "liver-test.record": lazy_gettext("Liver tests recorded"),
    "liver-test.void": lazy_gettext("Liver tests marked as entered in error"),
    "missed-infusion.record": lazy_gettext("No infusion on the planned day"),
    "missed-infusion.remove": lazy_gettext("Entry about a planned day removed"),
    "other-treatment.correct": lazy_gettext("Other treatment corrected"),
    "other-treatment.record": lazy_gettext("Other treatment recorded"),
    "other-treatment.void": lazy_gettext("Other treatment marked as entered in error"),
    "pause.begin": lazy_gettext("Pause begun"),
    "pause.end": lazy_gettext("Pause ended"),
    "pause.remove": lazy_gettext("Pause removed"),
    "response.amend": lazy_gettext("Answers amended"),
    "response.move-away": lazy_gettext("Answers moved away: they belong elsewhere"),
    "response.move-here": lazy_gettext("Answers moved here from elsewhere"),
    "response.void": lazy_gettext("Answers marked as entered in error"),
    "subject.correct-identity": lazy_gettext("Identity corrected"),
    "subject.distinguish": lazy_gettext("Said to be another person than a similar record"),
    "subject.enrol": lazy_gettext("Enrolled"),
    "subject.merge": lazy_gettext("Records of one person merged"),
    "subject.prefer": lazy_gettext("Channel, hour, language, time zone or label changed"),
    "subject.return": lazy_gettext("Withdrawal reverted"),
    "subject.transfer": lazy_gettext("Transferred to another clinic"),
    "subject.separate": lazy_gettext("Merged records separated again"),
    "subject.withdraw": lazy_gettext("Withdrawn"),
    "text.handle": lazy_gettext("A text from the patient dealt with"),
    "text.receive": lazy_gettext("Texted us"),
    "consent.answer": lazy_gettext("Consent form answered"),
    "consent.withdraw": lazy_gettext("Withdrawn by the patient, on the patient's own page"),
    "consent.void": lazy_gettext("Entry about consent removed"),
    "consent.acknowledge": lazy_gettext("Decline or withdrawal seen"),
    "visit.complete": lazy_gettext("Answers sent"),
    "visit.give-reason": lazy_gettext("Reason given why nothing was answered"),
    "visit.language": lazy_gettext("Language of the questions changed"),
    "visit.snooze": lazy_gettext("Said: not today"),
    "visit.snooze-unconfirmed": lazy_gettext("Tapped “not today” (birth date not given)"),
    "visit.undo-snooze": lazy_gettext("“Not today” undone (birth date not given)"),
    "visit.stop": lazy_gettext("Answers kept that were never sent"),
}


PREFERENCE_LABELS = {
    "preferred_channel": lazy_gettext("channel"),
    "language": lazy_gettext("language"),
    "message_time": lazy_gettext("hour"),
    "time_zone": lazy_gettext("time zone"),
    "label": lazy_gettext("label"),
}

INFUSION_LABELS = {
    "given_on": lazy_gettext("date"),
    "started_at_local": lazy_gettext("start time"),
    "dose_mg_per_kg": lazy_gettext("dose"),
    "weight_kg": lazy_gettext("weight"),
    "minutes": lazy_gettext("duration"),
}

HELPER_LABELS = {
    "helper_email": lazy_gettext("address"),
    "helper_relation": lazy_gettext("who it is"),
    "helper_agreed_on": lazy_gettext("date of agreement"),
}

# Details of changes that are shown, with the labels of their codes. LABELS has the text that precedes a detail.
DETAIL_LABELS: Mapping[str, Mapping[Any, object]] = {
    "course": {},
    "planned_infusions": {},
    "sites": {},
    "protocol": {},
    "outcome": {**labels.CALL_OUTCOMES, **labels.LATE_ANSWER_OUTCOMES},
    "instrument": {},
    "instruments": {},
    "source": labels.EDIT_SOURCES,
    "alert_outcome": labels.ALERT_OUTCOMES,
    "reason": {**labels.UNANSWERED_REASONS, **labels.HELPER_ENDINGS, **labels.SNOOZE_REASONS},
    "scope": labels.WITHDRAWAL_SCOPES,
    "precision": labels.DEATH_DATE_PRECISIONS,
    "channel": labels.CHANNELS,
    "channels": labels.CHANNELS,
    "state": labels.CONTACT_STATES,
    "fields": {**PREFERENCE_LABELS, **INFUSION_LABELS, **HELPER_LABELS, **labels.IDENTITY_FIELDS},
    "missed": labels.MISSED_INFUSIONS,
    "other_than": {},
    "with": {},
}
BEFORE_AND_AFTER = (
    "planned_infusions",
    "protocol",
    "sites",
)  # details with two values, of which one replaced the other
LABELS = {
    "course": lazy_gettext("course"),
    "planned_infusions": lazy_gettext("planned infusions"),
    "protocol": lazy_gettext("protocol version"),
    "planned_start_on": lazy_gettext("planned from"),
    "planned_on": lazy_gettext("planned for"),
    "infusion_on_before": lazy_gettext("in place of"),
    "from_on": lazy_gettext("from"),
    "until_on": lazy_gettext("until"),
    "ended_on": lazy_gettext("on"),
    "transferred_on": lazy_gettext("on"),
    "died_on": lazy_gettext("date of death"),
    "agreed_on": lazy_gettext("agreed on"),
    "with": lazy_gettext("with"),
}


def asked_summary(entry: VisitEntry, now: datetime, day: str) -> str:
    """Returns whether and how often the subject was asked. `day` is the text for the time of the first time."""
    times = len(entry.sent)
    if entry.asked_at is None:
        return _("Not asked yet.") if visit_status(entry.visit, now) is VisitStatus.PLANNED else _("Not asked.")
    if not times:
        return _("Asked without a message, first on %(day)s.", day=day)
    return ngettext("Asked once, on %(day)s.", "Asked %(num)s times, first on %(day)s.", times, day=day)


def snooze_note(snooze: Snooze) -> str:
    """Returns what is known of a "not today" beyond its days, in parentheses; "" of a confirmed one."""
    if snooze.is_confirmed or snooze.reason is None:
        return ""
    reason = labels.SNOOZE_REASONS[snooze.reason]
    if snooze.undone_at is not None:
        return _("(%(reason)s; birth date not given; undone)", reason=reason)
    return _("(%(reason)s; birth date not given)", reason=reason)


def state_label(entry: MessageEntry) -> tuple[str, str]:
    """Returns the label of the message's state, and the kind of tag that shows it."""
    return labels.MESSAGE_STATES[entry.message.state]


def not_sent_reason(entry: MessageEntry) -> str:
    """Returns why the message was not sent; "" if it was."""
    code = entry.unsent_reason
    return reason_label(code) if code else ""


def reason_label(code: str) -> str:
    """Returns the label of a reason why a message was not sent or a visit not answered; unknown codes unchanged."""
    return str(NOT_SENT_REASONS.get(code) or UNANSWERED.get(code, code))


def report_label(entry: MessageEntry) -> str:
    """Returns the label of the provider's last report, unless it says that the message was delivered."""
    return str(REPORTS[entry.reported_problem]) if entry.reported_problem else ""


def kind_label(entry: MessageEntry) -> str:
    """Returns the label of the message's kind; reminder steps count from 1 on pages, from 0 in the database."""
    return str(KINDS[entry.message.kind]) % {"number": entry.message.step + 1}


def actor_name(change: DataChange) -> str:
    """Returns the name of the account or other actor that made the change."""
    return change.account.display_name if change.account else str(ACTORS[change.actor_kind])


def action_label(change: DataChange) -> str:
    """Returns the label of the change's action, or its code, so that no change is left out."""
    return str(CHANGES.get(change.action, change.action))


def collapse_interviews(changes: Sequence[DataChange]) -> list[DataChange]:
    """Returns the changes, with consecutive answers of one telephone interview collapsed to the first listed."""
    found: list[DataChange] = []
    for change in changes:
        before = found[-1] if found else None
        if change.action != "answer.save" or before is None or _same_interview(change) != _same_interview(before):
            found.append(change)
    return found


def _same_interview(change: DataChange) -> tuple[object, ...]:
    return change.action, change.account, change.details.get("visit")


def change_summary(change: DataChange, events: Mapping[str, str]) -> str:
    """Returns the details and the reason of a change: "Mar 9, 2026 → Mar 10, 2026; typed wrongly".

    `events` holds the titles of study events by code.
    """
    facts = (_fact(name, values, events) for name, values in change.details.items())
    return "; ".join(each for each in (*facts, change.reason) if each)


def former_text(former: FormerValue) -> str:
    """Returns a former value of the identity in words."""
    match former.field:
        case IdentityField.SEX:
            sex = Sex(former.value)
            return str(labels.SEXES[sex])
        case IdentityField.BIRTH_DATE | IdentityField.CONSENT_ON:
            return _day(former.value)
    return former.value or "–"


def call_outcome(attempt: CallAttempt) -> str:
    """Returns how a call went; of a call about an alert also the outcome of the alert."""
    outcome = str(labels.CALL_OUTCOMES[attempt.outcome])
    if attempt.alert_outcome is None:
        return outcome
    went = labels.ALERT_CALL_OUTCOMES.get(attempt.outcome, outcome)
    return f"{went}. {labels.ALERT_OUTCOMES[attempt.alert_outcome]}"


def answered_by(entry: VisitEntry) -> str:
    """Returns the mode of administration in words; "" where the patient answered alone on a device of their own."""
    match entry.mode:
        case None | ResponseMode.SELF_WEB:
            return ""
        case ResponseMode.TELEPHONE:
            return _("by telephone, asked by %(name)s", name=entry.taken_by or "–")
        case ResponseMode.CLINIC:
            return _("at the clinic")
        case _:
            assert_never(entry.mode)


def _fact(name: str, values: Sequence[str], events: Mapping[str, str]) -> str:
    if name in ("visit", "event"):
        return events.get(values[0], values[0])
    if name.endswith(("_on", "_on_before")):
        return _label(name, " → ".join(_day(each) for each in values))
    value_labels = DETAIL_LABELS.get(name)
    if value_labels is None:
        return ""
    between = " → " if name in BEFORE_AND_AFTER else ", "
    return _label(name, between.join(str(value_labels.get(each, each)) for each in values if each))


def _label(name: str, text: str) -> str:
    label = LABELS.get(name)
    return f"{label} {text}" if label and text else text


def _day(text: str) -> str:
    return str(format_date(date.fromisoformat(text), "medium")) if text else _("no day")
