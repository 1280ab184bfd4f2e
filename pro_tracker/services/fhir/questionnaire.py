"""Questionnaire: one instrument in one version with the wording of one text pack."""

from dataclasses import dataclass

from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.instrument import Instrument, Item, ResponseOption, TextPack
from pro_tracker.services.fhir.datatypes import EXTENSION, LOINC, Json, coding, concept, local_system, loinc

ITEM_CONTROL = "http://hl7.org/fhir/questionnaire-item-control"
UNKNOWN = "There is no such questionnaire. Its id is instrument, language and version, such as pcs.en.1.0-1.0."


@dataclass(frozen=True, slots=True)
class WordedInstrument:
    """An instrument in the wording of a text pack, and the URL of this installation's FHIR endpoint."""

    instrument: Instrument
    pack: TextPack
    base: str

    @property
    def id(self) -> str:
        return f"{self.instrument.code}.{self.pack.language}.{self.version}"

    @property
    def url(self) -> str:
        return f"{self.base}/Questionnaire/{self.instrument.code}.{self.pack.language}"

    @property
    def version(self) -> str:
        """Version of the instrument, hyphen, version of the wording: both are digits and dots."""
        return f"{self.instrument.version}-{self.pack.version}"

    @property
    def canonical(self) -> str:
        """The canonical URL by which a response names its form: instrument and wording in their versions."""
        return f"{self.url}|{self.version}"


def parts_of_id(questionnaire_id: str) -> tuple[str, str, str, str]:
    """Instrument code, language, instrument version and text pack version that an id names. Raises NotFound."""
    code, _, rest = questionnaire_id.partition(".")
    language, _, version = rest.partition(".")
    instrument_version, _, pack_version = version.partition("-")
    if not pack_version:
        raise NotFound(UNKNOWN)
    return code, language, instrument_version, pack_version


def questionnaire(form: WordedInstrument) -> Json:
    """The Questionnaire. Wording that is not validated makes it `experimental` (FHIR: not for genuine usage)."""
    instrument, pack = form.instrument, form.pack
    return {
        "resourceType": "Questionnaire",
        "id": form.id,
        "language": pack.language,
        "url": form.url,
        "version": form.version,
        "title": pack.title,
        "status": "active",
        "experimental": not pack.validated,
        "subjectType": ["Patient"],
        "description": instrument.title,
        "copyright": pack.licence or instrument.licence,
        "code": [*loinc(instrument.loinc), coding(local_system(form.base, "instrument"), instrument.code)],
        "item": [_display("/instruction", pack.instruction), *(_item(form, item) for item in instrument.items)],
    }


def answer_coding(form: WordedInstrument, item: Item, value: int) -> Json:
    """The Coding of an option: LOINC answer code where known, else our own; its label; its value in the score."""
    labels = form.pack.options[item.response_set.code]
    option = next(each for each in item.response_set.options if each.value == value)
    ordinal = {"url": f"{EXTENSION}/ordinalValue", "valueDecimal": item.scored_value(value)}
    return {
        "extension": [ordinal],
        **_option_code(form, item, option),
        "display": labels[value],
    }


def _option_code(form: WordedInstrument, item: Item, option: ResponseOption) -> Json:
    if option.code:
        return coding(LOINC, option.code)
    own = local_system(form.base, f"{form.instrument.code}.{item.response_set.code}")
    return coding(own, str(option.value))


def _item(form: WordedInstrument, item: Item) -> Json:
    asked: Json = {"linkId": item.link_id, "text": form.pack.items[item.link_id]}
    if item.loinc:
        asked["code"] = loinc(item.loinc)
    if item.response_set.kind == "numeric":
        return asked | _numeric(form, item)
    options = [{"valueCoding": answer_coding(form, item, value)} for value in item.response_set.values]
    return asked | {"type": "choice", "answerOption": options}


def _numeric(form: WordedInstrument, item: Item) -> Json:
    """The part of an integer item: its bounds, a slider as control, and the labels of its two ends."""
    labels = form.pack.options[item.response_set.code]
    ends = {"lower": min(item.response_set.values), "upper": max(item.response_set.values)}
    return {
        "extension": [
            {"url": f"{EXTENSION}/minValue", "valueInteger": ends["lower"]},
            {"url": f"{EXTENSION}/maxValue", "valueInteger": ends["upper"]},
            _control("slider"),
        ],
        "type": "integer",
        "item": [_end_label(item, end, labels[value]) for end, value in ends.items()],
    }


def _end_label(item: Item, end: str, label: str) -> Json:
    link_id = f"{item.link_id}/{end}"
    return {"extension": [_control(end)], **_display(link_id, label)}


def _display(link_id: str, text: str) -> Json:
    """A display item: text without an answer. Its linkId has a slash, so that it cannot equal that of an item."""
    return {"linkId": link_id, "text": text, "type": "display"}


def _control(code: str) -> Json:
    return {
        "url": f"{EXTENSION}/questionnaire-itemControl",
        "valueCodeableConcept": concept(coding(ITEM_CONTROL, code)),
    }
