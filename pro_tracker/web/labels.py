"""Labels that staff read for stored codes, and the kind of tag that shows a state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import phonenumbers
from flask_babel import format_date, gettext, lazy_gettext as _

from pro_tracker.domain import calling, response_codes, subject_codes, unanswered
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.domain.alert_codes import AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason, CallTime
from pro_tracker.domain.channels import PREFERABLE_CHANNELS, AddressKind, Channel, address_kind, reaches_helper
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.disclosure import Suppressed
from pro_tracker.domain.endings import EndingExtent
from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.domain.infusion_codes import (
    ASKED,
    Asking,
    InfusionStatus,
    MedicationPurpose,
    MissedInfusionKind,
    SymptomAnswer,
    VitalTiming,
)
from pro_tracker.domain.message_codes import MessageKind, MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_codes import PlanChange
from pro_tracker.domain.response_codes import EditSource, LateAnswerOutcome, MoveWarning, ResponseMode, ResponseStatus
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.domain.subject_codes import DeathDatePrecision, IdentityField, Sex, WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import UNANSWERED_STATUSES, VisitStatus, is_open, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.languages import english_name, is_known, patient_languages
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning.planned_messages import UNSENT

SEXES = {Sex.FEMALE: _("Female"), Sex.MALE: _("Male"), Sex.OTHER: _("Other"), Sex.UNKNOWN: _("Not known")}
IDENTITY_FIELDS = {
    IdentityField.GIVEN_NAME: _("given name"),
    IdentityField.FAMILY_NAME: _("family name"),
    IdentityField.BIRTH_DATE: _("date of birth"),
    IdentityField.RECORD_NUMBER: _("record number"),
    IdentityField.SEX: _("sex"),
    IdentityField.CONSENT_VERSION: _("version of the consent"),
    IdentityField.CONSENT_ON: _("date of consent"),
}
CHANNELS = {
    Channel.EMAIL: _("E-mail"),
    Channel.SMS: _("Text message"),
    Channel.VOICE: _("Automated call"),
    Channel.HELPER: _("E-mail to the helper"),
}
# What a subject may choose.
PREFERRED_CHANNELS = {channel: name for channel, name in CHANNELS.items() if channel in PREFERABLE_CHANNELS}
CONTACT_STATES = {
    ContactState.BOUNCED: _("messages come back"),
    ContactState.STOPPED: _("asked us to stop"),
    ContactState.WRONG_NUMBER: _("someone else's"),
}
HELPER_ENDINGS = {
    HelperEnding.PATIENT: _("The patient no longer agrees"),
    HelperEnding.HELPER: _("The helper does not want it"),
    HelperEnding.MISTAKE: _("Entered by mistake"),
}
CONTACT_ADVICE = {
    ContactState.BOUNCED: _("Messages come back as undeliverable. Ask the patient for the right address."),
    ContactState.STOPPED: _(
        "The patient asked for no more messages there. Nothing to do, unless they want them again."
    ),
    ContactState.WRONG_NUMBER: _("It belongs to someone else. Ask the patient for the right number."),
}
HELPER_ADVICE = {
    ContactState.BOUNCED: _(
        "Messages to the helper come back as undeliverable. Ask the patient for the right address."
    ),
    ContactState.STOPPED: _("The helper asked for no more messages. Tell the patient, who may name somebody else."),
    ContactState.WRONG_NUMBER: CONTACT_ADVICE[ContactState.WRONG_NUMBER],
}
PROVIDERS = {
    "twilio": _("Twilio"),
    "gateway": _("Text message gateway"),
    "mail": _("Mail"),
    "voice-gateway": _("Gateway for calls"),
}
# `n`: the least number that is shown.
SUPPRESSED = {Suppressed.FEW: _("fewer than %(n)s"), Suppressed.HELD_BACK: _("held back")}
SNOOZE_REASONS = {
    SnoozeReason.PAIN: _("too much pain"),
    SnoozeReason.TIRED: _("too tired"),
    SnoozeReason.NO_TIME: _("no time"),
    SnoozeReason.OTHER: _("another reason"),
}
MISSED_INFUSIONS = {
    MissedInfusionKind.DID_NOT_COME: _("The patient did not come"),
    MissedInfusionKind.RESCHEDULED: _("It was moved to another day"),
}
INFUSION_STATES = {InfusionStatus.COMPLETED: _("Completed"), InfusionStatus.STOPPED: _("Stopped")}
# How staff asked about symptoms at an infusion; the order is that of the form.
ASKINGS = {
    Asking.NONE_REPORTED: _("Yes, about all: none reported"),
    Asking.AS_MARKED: _("Yes: as marked below; what is not marked was asked about and not reported"),
    Asking.NOT_ASKED: _("Nobody asked"),
    Asking.UNKNOWN: _("It is not known whether anybody asked"),
}
SYMPTOM_ANSWERS = {
    SymptomAnswer.NO: _("No"),
    SymptomAnswer.YES: _("Yes"),
    SymptomAnswer.NOT_ASKED: _("Not asked"),
}
VITAL_TIMINGS = {
    VitalTiming.BEFORE: _("Before"),
    VitalTiming.DURING: _("During"),
    VitalTiming.AFTER: _("After"),
}
MEDICATION_PURPOSES = {
    MedicationPurpose.RESCUE: _("against an adverse effect"),
    MedicationPurpose.PREMEDICATION: _("before the infusion"),
}
YES_OR_NO = {True: _("yes"), False: _("no")}
ADVERSE_EVENT_SOURCES = {
    AdverseEventSource.ASKED: _("We asked"),
    AdverseEventSource.VOLUNTEERED: _("Said without being asked"),
}
ADVERSE_EVENT_OUTCOMES = {
    AdverseEventOutcome.RECOVERED: _("Over"),
    AdverseEventOutcome.RECOVERING: _("Getting better"),
    AdverseEventOutcome.NOT_RECOVERED: _("Still there, unchanged or worse"),
    AdverseEventOutcome.SEQUELAE: _("Over, with lasting effects"),
    AdverseEventOutcome.FATAL: _("Fatal"),
    AdverseEventOutcome.UNKNOWN: _("Not known"),
}
RELATEDNESS = {
    Relatedness.UNRELATED: _("Unrelated"),
    Relatedness.UNLIKELY: _("Unlikely"),
    Relatedness.POSSIBLE: _("Possible"),
    Relatedness.PROBABLE: _("Probable"),
    Relatedness.DEFINITE: _("Definite"),
}
ACTIONS_TAKEN = {
    ActionTaken.DOSE_NOT_CHANGED: _("Nothing was changed"),
    ActionTaken.DOSE_RATE_REDUCED: _("Given more slowly"),
    ActionTaken.DOSE_REDUCED: _("Dose reduced"),
    ActionTaken.INTERRUPTED: _("Infusion stopped or paused"),
    ActionTaken.WITHDRAWN: _("No further infusions"),
    ActionTaken.NOT_APPLICABLE: _("No treatment was being given"),
    ActionTaken.UNKNOWN: _("Not known"),
}
ROLES = {
    Role.COORDINATOR: _("Coordinator"),
    Role.CLINICIAN: _("Clinician"),
    Role.RESEARCHER: _("Researcher"),
    Role.ADMINISTRATOR: _("Administrator"),
}
GRADES = {
    1: _("1 – mild"),
    2: _("2 – moderate"),
    3: _("3 – severe"),
    4: _("4 – life-threatening"),
    5: _("5 – death"),
}
CALL_REASONS = {
    CallReason.NO_CONTACT: _("No e-mail or mobile number"),
    CallReason.ALL_REMINDERS_SENT: _("All reminders sent, no answer"),
    CallReason.SEND_FAILED: _("Message could not be sent"),
    CallReason.SEND_UNCERTAIN: _("Message may not have arrived"),
    CallReason.STARTED_NOT_SENT: _("Began to answer, did not send"),
    CallReason.IDENTITY: _("Date of birth does not match: check the record"),
    CallReason.ALERT: _("Answers need a call today"),
}
CALL_OUTCOMES = {
    CallAttemptOutcome.REACHED: _("Reached, will answer"),
    CallAttemptOutcome.VOICEMAIL: _("Left a voicemail"),
    CallAttemptOutcome.NO_ANSWER: _("No answer"),
    CallAttemptOutcome.WRONG_NUMBER: _("Wrong number"),
    CallAttemptOutcome.REFUSED: _("Does not want to answer"),
    CallAttemptOutcome.TOO_ILL: _("Too ill to answer"),
    CallAttemptOutcome.HOSPITAL: _("In hospital"),
    CallAttemptOutcome.LANGUAGE: _("Needs another language or an interpreter"),
    CallAttemptOutcome.DIED: _("The patient has died"),
}
_NOT_SPOKEN_WITH = (CallAttemptOutcome.VOICEMAIL, CallAttemptOutcome.NO_ANSWER, CallAttemptOutcome.WRONG_NUMBER)
ALERT_CALL_OUTCOMES = {
    CallAttemptOutcome.REACHED: _("Reached and spoken with"),
    **{code: CALL_OUTCOMES[code] for code in (*_NOT_SPOKEN_WITH, CallAttemptOutcome.DIED)},
}
ALERT_OUTCOMES = {
    AlertOutcome.SAFE: _("Spoken with: safe, nothing more is needed"),
    AlertOutcome.ADVISED: _("Advice given: what to watch, when to call"),
    AlertOutcome.KNOWN: _("Already known, and in care for it"),
    AlertOutcome.TREATMENT_CHANGED: _("Treatment changed or paused"),
    AlertOutcome.REFERRED: _("Appointment or other care arranged"),
    AlertOutcome.EMERGENCY_SERVICES: _("Emergency services called, or sent to an emergency department"),
    AlertOutcome.BY_MISTAKE: _("Answered by mistake, or meant something else"),
    AlertOutcome.NOT_REACHED: _("Not spoken with yet"),
}
CALL_TIMES = {
    CallTime.MORNING: _("Morning, 8 to 11"),
    CallTime.MIDDAY: _("Midday, 11 to 2"),
    CallTime.AFTERNOON: _("Afternoon, 2 to 5"),
    CallTime.EVENING: _("Evening, 5 to 9"),
}
MISSING_ITEMS = {code: _(meaning) for code, meaning in response_codes.MISSING_ITEMS.items()}
EDIT_SOURCES = {
    EditSource.PATIENT: _("The patient said so"),
    EditSource.PAPER: _("Paper form"),
    EditSource.ENTRY_ERROR: _("Entered wrongly by staff"),
    EditSource.LATE_ANSWER: _("Answer that arrived late"),
    EditSource.WRONG_VISIT: _("Stored for the wrong visit"),
}
RESPONSE_STATES: Mapping[ResponseStatus, tuple[str, str]] = {
    ResponseStatus.IN_PROGRESS: (_("Begun"), "quiet"),
    ResponseStatus.COMPLETED: (_("As sent"), ""),
    ResponseStatus.AMENDED: (_("Corrected"), "accent"),
    ResponseStatus.ENTERED_IN_ERROR: (_("No longer counts"), "quiet"),
    ResponseStatus.STOPPED: (_("Never sent"), "quiet"),
}
GOAL_STEPS = {
    Attainment.MUCH_LESS: _("Much less than expected (−2)"),
    Attainment.LESS: _("Less than expected (−1)"),
    Attainment.AS_EXPECTED: _("As expected (0)"),
    Attainment.MORE: _("More than expected (+1)"),
    Attainment.MUCH_MORE: _("Much more than expected (+2)"),
}
RESPONSE_MODES = {
    ResponseMode.SELF_WEB: _("on the patient's own device"),
    ResponseMode.TELEPHONE: _("by telephone"),
    ResponseMode.CLINIC: _("at the clinic"),
}
MOVE_WARNINGS = {
    MoveWarning.PERSON: _("The answers go to another person."),
    MoveWarning.EVENT: _("The answers were given to the questions of another study event."),
    MoveWarning.TIME: _("They were given outside the time in which that visit could be answered."),
    MoveWarning.DRAFT: _("That visit was begun: what was answered there to the same questions becomes a late answer."),
}
LATE_ANSWER_OUTCOMES = {
    LateAnswerOutcome.APPLIED: _("Taken over"),
    LateAnswerOutcome.KEPT_AS_SENT: _("Left as sent"),
}
DUPLICATE_SIGNS = {code: _(sign) for code, sign in subject_codes.DUPLICATE_SIGNS.items()}
UNANSWERED_REASONS = {code: _(reason) for code, reason in unanswered.REASONS.items()}
UNCOUNTED_REASONS = {code: _(reason) for code, reason in unanswered.UNCOUNTED.items()}
STOP_REASONS = {code: _(reason) for code, reason in unanswered.STOP_REASONS.items()}
MESSAGE_STATES = {
    MessageState.PLANNED: (_("Planned"), "quiet"),
    MessageState.CLAIMED: (_("Being sent"), "accent"),
    MessageState.SENT: (_("Sent"), ""),
    MessageState.FAILED: (_("Failed"), "strong"),
    MessageState.UNCERTAIN: (_("May not have arrived"), "strong"),
    MessageState.ENDED: (_("No longer needed"), "quiet"),
}
WITHDRAWAL_SCOPES = {
    WithdrawalScope.ASKING: _("Stop asking; answers so far may be used for research"),
    WithdrawalScope.DATA: _("Stop asking; answers so far may not be used for research"),
}
DEATH_DATE_PRECISIONS = {
    DeathDatePrecision.EXACT: _("The day is known"),
    DeathDatePrecision.APPROXIMATE: _("About then: the day is not certain"),
    DeathDatePrecision.UNKNOWN: _("The day is not known"),
}
ENDING_EXTENTS = {
    EndingExtent.VISIT: _("Only these questions"),
    EndingExtent.PAUSE: _("A pause: nothing is asked until it is over"),
    EndingExtent.WITHDRAWAL: _("Everything: the patient is not asked again"),
}
# Names of the supplied reminder templates, and of the kinds of message, which name the templates of requested ones.
MESSAGE_TEMPLATES: Mapping[str, object] = {
    "invitation": _("invitation"),
    "last-reminder": _("last reminder"),
    MessageKind.REMINDER: _("reminder"),
    MessageKind.SNOOZE: _("once more, after “not today”"),
    MessageKind.FRESH_LINK: _("new link"),
    MessageKind.CONSENT_COPY: _("copy of the consent"),
}
PLAN_CHANGES = {
    PlanChange.STAYS: (_("Unchanged"), "quiet"),
    PlanChange.MOVES: (_("Moves"), "accent"),
    PlanChange.GOES: (_("Dropped"), "strong"),
    PlanChange.COMES: (_("New"), "accent"),
}
VISIT_STATES: Mapping[VisitStatus, tuple[str, str]] = {
    VisitStatus.PLANNED: (_("Planned"), "quiet"),
    VisitStatus.DUE: (_("Due"), "accent"),
    VisitStatus.OVERDUE: (_("Overdue"), "strong"),
    VisitStatus.COMPLETED: (_("Answered"), ""),
    VisitStatus.MISSED: (_("Missed"), "quiet"),
    VisitStatus.VOID: (_("No longer asked"), "quiet"),
}

NOT_SENT = (_("Not sent"), "quiet")


def language_name(code: str) -> str:
    """Returns the name of a language in English; its code where CLDR has none."""
    return english_name(code) if is_known(code) else code


def language_names() -> Mapping[str, str]:
    """Returns the languages of patients: code -> name in English."""
    return {code: english_name(code) for code in patient_languages()}


def adverse_event(event: AdverseEvent) -> str:
    """Returns what is recorded of an adverse event in addition to its term, in words."""
    found: Mapping[object, object] = {
        _("grade"): GRADES[event.ctcae_grade],
        _("began"): _wall_date(event.started_on, event.started_at_local),
        _("over on"): _wall_date(event.ended_on),
        **_judgements(event),
    }
    known = [f"{label}: {value}" for label, value in found.items() if value]
    return "; ".join(known)


def _judgements(event: AdverseEvent) -> Mapping[object, object]:
    """Returns what was chosen of an adverse event, by label; "" for what is not recorded."""
    return {
        _("outcome"): _label(ADVERSE_EVENT_OUTCOMES, event.outcome),
        _("caused by the treatment"): _label(RELATEDNESS, event.relatedness),
        _("treatment"): _label(ACTIONS_TAKEN, event.action_taken),
        _("serious"): _label(YES_OR_NO, event.is_serious),
        _("emergency"): _label(YES_OR_NO, event.emergency_response),
    }


def _label(labels: Mapping[Any, object], code: Any) -> object:
    if code is None:
        return ""
    return labels[code]


def _wall_date(on: date | None, at: time | None = None) -> str:
    if on is None:
        return ""
    text = format_date(on)
    return f"{text} {at:%H:%M}" if at else text


def asked_at(infusion: Infusion) -> str:
    """Returns whether staff asked about adverse effects at an infusion, in words."""
    not_asked = [row.term for row in infusion.symptoms if row.answer == SymptomAnswer.NOT_ASKED]
    match infusion.asking:
        case Asking.UNKNOWN:
            return gettext("Not recorded whether anybody asked")
        case Asking.NOT_ASKED:
            return gettext("Nobody asked")
        case Asking.NONE_REPORTED:
            return gettext("Asked: none reported")
    if not_asked:
        return gettext("Asked, not about: %(terms)s", terms=", ".join(not_asked))
    return gettext("Asked about all")


def no_adverse_events(courses: Sequence[Course]) -> str:
    """Returns why no adverse event is listed: none was reported, it was not asked about, or that is not known."""
    askings: list[Asking] = []
    for course in courses:
        askings += (infusion.asking for infusion in course.infusions)
    asked = [asking for asking in askings if asking in ASKED]
    if not askings:
        return gettext("None is recorded; no infusion was given yet.")
    if not asked:
        return gettext("None is recorded. That anybody asked is not recorded either.")
    return gettext(
        "None is recorded. Somebody asked at %(asked)s of %(given)s infusions.",
        asked=len(asked),
        given=len(askings),
    )


def vitals_of(infusion: Infusion) -> Iterator[str]:
    """Yields each vital sign that was taken at an infusion, with its values in the order of the infusion."""
    taken: dict[tuple[str, str], list[str]] = {}
    for row in infusion.vitals:
        values = taken.setdefault((row.name, row.unit), [])
        if row.value is not None:
            values.append(f"{row.value.normalize():f}")
    for (name, unit), values in taken.items():
        if values:
            joined = " – ".join(values)
            yield f"{name} {joined} {unit}"


def study(protocol: Protocol) -> str:
    """Returns the name under which staff choose a protocol: "KET5D: Patient-reported outcomes around ..."."""
    return f"{protocol.study}: {protocol.title}"


def address(contact: Contact) -> str:
    """An address as people read it."""
    return _ADDRESSES[address_kind(contact.channel)](contact.address)


def contact_advice(contact: Contact) -> str:
    """Returns what to do about a closed contact."""
    advice = HELPER_ADVICE if reaches_helper(contact.channel) else CONTACT_ADVICE
    return str(advice[contact.state])


def phone_number(address: str) -> str:
    """Returns a stored number (E.164) in international format: "+1 216-555-0123"."""
    number = phonenumbers.parse(address)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


_ADDRESSES: Mapping[AddressKind, Callable[[str], str]] = {
    AddressKind.EMAIL: str,
    AddressKind.TELEPHONE: phone_number,
}


def template_name(code: str) -> str:
    """Returns the name of a message template; a template of the clinic's own is shown by its code."""
    return str(MESSAGE_TEMPLATES.get(code, code))


def pause_is_over(pause: Pause, now: datetime, time_zone: str) -> bool:
    """Returns whether the last day of the pause has passed where the subject is."""
    if pause.until_on is None:
        return False
    today = local_date(now, time_zone)
    return pause.until_on < today


def shown_messages(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages that a summary shows: those that were sent or tried, and the next planned one."""
    attempted = [message for message in messages if message.state not in UNSENT]
    planned = [message for message in messages if message.state == MessageState.PLANNED]
    return attempted + planned[:1]


def visit_state(visit: Visit, now: datetime) -> tuple[str, str]:
    """Returns the label of a visit's status, and the kind of tag that shows it.

    A visit whose answers were kept although they were never sent is neither answered nor missed.
    """
    if visit.stopped_at is not None:
        return NOT_SENT
    status = visit_status(visit, now)
    return VISIT_STATES[status]


def can_answer(visit: Visit, now: datetime) -> bool:
    """Returns whether the visit can be answered now."""
    return is_open(visit, now)


def good_time_to_call(subject: Subject, now: datetime) -> bool:
    """Returns whether it is the subject's best time to be called, by the local time of the subject."""
    return calling.is_good_time(now, subject.best_call_time, subject.time_zone)


def unanswered_reason(visit: Visit) -> str:
    """Returns the label of the reason why a visit ended without answers; "" for other visits."""
    if visit.completed_at is not None:
        return ""
    code = visit.void_reason or visit.missed_reason
    if code is None:
        return ""
    return str(UNANSWERED_REASONS[code])


def can_record_reason(visit: Visit, now: datetime) -> bool:
    """Returns whether staff may record why the visit has no answers, or correct what they recorded.

    A death is corrected on its own page.
    """
    reason = visit.void_reason
    if reason in unanswered.GIVEN_BY_STAFF:
        return reason != UnansweredReason.DIED
    return visit_status(visit, now) in UNANSWERED_STATUSES


def days_left(visit: Visit, now: datetime) -> int:
    """Returns the whole days until the visit's window closes; 0 once it has closed."""
    left = visit.closes_at - now
    return max(left.days, 0)
