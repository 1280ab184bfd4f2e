"""One subject's answers and scores as FHIR R4 resources, and the forms that they were given to.

The Patient resource holds the study id and no identity. docs/fhir.md lists the mapping of rows to resources.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.goal import Goal
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, stored_scores
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.fhir.consent import consents
from pro_tracker.services.fhir.datatypes import Json, identifier
from pro_tracker.services.fhir.goal import goal
from pro_tracker.services.fhir.observation import observation
from pro_tracker.services.fhir.provenance import provenance
from pro_tracker.services.fhir.questionnaire import UNKNOWN, WordedInstrument, parts_of_id, questionnaire
from pro_tracker.services.fhir.response import response
from pro_tracker.services.instruments import instrument_catalog, text_pack_format
from pro_tracker.services.protocols import library_overview
from pro_tracker.services.wording import text_packs

Wording = tuple[str, str]  # language and version


def audit_view(session: Session, actor: Actor, subject: Subject, *, now: datetime) -> None:
    """Records the view of the subject's data in the audit trail; the caller commits before any of it is given out."""
    audit.record(
        session,
        actor,
        "subject.view",
        now=now,
        subject_id=subject.id,
        detail={"page": "fhir"},
    )


def current_form(session: Session, code: str, language: str, base: str) -> WordedInstrument:
    """The newest version of an instrument in the current wording. Raises UnknownInstrument, NotFound."""
    wording = text_packs.in_effect(session)
    instrument = instrument_catalog.instrument(code)
    pack = wording.pack(code, language)
    return WordedInstrument(instrument, pack, base)


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
    """The Patient, each Consent and Questionnaire, every response and its scores, corrections, and goals.

    Three statements, however long the history, and one or two for each wording that no file holds. Of a re-scored
    response each scale has one Observation, the newest.
    """
    forms: dict[tuple[str, ...], WordedInstrument] = {}
    answered: list[Json] = []
    scores = stored_scores.all_versions(session, records_of(subject.id))
    rows = list(_responses(session, subject))
    for row in rows:
        for wording in _wordings(row):
            key = (row.instrument_code, row.instrument_version, *wording)
            if key not in forms:
                forms[key] = _form_of(session, row, wording, base)
        worded = {wording: forms[row.instrument_code, row.instrument_version, *wording] for wording in _wordings(row)}
        form = worded[row.language, row.text_pack_version]
        answered.append(response(form, row, subject.study_code, worded))
        scorings = scores[row.id].values()
        answered += (observation(form, row, versions, subject.study_code) for versions in scorings)
    ids = {row.id for row in rows}
    answered += (provenance(row, base, ids) for row in rows if row.edited_at is not None)
    goals = _goals(session, subject, base)
    agreed = consents(session, subject, base)
    return [patient(session, subject, base), *agreed, *map(questionnaire, forms.values()), *answered, *goals]


def _goals(session: Session, subject: Subject, base: str) -> Iterator[Json]:
    """Every goal of the person, oldest first; none of a record that was merged into another one."""
    if subject.merged_into_id is not None:
        return
    rows = select(Goal).where(Goal.subject_id.in_(records_of(subject.id))).order_by(Goal.set_at, Goal.id)
    found = session.scalars(rows.options(selectinload(Goal.all_ratings))).all()
    in_effect = [row for row in found if row.voided_at is None]
    for row in found:
        is_current = subject.takes_part and row in in_effect[-1:]
        yield goal(row, subject, base, is_current=is_current)


def _responses(session: Session, subject: Subject) -> Iterator[QuestionnaireResponse]:
    """Every response of the person, oldest first; none of a record that was merged into another one."""
    if subject.merged_into_id is not None:
        return
    responses = select(QuestionnaireResponse).where(QuestionnaireResponse.subject_id.in_(records_of(subject.id)))
    responses = responses.order_by(QuestionnaireResponse.authored_at, QuestionnaireResponse.id)
    yield from session.scalars(responses)


def patient(session: Session, subject: Subject, base: str) -> Json:
    """The Patient: the subject's study id, whether the subject died, and the links between merged records."""
    code = subject.study_code
    resource: Json = {
        "resourceType": "Patient",
        "id": code,
        "identifier": [identifier(base, "study-id", code)],
        **_deceased(subject),
    }
    links = list(_links(session, subject))
    if links:  # FHIR allows no empty arrays
        resource["link"] = links
    if subject.merged_into_id is not None:
        resource["active"] = False  # FHIR R4, Patient.active: false for a record that was replaced
    return resource


def _links(session: Session, subject: Subject) -> Iterator[Json]:
    """The kept record of a merged one, or the records that were merged into this one."""
    if subject.merged_into_id is not None:
        yield _link(person.kept(session, subject.id).study_code, "replaced-by")
    replaced = select(Subject.study_code).where(Subject.merged_into_id == subject.id).order_by(Subject.study_code)
    for code in session.scalars(replaced):
        yield _link(code, "replaces")


def _link(study_code: str, kind: str) -> Json:
    return {"other": {"reference": f"Patient/{study_code}"}, "type": kind}


def _deceased(subject: Subject) -> Json:
    """The element deceased[x]: the day of death, its month where the day is not certain, or that it is not known."""
    if subject.death_recorded_at is None:
        return {}
    if subject.died_on is None:
        return {"deceasedBoolean": True}
    is_exact = subject.died_on_precision == DeathDatePrecision.EXACT
    return {"deceasedDateTime": f"{subject.died_on:%Y-%m-%d}" if is_exact else f"{subject.died_on:%Y-%m}"}


def _wordings(row: QuestionnaireResponse) -> set[Wording]:
    """The wordings that a response was asked in: that of most answers, and those of single items."""
    of_items = {(language, version) for language, version, _validated in (row.wordings or {}).values()}
    return {(row.language, row.text_pack_version), *of_items}


def _form_of(session: Session, row: QuestionnaireResponse, wording: Wording, base: str) -> WordedInstrument:
    """The form in this wording that a response was given to."""
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    pack = text_packs.pack_of_response(session, row.instrument_code, *wording)
    return WordedInstrument(instrument, pack, base)
