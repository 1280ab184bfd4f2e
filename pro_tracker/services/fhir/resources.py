"""One subject's answers and scores as FHIR R4 resources, and the forms that they were given to.

The Patient resource holds the study id and no identity. docs/fhir.md lists the mapping of rows to resources.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import NotFound
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, stored_scores
from pro_tracker.services.audit import Actor
from pro_tracker.services.fhir.datatypes import Json, identifier
from pro_tracker.services.fhir.observation import observation
from pro_tracker.services.fhir.questionnaire import UNKNOWN, WordedInstrument, parts_of_id, questionnaire
from pro_tracker.services.fhir.response import response
from pro_tracker.services.instruments import instrument_catalog, text_pack_format
from pro_tracker.services.protocols import library_overview
from pro_tracker.services.wording import text_packs


def audit_view(session: Session, actor: Actor, subject: Subject, *, now: datetime) -> None:
    """Record the view of the subject's data in the audit trail; the caller commits before any of it is given out."""
    audit.record(session, actor, "subject.view", now=now, subject_id=subject.id, detail={"page": "fhir"})


def current_form(session: Session, code: str, language: str, base: str) -> WordedInstrument:
    """The newest version of an instrument in the current wording. Raises UnknownInstrument, NotFound."""
    wording = text_packs.in_force(session)
    return WordedInstrument(instrument_catalog.instrument(code), wording.pack(code, language), base)


def current_forms(session: Session, base: str) -> list[WordedInstrument]:
    """The forms of visits that begin now: every instrument in its newest version, in each of its languages."""
    forms: list[WordedInstrument] = []
    for entry in library_overview.entries(session):
        forms += (WordedInstrument(entry.instrument, pack.text, base) for pack in entry.packs)
    return forms


def form(session: Session, questionnaire_id: str, base: str) -> WordedInstrument:
    """The version of instrument and wording that a Questionnaire's id names. Raises UnknownInstrument, NotFound."""
    code, language, instrument_version, pack_version = parts_of_id(questionnaire_id)
    instrument = instrument_catalog.instrument(code, instrument_version)
    pack = text_packs.pack_of_response(session, code, language, pack_version)
    if text_pack_format.errors(pack, instrument):  # the wording of another version of the instrument
        raise NotFound(UNKNOWN)
    return WordedInstrument(instrument, pack, base)


def everything(session: Session, subject: Subject, base: str) -> list[Json]:
    """The Patient, each Questionnaire once, and every response followed by its scores, oldest first.

    Two statements, however long the history, and one or two for each wording that no file holds. Of a re-scored
    response each scale has one Observation, the newest.
    """
    forms: dict[tuple[str, ...], WordedInstrument] = {}
    answered: list[Json] = []
    scores = stored_scores.all_versions(session, subject.id)
    for row in _responses(session, subject):
        key = (row.instrument_code, row.instrument_version, row.language, row.text_pack_version)
        if key not in forms:
            forms[key] = _form_of(session, row, base)
        form = forms[key]
        answered.append(response(form, row, subject.study_code))
        answered += (observation(form, row, versions, subject.study_code) for versions in scores[row.id].values())
    return [patient(subject, base), *map(questionnaire, forms.values()), *answered]


def _responses(session: Session, subject: Subject) -> Iterator[QuestionnaireResponse]:
    """Every response of the subject, oldest first."""
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.subject_id == subject.id)
    yield from session.scalars(rows.order_by(QuestionnaireResponse.authored_at, QuestionnaireResponse.id))


def patient(subject: Subject, base: str) -> Json:
    """The Patient: the subject's study id and nothing else."""
    code = subject.study_code
    return {
        "resourceType": "Patient",
        "id": code,
        "identifier": [identifier(base, "study-id", code)],
    }


def _form_of(session: Session, row: QuestionnaireResponse, base: str) -> WordedInstrument:
    """The form that a response was given to."""
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    pack = text_packs.pack_of_response(session, row.instrument_code, row.language, row.text_pack_version)
    return WordedInstrument(instrument, pack, base)
