"""The changes of a subject's data from the audit trail, with the ids in their details resolved to labels."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Select, String, literal, or_, select, type_coerce, union_all
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import AdverseEvent, AnchorDate, Course, Infusion
from pro_tracker.models.identity_change import IdentityChange
from pro_tracker.models.interruption import Pause
from pro_tracker.models.merge import Merge
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.transfer import Transfer
from pro_tracker.models.visit import Visit, event_label
from pro_tracker.services.clinic.person import records_of

NO_CHANGES = ("identity.", "subject.view", "ledger.", "results.")  # prefixes of audit actions that only read
# Details that hold an id: name of the detail -> name under which its label is shown.
RESOLVED = {"course": "course", "visit": "visit", "infusion": "infusion_on", "replaces": "infusion_on_before"}
# The kind of an infusion that was removed or corrected: no correction is stored, its old row has the reason.
VOIDED_INFUSION = "infusion"
ADVERSE_EVENT = "adverse-event"  # likewise
LIVER_TEST, MISSED_INFUSION, OTHER_TREATMENT = "liver-test", "missed-infusion", "other-treatment"  # likewise
# The rows of a course that are voided with a reason.
VOIDED = {
    VOIDED_INFUSION: Infusion,
    ADVERSE_EVENT: AdverseEvent,
    LIVER_TEST: LiverTest,
    MISSED_INFUSION: MissedInfusion,
    OTHER_TREATMENT: OtherTreatment,
}
IDENTITY = "identity"  # its former values are rows of their own
TRANSFER = "transfer"
MERGE = "merge"  # the kind of a merge and of its end: the reasons are in its own row
# Actions for which staff gave a reason -> the kind of row that stores it. Withdrawals are left out: what a patient said
# stays on the patient's page.
REASONED = {
    "adverse-event.correct": ADVERSE_EVENT,
    "adverse-event.void": ADVERSE_EVENT,
    "course.move-protocol": CorrectionKind.PROTOCOL,
    "course.reopen": CorrectionKind.COURSE_END,
    "course.set-date": CorrectionKind.ANCHOR_DATE,
    "infusion.correct": VOIDED_INFUSION,
    "infusion.remove": VOIDED_INFUSION,
    "liver-test.correct": LIVER_TEST,
    "liver-test.void": LIVER_TEST,
    "missed-infusion.remove": MISSED_INFUSION,
    "other-treatment.correct": OTHER_TREATMENT,
    "other-treatment.void": OTHER_TREATMENT,
    "pause.begin": CorrectionKind.PAUSE,
    "pause.end": CorrectionKind.PAUSE,
    "pause.remove": CorrectionKind.PAUSE,
    "subject.merge": MERGE,
    "subject.separate": MERGE,
    "response.amend": CorrectionKind.RESPONSE,
    "response.move-away": CorrectionKind.RESPONSE,
    "response.move-here": CorrectionKind.RESPONSE,
    "response.void": CorrectionKind.RESPONSE,
    "subject.correct-identity": IDENTITY,
    "subject.transfer": TRANSFER,
}
INTERNAL = (
    *("call", "pause", "closed", "adverse_events", "adverse_event", "row"),
    *("response", "response_before", "responses", "late_answer", "items"),
)  # ids and counts without meaning for the reader


@dataclass(frozen=True, slots=True)
class DataChange:
    """One change of the subject's data."""

    at: datetime
    actor_kind: ActorKind
    account: Account | None  # of the staff member; None for the patient, the service or a command
    action: str
    details: Mapping[str, Sequence[str]]  # name -> codes or ISO dates; two values where one replaced the other
    reason: str = ""  # in the words of the staff member; "" where the action asks for none


@dataclass(frozen=True, slots=True)
class _Labels:
    """Everything that the ids and moments of audit rows are resolved with, read once for all changes of a subject."""

    accounts: Mapping[int, Account]
    rows: Mapping[str, Mapping[int, str]]  # name of the detail -> id -> label
    reasons: Mapping[tuple[str, datetime], str]  # (kind of row, moment of the change) -> reason


def changes(session: Session, subject_id: uuid.UUID) -> Sequence[DataChange]:
    """The changes of the subject's data, newest first. In a fixed number of statements."""
    events = _events(session, subject_id)
    labels = _Labels(
        accounts=_accounts(session, events),
        rows=_row_labels(session, subject_id),
        reasons=_reasons(session, subject_id),
    )
    return [_change(event, labels) for event in events]


def _events(session: Session, subject_id: uuid.UUID) -> Sequence[AuditEvent]:
    """The audit events of the subject that changed something, newest first."""
    read_actions = [AuditEvent.action.startswith(start, autoescape=True) for start in NO_CHANGES]
    only_read = or_(*read_actions)
    events = select(AuditEvent).where(
        AuditEvent.subject_id.in_(records_of(subject_id)),
        ~only_read,
    )
    newest_first = events.order_by(AuditEvent.id.desc())
    return session.scalars(newest_first).all()


def _accounts(session: Session, events: Sequence[AuditEvent]) -> Mapping[int, Account]:
    """The staff accounts that made these changes, by id."""
    ids = {int(event.actor_id) for event in events if event.actor_kind == ActorKind.ACCOUNT}
    if not ids:
        return {}
    accounts = select(Account).where(Account.id.in_(ids))
    return {account.id: account for account in session.scalars(accounts)}


def _reasons(session: Session, subject_id: uuid.UUID) -> Mapping[tuple[str, datetime], str]:
    """(Kind of row, moment) -> reason. A row has the same moment as the audit event of its change."""
    reasons: dict[tuple[str, datetime], str] = {}
    for kind, at, reason in session.execute(_reason_rows(subject_id)):
        reasons[kind, at] = reason
    return reasons


def _reason_rows(subject_id: uuid.UUID) -> CompoundSelect[Any]:
    """Kind of row, moment and reason, from every table that stores a reason."""
    courses = select(Course.id).where(Course.subject_id.in_(records_of(subject_id)))
    course_ids = courses.scalar_subquery()
    corrections = select(type_coerce(Correction.what, String), Correction.recorded_at, Correction.reason)
    pauses = select(literal(CorrectionKind.PAUSE, String), Pause.recorded_at, Pause.reason)
    anchor_dates = select(literal(CorrectionKind.ANCHOR_DATE, String), AnchorDate.recorded_at, AnchorDate.reason)
    edited = QuestionnaireResponse.edited_at
    responses = select(literal(CorrectionKind.RESPONSE, String), edited, QuestionnaireResponse.edit_reason)
    identities = select(literal(IDENTITY), IdentityChange.recorded_at, IdentityChange.reason).distinct()
    transfers = select(literal(TRANSFER), Transfer.recorded_at, Transfer.reason)
    of_records = or_(
        Merge.subject_id.in_(records_of(subject_id)),
        Merge.into_id.in_(records_of(subject_id)),
    )
    merges = select(literal(MERGE), Merge.recorded_at, Merge.reason).where(of_records)
    separations = select(literal(MERGE), Merge.separated_at, Merge.separation_reason).where(of_records)
    return union_all(
        merges,
        separations.where(Merge.separated_at.is_not(None)),
        transfers.where(Transfer.subject_id.in_(records_of(subject_id))),
        identities.where(IdentityChange.subject_id.in_(records_of(subject_id))),
        corrections.where(Correction.subject_id.in_(records_of(subject_id))),
        pauses.where(Pause.subject_id.in_(records_of(subject_id))),
        anchor_dates.where(AnchorDate.course_id.in_(course_ids)),
        *(_voided(kind, table, course_ids) for kind, table in VOIDED.items()),
        responses.where(
            QuestionnaireResponse.subject_id.in_(records_of(subject_id)),
            edited.is_not(None),
        ),
    )


def _voided(kind: str, table: Any, course_ids: Any) -> Select[Any]:
    """Kind, moment and reason of the voided rows of a table."""
    rows = select(literal(kind), table.voided_at, table.void_reason)
    return rows.where(table.course_id.in_(course_ids), table.voided_at.is_not(None))


def _row_labels(session: Session, subject_id: uuid.UUID) -> Mapping[str, Mapping[int, str]]:
    """Name of the detail -> id -> label: a course's number, a visit's label, an infusion's date."""
    courses = select(Course.id, Course.number).where(Course.subject_id.in_(records_of(subject_id)))
    visits = select(Visit.id, Visit.event_code, Visit.infusion_day)
    visits = visits.where(Visit.subject_id.in_(records_of(subject_id)))
    dates = _infusion_dates(session, subject_id)
    return {
        "course": {id_: str(number) for id_, number in session.execute(courses)},
        "visit": {id_: event_label(code, day) for id_, code, day in session.execute(visits)},
        "infusion": dates,
        "replaces": dates,
    }


def _infusion_dates(session: Session, subject_id: uuid.UUID) -> Mapping[int, str]:
    """Infusion id -> its date (ISO 8601), voided ones included."""
    infusions = (
        select(Infusion.id, Infusion.given_on)
        .join(Course, Course.id == Infusion.course_id)
        .where(Course.subject_id.in_(records_of(subject_id)))
    )
    return {id_: given_on.isoformat() for id_, given_on in session.execute(infusions)}


def _change(event: AuditEvent, labels: _Labels) -> DataChange:
    at = datetime.fromisoformat(event.at)
    stored_with = REASONED.get(event.action, "")
    by_staff = event.actor_kind == ActorKind.ACCOUNT
    return DataChange(
        at=at,
        actor_kind=event.actor_kind,
        account=labels.accounts.get(int(event.actor_id)) if by_staff else None,
        action=event.action,
        details=_details(event, labels.rows),
        reason=labels.reasons.get((stored_with, at), ""),
    )


def _details(event: AuditEvent, labels: Mapping[str, Mapping[int, str]]) -> Mapping[str, Sequence[str]]:
    details: dict[str, Sequence[str]] = {}
    for name, value in json.loads(event.detail).items():
        if name in RESOLVED:
            label = labels[name].get(value, str(value))
            details[RESOLVED[name]] = [label]
        elif name not in INTERNAL:
            details[name] = _texts(value)
    return details


def _texts(value: Any) -> Sequence[str]:
    """One value or a list of them as texts; None is an empty text."""
    values = value if isinstance(value, list) else [value]
    return [_text(each) for each in values]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
