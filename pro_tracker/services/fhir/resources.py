"""One subject's answers and scores as FHIR R4 resources, and the forms that they were given to.

Who the subject is stays here: the Patient is a study id. What maps to what stands in docs/fhir.md.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import NotFound
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.fhir.datatypes import Json, identifier
from pro_tracker.services.fhir.observation import observation
from pro_tracker.services.fhir.questionnaire import UNKNOWN, WordedInstrument, parts_of_id, questionnaire
from pro_tracker.services.fhir.response import response
from pro_tracker.services.instruments import instrument_catalog, text_pack_format
from pro_tracker.services.protocols import library_overview
from pro_tracker.services.wording import text_packs

ScoresByScale = Mapping[str, Sequence[Score]]  # scale code -> its scores, in the order they were made


def note(session: Session, actor: Actor, subject: Subject, *, now: datetime) -> None:
    """The audit row of a view of the subject's data, to be committed before any of it is given out."""
    audit.record(session, actor, "subject.view", now=now, subject_id=subject.id, detail={"page": "fhir"})


def current_form(session: Session, code: str, language: str, base: str) -> WordedInstrument:
    """The newest version of an instrument in the wording in force. Raises UnknownInstrument, NotFound."""
    return WordedInstrument(
        instrument_catalog.instrument(code), text_packs.in_force(session).pack(code, language), base
    )


def current_forms(session: Session, base: str) -> list[WordedInstrument]:
    """What visits begun now are asked with: every instrument in its newest version, in each of its languages."""
    return [
        WordedInstrument(entry.instrument, pack.text, base)
        for entry in library_overview.entries(session)
        for pack in entry.packs
    ]


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
    scores = _scores(session, subject)
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.subject_id == subject.id)
    for row in session.scalars(rows.order_by(QuestionnaireResponse.authored_at, QuestionnaireResponse.id)):
        key = (row.instrument_code, row.instrument_version, row.language, row.text_pack_version)
        asked = forms[key] = forms.get(key) or _asked_with(session, row, base)
        answered.append(response(asked, row, subject.study_code))
        answered += (observation(asked, row, versions, subject.study_code) for versions in scores[row.id].values())
    return [patient(subject, base), *map(questionnaire, forms.values()), *answered]


def patient(subject: Subject, base: str) -> Json:
    """The subject as other systems may know it: by study id and nothing else."""
    code = subject.study_code
    return {"resourceType": "Patient", "id": code, "identifier": [identifier(base, "study-id", code)]}


def _asked_with(session: Session, row: QuestionnaireResponse, base: str) -> WordedInstrument:
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    pack = text_packs.pack_of_response(session, row.instrument_code, row.language, row.text_pack_version)
    return WordedInstrument(instrument, pack, base)


def _scores(session: Session, subject: Subject) -> Mapping[int, ScoresByScale]:
    found: dict[int, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    mine = select(Score).join(QuestionnaireResponse, QuestionnaireResponse.id == Score.response_id)
    mine = mine.where(QuestionnaireResponse.subject_id == subject.id).order_by(Score.scored_at, Score.id)
    for score in session.scalars(mine):
        found[score.response_id][score.scale_code].append(score)
    return found
