"""QuestionnaireResponse: the answers of one subject to one instrument, item by item, in the wording they saw."""

from collections.abc import Iterator, Mapping

from pro_tracker.domain.instrument import Item
from pro_tracker.domain.response_codes import MissingItem, ResponseMode, ResponseStatus
from pro_tracker.domain.unanswered import STOP_REASONS, StopReason
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.fhir.datatypes import (
    EXTENSION,
    Json,
    coding,
    concept,
    identifier,
    local_system,
    patient_reference,
)
from pro_tracker.services.fhir.questionnaire import WordedInstrument, answer_coding

LANGUAGE = "http://hl7.org/fhir/StructureDefinition/language"  # of one text, where it is not that of the resource
MODES: Mapping[ResponseMode, str] = {
    ResponseMode.SELF_WEB: "Answered by the patient on the web",
    ResponseMode.TELEPHONE: "Asked on the telephone",
    ResponseMode.CLINIC: "Answered by the patient at the clinic",
}


Forms = Mapping[tuple[str, str], WordedInstrument]  # language and version of the wording -> form
# Codes of the extension data-absent-reason, for an item without an answer.
ABSENT_REASONS: Mapping[MissingItem, str] = {
    MissingItem.DECLINED: "asked-declined",
    MissingItem.SEEN: "asked-unknown",
    MissingItem.NOT_REACHED: "not-asked",
}


def response(form: WordedInstrument, row: QuestionnaireResponse, study_code: str, others: Forms) -> Json:
    """The QuestionnaireResponse. One entered in error is voided by its status and carries no answers.

    `form`: that of most answers; `others`: those of items that were asked in another wording.
    """
    subject = patient_reference(form.base, study_code)
    mode = {
        "url": f"{EXTENSION}/questionnaireresponse-completionMode",
        "valueCodeableConcept": concept(text=MODES[row.mode]),
    }
    never_sent = [] if row.stop_reason is None else [_stop_reason(form.base, row.stop_reason)]
    items = [] if row.status == ResponseStatus.ENTERED_IN_ERROR else list(_items(form, row, others))
    return {
        "resourceType": "QuestionnaireResponse",
        "id": str(row.id),
        "language": form.pack.language,
        "extension": [mode, *never_sent],
        "identifier": identifier(form.base, "response", str(row.id)),
        "questionnaire": form.canonical,
        "status": row.status,
        "subject": subject,
        "authored": row.authored_at.isoformat(),
        "source": subject,
        **({"item": items} if items else {}),
    }


def _items(form: WordedInstrument, row: QuestionnaireResponse, others: Forms) -> Iterator[Json]:
    """The items that were asked, each in the wording it was asked in; one without an answer has the reason."""
    for item in form.instrument.items:
        if item.link_id not in row.answers:
            continue
        worded = _form_of_item(form, row, others, item.link_id)
        asked: Json = {"linkId": item.link_id, "text": worded.pack.items[item.link_id]}
        if worded is not form:
            asked["_text"] = {"extension": [{"url": LANGUAGE, "valueCode": worded.pack.language}]}
        value = row.answers[item.link_id]
        if value is not None:
            asked["answer"] = [_answer(worded, item, value)]
        elif item.link_id in row.missing:
            asked["extension"] = [_absent(row.missing[item.link_id])]
        yield asked


def _form_of_item(form: WordedInstrument, row: QuestionnaireResponse, others: Forms, link_id: str) -> WordedInstrument:
    if row.wordings is None or link_id not in row.wordings:
        return form
    language, version, _validated = row.wordings[link_id]
    return others[language, version]


def _stop_reason(base: str, reason: StopReason) -> Json:
    """Our own extension: of the standard ones for a reason, none may be used on a QuestionnaireResponse of R4."""
    code = coding(local_system(base, "unanswered-reason"), reason)
    concept_of_reason = concept(code, text=STOP_REASONS[reason])
    return {"url": f"{base}/StructureDefinition/stop-reason", "valueCodeableConcept": concept_of_reason}


def _absent(missing: str) -> Json:
    return {"url": f"{EXTENSION}/data-absent-reason", "valueCode": ABSENT_REASONS[MissingItem(missing)]}


def _answer(form: WordedInstrument, item: Item, value: int) -> Json:
    if item.response_set.kind == "numeric":
        return {"valueInteger": value}
    return {"valueCoding": answer_coding(form, item, value)}
