"""Consent: each answer of a person to a consent form, with the purposes that were agreed to. R4; without identity."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ANSWERS_TO_FORM, ConsentOutcome, ConsentPurpose
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.fhir.datatypes import LOINC, Json, coding, concept, local_system, patient_reference

SCOPE = concept(coding("http://terminology.hl7.org/CodeSystem/consentscope", "research", "Research"))
CATEGORY = concept(coding(LOINC, "59284-0", "Consent Document"))
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
# HL7 has no narrower code for research elsewhere than for research: the code of this installation says which.
REASONS = {ConsentPurpose.CARE: "TREAT", ConsentPurpose.REGISTRY: "HRESCH", ConsentPurpose.SHARING: "HRESCH"}


def consents(session: Session, subject: Subject, base: str) -> Iterator[Json]:
    """Yields the Consents of the person, oldest first; none of a record that was merged into another one."""
    if subject.merged_into_id is not None:
        return
    rows = select(ConsentDecision).where(
        ConsentDecision.subject_id.in_(records_of(subject.id)),
        ConsentDecision.outcome.in_(ANSWERS_TO_FORM),
    )
    found = session.scalars(rows.order_by(ConsentDecision.given_at, ConsentDecision.id)).all()
    for row in found:
        yield _consent(row, subject, _status(row, found, subject), base)


def _consent(row: ConsentDecision, subject: Subject, status: str, base: str) -> Json:
    person = patient_reference(base, subject.study_code)
    form = coding(local_system(base, "consent-form"), f"{row.form_code}.{row.version}")
    return {
        "resourceType": "Consent",
        "id": str(row.id),
        "status": status,
        "scope": SCOPE,
        "category": [CATEGORY],
        "patient": person,
        "dateTime": row.signed_on.isoformat() if row.signed_on else row.given_at.isoformat(),
        "performer": [person],
        "policyRule": concept(form),
        "provision": _provision(row, base),
    }


def _status(row: ConsentDecision, all_rows: Sequence[ConsentDecision], subject: Subject) -> str:
    """Returns the code of R4: what a later answer or a withdrawal replaced is inactive."""
    if row.voided_at is not None:
        return "entered-in-error"
    in_effect = [each for each in all_rows if each.voided_at is None and each.form_code == row.form_code]
    if row is not in_effect[-1] or subject.withdrawn_at is not None:
        return "inactive"
    return "active" if row.outcome is ConsentOutcome.GIVEN else "rejected"


def _provision(row: ConsentDecision, base: str) -> Json:
    """Returns the rule: nothing is permitted but the purposes that were agreed to."""
    exceptions = [_exception(purpose, base, is_agreed) for purpose, is_agreed in row.agreed.items()]
    return {"type": "deny", "provision": exceptions}


def _exception(purpose: ConsentPurpose, base: str, is_agreed: bool) -> Json:
    own = coding(local_system(base, "consent-purpose"), purpose)
    return {"type": "permit" if is_agreed else "deny", "purpose": [coding(ACT_REASON, REASONS[purpose]), own]}
