"""Finds what the demonstration should show: an example of each, by its study code and the page that shows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.demo.installation import SECOND_PROTOCOL
from pro_tracker.domain.adverse_event_codes import AdverseEventSource
from pro_tracker.domain.alert_codes import AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.consent import ConsentChoice
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.subject_codes import IdentityField
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import AdverseEvent, Course
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.identity_change import IdentityChange
from pro_tracker.models.merge import Merge
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.other_treatment import OtherTreatment
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.models.visit import Visit
from pro_tracker.services.consent_filters import is_newest_answer
from pro_tracker.services.record import consents_of_list

Query = Select[*tuple[Any, ...]]
FoundRow = Row[Any]


@dataclass(frozen=True)
class Example:
    """One thing to look at: what it is, the patient's study code, and the path of the page."""

    title: str
    study_code: str
    path: str


def find(session: Session) -> list[Example]:
    """Returns the newest example of each, without those that this database does not have."""
    return list(_found(session))


def _found(session: Session) -> Iterator[Example]:
    for title, (newest_first, page) in _looked_for(session).items():
        row = session.execute(newest_first.limit(1)).first()
        if row is not None:
            yield Example(title, row.study_code, page(row))


def _looked_for(session: Session) -> dict[str, tuple[Query, Callable[[FoundRow], str]]]:
    """Returns title -> the rows to choose from, the newest first, and the path of the page for a row."""
    return {
        "Alert, open": (_open_calls(CallReason.ALERT), _call_page),
        "Began, not sent": (_open_calls(CallReason.STARTED_NOT_SENT), _call_page),
        "Alert, closed": (_handled_alerts(), _alerts_of_patient),
        "Alert, by mistake": (_mistaken_alerts(), _alerts_of_patient),
        "Two languages": (_in_two_languages(), _answers_page),
        "Amended answer": (_amended(), _answers_page),
        "Kept, never sent": (_stopped(), _answers_page),
        "Late answer": (_late(), _answers_page),
        "Birth date corrected": (_corrected_birth_dates(), _ledger_page),
        "Transferred": (_transferred(), _contact_of_patient),
        "Two records merged": (_merged(), _contact_of_patient),
        "Death recorded": (_deaths(), _contact_of_patient),
        "Adverse event, asked": (_adverse_events(AdverseEventSource.ASKED), _adverse_events_of_patient),
        "Adverse event, told": (_adverse_events(AdverseEventSource.VOLUNTEERED), _adverse_events_of_patient),
        "Other treatments": (_other_treatments(), _other_treatments_of_patient),
        "Did not come": (_missed_infusions(), _ledger_page),
        "A helper": (_helpers(), _contact_of_patient),
        "Another study": (_second_study(), _page_of_patient),
        "Consent: agreed": (_agreed(session, to_sharing=True), _consent_page),
        "Consent: in part": (_agreed(session, to_sharing=False), _consent_page),
        "Consent: not asked": (_with_consent(session, ConsentChoice.NOT_ASKED), _consent_page),
        "Consent: earlier form": (_with_consent(session, ConsentChoice.OUTDATED), _consent_page),
        "Consent: declined": (_with_consent(session, ConsentChoice.DECLINED), _consent_page),
        "Consent: withdrawn": (_with_consent(session, ConsentChoice.WITHDRAWN), _consent_page),
    }


def _call_page(row: FoundRow) -> str:
    return f"/calls/{row.id}"


def _alerts_of_patient(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}#alerts"


def _contact_of_patient(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}#contact"


def _adverse_events_of_patient(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}#adverse-events"


def _other_treatments_of_patient(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}#other-treatments"


def _ledger_page(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}/ledger"


def _page_of_patient(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}"


def _consent_page(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}/consent"


def _answers_page(row: FoundRow) -> str:
    return f"/subjects/{row.subject_id}/visits/{row.id}/answers"


def _corrected_birth_dates() -> Query:
    rows = select(IdentityChange.subject_id, Subject.study_code)
    rows = rows.join(Subject, Subject.id == IdentityChange.subject_id)
    corrected = rows.where(IdentityChange.field == IdentityField.BIRTH_DATE)
    return corrected.order_by(IdentityChange.recorded_at.desc())


def _transferred() -> Query:
    rows = select(Transfer.subject_id, Subject.study_code)
    rows = rows.join(Subject, Subject.id == Transfer.subject_id)
    return rows.order_by(Transfer.id.desc())


def _merged() -> Query:
    """SQL: the records that are kept."""
    rows = select(Subject.id.label("subject_id"), Subject.study_code)
    rows = rows.join(Merge, Merge.into_id == Subject.id)
    merged = rows.where(Merge.separated_at.is_(None))
    return merged.order_by(Merge.id.desc())


def _deaths() -> Query:
    people = select(Subject.id.label("subject_id"), Subject.study_code)
    people = people.where(Subject.death_recorded_at.is_not(None))
    return people.order_by(Subject.death_recorded_at.desc())


def _adverse_events(source: AdverseEventSource) -> Query:
    events = _of_courses(AdverseEvent).where(AdverseEvent.source == source)
    return events.order_by(AdverseEvent.recorded_at.desc())


def _other_treatments() -> Query:
    named = _of_courses(OtherTreatment).where(OtherTreatment.name != "")
    return named.order_by(OtherTreatment.recorded_at.desc())


def _missed_infusions() -> Query:
    return _of_courses(MissedInfusion).order_by(MissedInfusion.recorded_at.desc())


def _of_courses(table: Any) -> Query:
    """SQL: rows of this table that are in effect, with their kept records."""
    rows = select(Subject.id.label("subject_id"), Subject.study_code)
    rows = rows.join(Course, Course.subject_id == Subject.id)
    rows = rows.join(table, table.course_id == Course.id)
    return rows.where(
        table.voided_at.is_(None),
        Course.duplicate_by_id.is_(None),
        Subject.merged_into_id.is_(None),
    )


def _helpers() -> Query:
    people = select(Subject.id.label("subject_id"), Subject.study_code)
    people = people.join(Contact, Contact.subject_id == Subject.id)
    named = people.where(
        Contact.channel == Channel.HELPER,
        Contact.state == ContactState.ACTIVE,
    )
    return named.order_by(Contact.agreed_on.desc())


def _open_calls(reason: CallReason) -> Query:
    calls = _calls().where(Call.reason == reason, Call.closed_at.is_(None))
    return calls.order_by(Call.opened_at.desc())


def _handled_alerts() -> Query:
    reached = CallAttempt.outcome == CallAttemptOutcome.REACHED
    needed = CallAttempt.alert_outcome != AlertOutcome.BY_MISTAKE
    return _attempts().where(reached, needed)


def _mistaken_alerts() -> Query:
    by_mistake = CallAttempt.alert_outcome == AlertOutcome.BY_MISTAKE
    return _attempts().where(by_mistake)


def _attempts() -> Query:
    """SQL: attempts at alerts that are closed."""
    attempts = _calls().join(CallAttempt, CallAttempt.call_id == Call.id)
    attempts = attempts.where(Call.closed_at.is_not(None))
    return attempts.order_by(CallAttempt.at.desc())


def _calls() -> Query:
    columns = (Subject.study_code, Call.subject_id, Call.id)
    return select(*columns).join(Call, Call.subject_id == Subject.id)


def _in_two_languages() -> Query:
    sent = _visits().where(Visit.id.in_(_mixed()))
    sent = sent.where(Visit.completed_at.is_not(None))
    return sent.order_by(Visit.completed_at.desc())


def _mixed() -> Select[int]:
    """SQL: the visits with answers in several languages, within one instrument or over several."""
    response = QuestionnaireResponse
    within_one = func.count(response.wordings) > 0
    over_several = func.count(response.language.distinct()) > 1
    counted = select(response.visit_id).where(response.status != ResponseStatus.ENTERED_IN_ERROR)
    by_visit = counted.group_by(response.visit_id)
    return by_visit.having(or_(within_one, over_several))


def _amended() -> Query:
    response = QuestionnaireResponse
    visits = _visits().join(response, response.visit_id == Visit.id)
    visits = visits.where(response.status == ResponseStatus.AMENDED)
    return visits.order_by(response.edited_at.desc())


def _stopped() -> Query:
    visits = _visits().where(Visit.stopped_at.is_not(None))
    return visits.order_by(Visit.stopped_at.desc())


def _late() -> Query:
    visits = _visits().join(LateAnswer, LateAnswer.visit_id == Visit.id)
    visits = visits.where(LateAnswer.outcome.is_(None))
    return visits.order_by(LateAnswer.received_at.desc())


def _second_study() -> Query:
    """SQL: answered visits of the study that the fewer patients follow."""
    visits = _visits().where(Visit.protocol_code == SECOND_PROTOCOL, Visit.completed_at.is_not(None))
    return visits.order_by(Visit.completed_at.desc())


def _agreed(session: Session, *, to_sharing: bool) -> Query:
    people = _with_consent(session, ConsentChoice.GIVEN)
    people = people.join(ConsentDecision, ConsentDecision.subject_id == Subject.id)
    return people.where(
        ConsentDecision.voided_at.is_(None),
        ConsentDecision.agreed_sharing.is_(to_sharing),
        is_newest_answer(Subject.id),
    )


def _with_consent(session: Session, choice: ConsentChoice) -> Query:
    people = select(Subject.id.label("subject_id"), Subject.study_code)
    people = people.where(consents_of_list.is_in(session, choice))
    return people.order_by(Subject.study_code.desc())


def _visits() -> Query:
    columns = (Subject.study_code, Visit.subject_id, Visit.id)
    return select(*columns).join(Visit, Visit.subject_id == Subject.id)
