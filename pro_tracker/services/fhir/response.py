"""QuestionnaireResponse: the answers of one subject to one instrument, item by item, in the wording they saw."""

from collections.abc import Iterator, Mapping

from pro_tracker.domain.instrument import Item
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.fhir.datatypes import EXTENSION, Json, concept, identifier, patient_reference
from pro_tracker.services.fhir.questionnaire import WordedInstrument, answer_coding

MODES: Mapping[ResponseMode, str] = {
    ResponseMode.SELF_WEB: "Answered by the patient on the web",
    ResponseMode.TELEPHONE: "Asked on the telephone",
    ResponseMode.CLINIC: "Answered by the patient at the clinic",
}


def response(form: WordedInstrument, row: QuestionnaireResponse, study_code: str) -> Json:
    """The QuestionnaireResponse. One entered in error is voided by its status and carries no answers."""
    subject = patient_reference(form.base, study_code)
    mode = {
        "url": f"{EXTENSION}/questionnaireresponse-completionMode",
        "valueCodeableConcept": concept(text=MODES[row.mode]),
    }
    items = [] if row.status == ResponseStatus.ENTERED_IN_ERROR else list(_items(form, row))
    return {
        "resourceType": "QuestionnaireResponse",
        "id": str(row.id),
        "language": form.pack.language,
        "extension": [mode],
        "identifier": identifier(form.base, "response", str(row.id)),
        "questionnaire": form.canonical,
        "status": row.status,
        "subject": subject,
        "authored": row.authored_at.isoformat(),
        "source": subject,
        **({"item": items} if items else {}),
    }


def _items(form: WordedInstrument, row: QuestionnaireResponse) -> Iterator[Json]:
    """The items that were asked; a skipped one has its text and no answer."""
    for item in form.instrument.items:
        if item.link_id not in row.answers:
            continue
        asked: Json = {"linkId": item.link_id, "text": form.pack.items[item.link_id]}
        value = row.answers[item.link_id]
        if value is not None:
            asked["answer"] = [_answer(form, item, value)]
        yield asked


def _answer(form: WordedInstrument, item: Item, value: int) -> Json:
    if item.response_set.kind == "numeric":
        return {"valueInteger": value}
    return {"valueCoding": answer_coding(form, item, value)}
