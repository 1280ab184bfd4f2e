"""Codes of tables in the words that staff read, and the kind of tag that goes with a state."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import phonenumbers
from flask_babel import lazy_gettext as _

from pro_tracker.domain import calling, unanswered
from pro_tracker.domain.visit_windows import VisitStatus, is_open, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit

SEXES = {"female": _("Female"), "male": _("Male"), "other": _("Other"), "unknown": _("Not known")}
LANGUAGES = {"en": _("English"), "es": _("Spanish")}
CHANNELS = {"email": _("E-mail"), "sms": _("Text message")}
CONTACT_STATES = {
    "bounced": _("messages come back"),
    "stopped": _("asked us to stop"),
    "wrong-number": _("somebody else's"),
}
CONTACT_ADVICE = {
    "bounced": _("Messages come back as undeliverable. Ask the patient for the right address."),
    "stopped": _("The patient asked for no more messages there. Nothing to do, unless they want them again."),
    "wrong-number": _("It belongs to somebody else. Ask the patient for the right number."),
}
PROVIDERS = {"twilio": _("Twilio"), "gateway": _("Text message gateway"), "mail": _("Mail")}
INFUSION_STATES = {"completed": _("Completed"), "stopped": _("Stopped")}
ROLES = {
    "coordinator": _("Coordinator"),
    "clinician": _("Clinician"),
    "researcher": _("Researcher"),
    "administrator": _("Administrator"),
}
GRADES = {
    1: _("1 – mild"),
    2: _("2 – moderate"),
    3: _("3 – severe"),
    4: _("4 – life-threatening"),
    5: _("5 – death"),
}
CALL_REASONS = {
    "no-contact": _("No e-mail or mobile number"),
    "all-reminders-sent": _("All reminders sent, no answer"),
    "send-failed": _("Message could not be sent"),
    "send-uncertain": _("Message may not have arrived"),
    "alert": _("Answers need a call today"),
}
CALL_OUTCOMES = {
    "reached": _("Reached, will answer"),
    "voicemail": _("Left a voicemail"),
    "no-answer": _("No answer"),
    "wrong-number": _("Wrong number"),
    "refused": _("Does not want to answer"),
    "too-ill": _("Too ill to answer"),
    "language": _("Needs another language or an interpreter"),
}
ALERT_OUTCOMES = {
    "reached": _("Reached and spoken with"),
    **{code: CALL_OUTCOMES[code] for code in ("voicemail", "no-answer", "wrong-number")},
}
CALL_TIMES = {
    "morning": _("Morning, 8 to 11"),
    "midday": _("Midday, 11 to 2"),
    "afternoon": _("Afternoon, 2 to 5"),
    "evening": _("Evening, 5 to 9"),
}
UNANSWERED = {code: _(reason) for code, reason in unanswered.REASONS.items()}
MESSAGE_STATES = {
    "planned": (_("Planned"), "quiet"),
    "claimed": (_("Being sent"), "accent"),
    "sent": (_("Sent"), ""),
    "failed": (_("Failed"), "strong"),
    "uncertain": (_("May not have arrived"), "strong"),
    "ended": (_("No longer needed"), "quiet"),
}
WITHDRAWAL_SCOPES = {
    "asking": _("Not to be asked any more; what was answered may be used"),
    "data": _("Not to be asked any more, and what was answered is not to be used for research"),
}
MESSAGE_TEMPLATES = {
    "invitation": _("invitation"),
    "reminder": _("reminder"),
    "last-reminder": _("last reminder"),
    "fresh-link": _("new link"),
}
PLAN_CHANGES = {
    "stays": (_("Unchanged"), "quiet"),
    "moves": (_("Moves"), "accent"),
    "goes": (_("Dropped"), "strong"),
    "comes": (_("New"), "accent"),
}
VISIT_STATES: Mapping[VisitStatus, tuple[str, str]] = {
    VisitStatus.PLANNED: (_("Planned"), "quiet"),
    VisitStatus.DUE: (_("Due"), "accent"),
    VisitStatus.OVERDUE: (_("Overdue"), "strong"),
    VisitStatus.COMPLETED: (_("Answered"), ""),
    VisitStatus.MISSED: (_("Missed"), "quiet"),
    VisitStatus.VOID: (_("No longer asked"), "quiet"),
}


def phone_number(address: str) -> str:
    """A stored number as people read it: +1 216-555-0123."""
    number = phonenumbers.parse(address)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def template_name(code: str) -> str:
    """A message template in words; a clinic's own keeps its code."""
    return str(MESSAGE_TEMPLATES.get(code, code))


def is_over(pause: Pause, now: datetime, time_zone: str) -> bool:
    """Whether its last day has passed; one that is still to come is not."""
    today = local_date(now, time_zone)
    return pause.until_on is not None and pause.until_on < today


def told(messages: Sequence[Message]) -> list[Message]:
    """What was sent or tried, and the next message to go out; the rest of the plan and what was dropped is noise."""
    planned = [message for message in messages if message.state == "planned"]
    return [message for message in messages if message.state not in ("planned", "ended")] + planned[:1]


def visit_state(visit: Visit, now: datetime) -> tuple[str, str]:
    """A visit's status in words, and the kind of tag to show it in."""
    return VISIT_STATES[visit_status(visit, now)]


def can_answer(visit: Visit, now: datetime) -> bool:
    """Whether the visit can be answered now."""
    return is_open(visit, now)


def good_time_to_call(subject: Subject, now: datetime) -> bool:
    """Whether the subject's clock stands within the time that suits them best."""
    return calling.is_good_time(now, subject.best_call_time, subject.time_zone)


def why_unanswered(visit: Visit) -> str:
    """Why a visit ended without answers, in words; "" where it did not."""
    code = visit.void_reason or visit.missed_reason
    return "" if code is None or visit.completed_at is not None else str(UNANSWERED.get(code, code))


def may_have_reason(visit: Visit, now: datetime) -> bool:
    """Whether staff may say why the visit has no answers."""
    return visit_status(visit, now) in (VisitStatus.DUE, VisitStatus.OVERDUE, VisitStatus.MISSED)


def days_left(visit: Visit, now: datetime) -> int:
    """Whole days until the visit's window closes."""
    return max((visit.closes_at - now).days, 0)
