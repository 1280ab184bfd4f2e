"""A new code fails mypy or a guard: subsets name what they leave out, and each set is handled code by code."""

import ast
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.adverse_event_codes import Relatedness
from pro_tracker.domain.alert_codes import AlertOutcome
from pro_tracker.domain.assessment_codes import AssessmentOutcome, AssessmentState
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallReason
from pro_tracker.domain.channels import (
    ADDRESS_CHANNELS,
    BORROWING_CHANNELS,
    CHANNELS,
    HELPER_CHANNELS,
    PREFERABLE_CHANNELS,
)
from pro_tracker.domain.consent import ConsentMode, ConsentOutcome, ConsentState
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.infusion_codes import Asking, SymptomAnswer
from pro_tracker.domain.kept_answer_codes import KeptAnswerOutcome
from pro_tracker.domain.message_codes import EndReason, MessageKind, MessageState
from pro_tracker.domain.other_treatment_codes import OtherTreatmentKind
from pro_tracker.domain.protocol import ChannelWord
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.response_codes import AnswerState, EditSource, ResponseMode, ResponseStatus, ScoreStatus
from pro_tracker.domain.subject_codes import IdentityField
from pro_tracker.domain.unanswered import GIVEN_BY_STAFF, UnansweredReason
from pro_tracker.domain.visit_windows import VisitStatus
from tests.support.code_finder import PACKAGE, enums, sets_of_keys, subsets_of_codes, tables_of_codes

FOUND_AT_THE_END = {  # reasons that are derived from what happened, when a visit has ended
    *(UnansweredReason.PAUSED, UnansweredReason.STARTED_NOT_SENT, UnansweredReason.NOT_REACHED),
    *(UnansweredReason.NO_CONTACT, UnansweredReason.NO_REPLY, UnansweredReason.ENTERED_LATE),
}
SPOKEN = (  # with the subject or a relative
    *(CallOutcome.REACHED, CallOutcome.REFUSED, CallOutcome.TOO_ILL, CallOutcome.HOSPITAL, CallOutcome.LANGUAGE),
)
# For each subset of codes: the codes that are left out on purpose.
NOT_IN: Mapping[str, set[StrEnum]] = {
    "domain.alert_codes.NOT_SPOKEN": {  # these need a conversation
        *(AlertOutcome.SAFE, AlertOutcome.ADVISED, AlertOutcome.KNOWN, AlertOutcome.TREATMENT_CHANGED),
        *(AlertOutcome.REFERRED, AlertOutcome.BY_MISTAKE),
    },
    "domain.assessment_codes.IS_EXPECTED": {AssessmentState.NOT_DUE, AssessmentState.NOT_EXPECTED},
    "domain.assessment_codes.IS_OVER": {
        *(AssessmentState.OPEN, AssessmentState.NOT_DUE, AssessmentState.NOT_EXPECTED),
    },
    "domain.calling.STOP_REMINDERS_AFTER": {
        *(CallOutcome.REACHED, CallOutcome.WRONG_NUMBER, CallOutcome.LANGUAGE, CallOutcome.NOT_REACHED),
        *(CallOutcome.ANSWERED, CallOutcome.NO_LONGER_NEEDED, CallOutcome.DIED),
    },
    "domain.channels.ADDRESS_CHANNELS": {*BORROWING_CHANNELS},
    "domain.channels.BORROWING_CHANNELS": {*ADDRESS_CHANNELS},
    "domain.channels.HELPER_CHANNELS": {code for code in CHANNELS if code not in HELPER_CHANNELS},
    "domain.channels.PREFERABLE_CHANNELS": {code for code in CHANNELS if code not in PREFERABLE_CHANNELS},
    "domain.channels.DEFAULT_CHANNELS": {code for code, record in CHANNELS.items() if not record.is_on_by_default},
    "domain.consent.ANSWERS_TO_FORM": {ConsentOutcome.STOPPED_ASKING, ConsentOutcome.STOPPED_USE},
    "domain.consent.ASKED_IN": {
        *(ConsentState.NOT_ASKED, ConsentState.OUTDATED, ConsentState.DECLINED, ConsentState.WITHDRAWN)
    },
    "domain.consent.BY_STAFF": {ConsentMode.OWN_DEVICE, ConsentMode.CLINIC_DEVICE},
    "domain.consent.MISSING_IN": {
        *(ConsentState.NOT_NEEDED, ConsentState.GIVEN, ConsentState.DECLINED, ConsentState.WITHDRAWN)
    },
    "domain.contact_state.CLOSED": {ContactState.ACTIVE},
    "domain.delivery_reports.KEYWORD_EVENTS": {*ReportEvent}
    - {ReportEvent.STOP, ReportEvent.START, ReportEvent.HELP},  # only these have keywords
    "domain.delivery_reports.FINAL_EVENTS": {
        *(ReportEvent.SOFT_BOUNCE, ReportEvent.COMPLAINED, ReportEvent.STOP, ReportEvent.START, ReportEvent.HELP),
        *(ReportEvent.KEY_PRESSED, ReportEvent.OTHER),
    },
    "domain.infusion_codes.ANSWERED": {SymptomAnswer.NOT_ASKED},
    "domain.infusion_codes.ASKED": {Asking.NOT_ASKED, Asking.UNKNOWN},
    "domain.message_codes.WAITING_STATES": {
        *(MessageState.SENT, MessageState.FAILED, MessageState.UNCERTAIN, MessageState.ENDED)
    },
    "domain.response_codes.ACCESS_MODES": {ResponseMode.TELEPHONE},  # staff enter the answers
    "domain.response_codes.CHOSEN_SOURCES": {EditSource.LATE_ANSWER, EditSource.WRONG_VISIT},  # of what staff do
    "domain.response_codes.GIVEN_STATES": {AnswerState.SEEN},
    "domain.unanswered.DERIVED": {
        *(*GIVEN_BY_STAFF, UnansweredReason.ENTERED_LATE),  # its time was over before anybody could ask
        *(UnansweredReason.WITHDRAWN, UnansweredReason.NEW_COURSE, UnansweredReason.NO_DATE),
        *(UnansweredReason.ENTERED_IN_ERROR, UnansweredReason.DUPLICATE),
    },
    "domain.unanswered.GIVEN_BY_STAFF": {
        *FOUND_AT_THE_END,
        *(UnansweredReason.WITHDRAWN, UnansweredReason.NEW_COURSE, UnansweredReason.NO_DATE),
        *(UnansweredReason.ENTERED_IN_ERROR, UnansweredReason.DUPLICATE),
    },
    "domain.visit_windows.OPEN_STATUSES": {
        *(VisitStatus.PLANNED, VisitStatus.COMPLETED, VisitStatus.MISSED, VisitStatus.VOID)
    },
    "domain.visit_windows.UNANSWERED_STATUSES": {VisitStatus.PLANNED, VisitStatus.COMPLETED, VisitStatus.VOID},
    "models.response.COUNTED_STATUSES": {
        *(ResponseStatus.IN_PROGRESS, ResponseStatus.ENTERED_IN_ERROR, ResponseStatus.STOPPED)
    },
    "models.response.EXPORTED_STATUSES": {ResponseStatus.IN_PROGRESS, ResponseStatus.ENTERED_IN_ERROR},
    "services.answering.late_answers.OVER_STATUSES": {VisitStatus.PLANNED, VisitStatus.DUE, VisitStatus.OVERDUE},
    "services.answering.late_answers.REFUSED_AFTER": {
        *({*GIVEN_BY_STAFF} - {UnansweredReason.DIED}),
        *(*FOUND_AT_THE_END, UnansweredReason.NEW_COURSE, UnansweredReason.NO_DATE),
        UnansweredReason.DUPLICATE,
    },
    "services.answering.stopping.REVERTIBLE": {
        *({*GIVEN_BY_STAFF} - {UnansweredReason.DIED}),
        *FOUND_AT_THE_END,
        UnansweredReason.ENTERED_IN_ERROR,
    },
    "services.calling.call_attempts.CLOSES_ALERT": {*CallAttemptOutcome}
    - {CallAttemptOutcome.REACHED, CallAttemptOutcome.DIED},  # any other leaves the subject without help
    "services.calling.calls.ENDED_WITHOUT_CALL": {
        *(*SPOKEN, CallOutcome.NOT_REACHED, CallOutcome.WRONG_NUMBER, CallOutcome.ANSWERED)
    },
    "services.calling.calls.FINAL_OUTCOMES": {
        *(CallOutcome.WRONG_NUMBER, CallOutcome.ANSWERED, CallOutcome.NO_LONGER_NEEDED, CallOutcome.DIED)
    },
    "services.calling.calls.OPENING_REASONS": {CallReason.ALERT},  # opened with the answer that needs it
    "services.calling.calls.REOPENED_AFTER": {*(*SPOKEN, CallOutcome.NOT_REACHED, CallOutcome.ANSWERED)},
    "services.calling.worklist.ATTEMPTED_STATES": {MessageState.PLANNED, MessageState.CLAIMED, MessageState.ENDED},
    "services.calling.worklist.PROBLEM_STATES": {
        *(MessageState.PLANNED, MessageState.CLAIMED, MessageState.SENT, MessageState.ENDED)
    },
    "services.clinic.visibility.CLINICAL_ROLES": {Role.RESEARCHER, Role.ADMINISTRATOR},  # see no subject
    "services.wording.message_checks.MAIL_TEMPLATES": {
        *(MessageKind.REMINDER, MessageKind.SNOOZE, MessageKind.FRESH_LINK)
    },
    "services.wording.message_checks.PATIENT_REQUESTED_TEMPLATES": {MessageKind.REMINDER, MessageKind.CONSENT_COPY},
    "services.planning.planned_messages.PLANNED_KINDS": {MessageKind.FRESH_LINK, MessageKind.CONSENT_COPY},
    "services.planning.planned_messages.REVIVABLE": {
        *(EndReason.ANSWERED, EndReason.WINDOW_CLOSED, EndReason.SUPERSEDED),
        # Without the words that both sets have, and a death, which can be reverted.
        *({*GIVEN_BY_STAFF, *FOUND_AT_THE_END} - {EndReason.PAUSED, EndReason.NO_CONTACT, UnansweredReason.DIED}),
        UnansweredReason.ENTERED_IN_ERROR,
    },
    "services.planning.first_asked.SPOKEN_WITH": {  # the patient was not asked
        *(CallAttemptOutcome.VOICEMAIL, CallAttemptOutcome.NO_ANSWER, CallAttemptOutcome.WRONG_NUMBER),
        *(CallAttemptOutcome.TOO_ILL, CallAttemptOutcome.HOSPITAL, CallAttemptOutcome.LANGUAGE),
        CallAttemptOutcome.DIED,
    },
    "services.planning.planned_messages.UNSENT": {
        *(MessageState.CLAIMED, MessageState.SENT, MessageState.FAILED, MessageState.UNCERTAIN)
    },
    "services.assessment_view.INTERCURRENT": {
        code
        for code in UnansweredReason
        if code not in (UnansweredReason.NEW_COURSE, UnansweredReason.DIED, UnansweredReason.WITHDRAWN)
    },
    "services.planning.visit_filters.ENDED_BY_PLANNING": {
        *(*GIVEN_BY_STAFF, *FOUND_AT_THE_END, UnansweredReason.WITHDRAWN, UnansweredReason.ENTERED_IN_ERROR),
        UnansweredReason.DUPLICATE,
    },
    "services.protocols.protocol_format.CHANNEL_WORDS": {ChannelWord.OTHER},
    "services.record.ledger.NO_PROBLEM": {
        *(ReportEvent.FAILED, ReportEvent.HARD_BOUNCE, ReportEvent.SOFT_BOUNCE, ReportEvent.COMPLAINED),
        *(ReportEvent.STOP, ReportEvent.START, ReportEvent.HELP, ReportEvent.KEY_PRESSED),
    },
    "services.results.treatment_columns.REAL_KINDS": {OtherTreatmentKind.NONE},  # no treatment
    "services.results.unanswered_counts.WITHOUT_ANSWERS": {
        *(AssessmentOutcome.ANSWERED, AssessmentOutcome.NOT_SCORED, AssessmentOutcome.NOT_EXPECTED),
    },
    "services.results.changed_groups.CORRECTIONS": {  # these re-plan visits, and so are noticed
        *(CorrectionKind.COURSE_END, CorrectionKind.ANCHOR_DATE, CorrectionKind.PAUSE, CorrectionKind.PROTOCOL)
    },
    "services.sending.send_context.SUBMITTED": {MessageState.PLANNED, MessageState.FAILED, MessageState.ENDED},
    "simulation.alert_calls.AFTER_EFFECTS": {  # the first two follow from what the patient did
        *(AlertOutcome.SAFE, AlertOutcome.BY_MISTAKE),
        *(AlertOutcome.EMERGENCY_SERVICES, AlertOutcome.NOT_REACHED),
    },
    "web.labels._NOT_SPOKEN_WITH": {
        *(CallAttemptOutcome.REACHED, CallAttemptOutcome.REFUSED, CallAttemptOutcome.TOO_ILL),
        *(CallAttemptOutcome.HOSPITAL, CallAttemptOutcome.LANGUAGE, CallAttemptOutcome.DIED),
    },
    "web.webhooks.gateway.MESSAGE_EVENTS": {  # about an address, or from a patient
        *(ReportEvent.COMPLAINED, ReportEvent.STOP, ReportEvent.START, ReportEvent.HELP, ReportEvent.OTHER)
    },
    "services.enrolment.identity_corrections.IN_NO_LABEL": {  # not in the subject's label
        *(IdentityField.BIRTH_DATE, IdentityField.SEX, IdentityField.CONSENT_VERSION, IdentityField.CONSENT_ON),
    },
    "services.enrolment.identity_corrections.OF_NAME": {
        *(IdentityField.BIRTH_DATE, IdentityField.RECORD_NUMBER, IdentityField.SEX),
        *(IdentityField.CONSENT_VERSION, IdentityField.CONSENT_ON),
    },
    "simulation.adverse_events.RELATIONS": {  # of what is reported weeks later
        *(Relatedness.UNRELATED, Relatedness.PROBABLE, Relatedness.DEFINITE),
    },
}
# Sets that no table, subset or `match` lists: their codes, and where to look when there is one more.
ONLY_STORED: Mapping[type[StrEnum], set[StrEnum]] = {
    ScoreStatus: {ScoreStatus.SCORED, ScoreStatus.NOT_SCORED},  # models/response.py: which columns have a value
    KeptAnswerOutcome: set(KeptAnswerOutcome),  # named to the phone, whose script has a sentence for each
}


def test_every_subset_of_codes_names_the_codes_that_it_leaves_out() -> None:
    left_out = {name: _rest(subset) for name, subset in subsets_of_codes()}
    found = {name: codes for name, codes in left_out.items() if codes}
    differing = {name: codes ^ NOT_IN.get(name, set()) for name, codes in found.items() if codes != NOT_IN.get(name)}
    assert differing == {}, "add each code to the subset, or to NOT_IN"
    assert NOT_IN.keys() - found.keys() == set()


def _rest(subset: Collection[StrEnum]) -> set[StrEnum]:
    """Returns the codes of the subset's sets that are no part of it."""
    whole: set[StrEnum] = set()
    for codes in {type(code) for code in subset}:
        whole |= set(codes)
    return whole - set(subset)


def test_no_subset_of_codes_is_written_inside_a_function() -> None:
    hidden = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in PACKAGE.rglob("*.py")
        for line, text in _inside_functions(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert hidden == [], "make it a constant of the module, so that its missing codes are listed in NOT_IN"


def _inside_functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields the line and the text of each tuple, list or set of two or more codes in a function."""
    names = {each.__name__ for each in enums()}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in (inner for function in functions for inner in ast.walk(function)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and _lists_codes(node.elts, names):
            yield node.lineno, ast.unparse(node)


def _lists_codes(elements: list[ast.expr], names: set[str]) -> bool:
    return len(elements) > 1 and all(_set_of(each) in names for each in elements)


def _set_of(node: ast.AST) -> str:
    """Returns "Enum" of Enum.MEMBER; "" of anything else."""
    is_member = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return ast.unparse(node).partition(".")[0] if is_member else ""


def test_every_set_of_codes_is_handled_code_by_code_somewhere() -> None:
    handled = {code_set.__name__ for _, table in tables_of_codes() for code_set in sets_of_keys(table)}
    handled |= {type(code).__name__ for _, subset in subsets_of_codes() for code in subset}
    for path in PACKAGE.rglob("*.py"):
        handled |= set(_matched(ast.parse(path.read_text(encoding="utf-8"))))
    unhandled = [each for each in enums() if each.__name__ not in handled]
    assert {each: set(each) for each in unhandled} == ONLY_STORED, "use a table, or a match that ends in assert_never"


def _matched(tree: ast.AST) -> Iterator[str]:
    """Yields the sets of each `match` that ends in assert_never, so that mypy finds a missing code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Match) and "assert_never" in ast.unparse(node.cases[-1]):
            yield from (_set_of(each.value) for each in ast.walk(node) if isinstance(each, ast.MatchValue))
