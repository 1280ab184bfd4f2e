"""Observation: one score of one response, T where the scale has T, else raw, with its details as components.

After a re-score the Observation keeps its id and becomes `amended`, so that a receiver replaces the older value.
"""

from collections.abc import Iterator, Mapping, Sequence

from pro_tracker.domain.change import band
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services.fhir.datatypes import (
    Json,
    coding,
    concept,
    identifier,
    local_system,
    loinc,
    patient_reference,
    points,
)
from pro_tracker.services.fhir.questionnaire import WordedInstrument
from pro_tracker.services.instruments import instrument_catalog

SURVEY = concept(coding("http://terminology.hl7.org/CodeSystem/observation-category", "survey", "Survey"))
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
STATUS: Mapping[ResponseStatus, str] = {
    ResponseStatus.IN_PROGRESS: "preliminary",
    ResponseStatus.COMPLETED: "final",
    ResponseStatus.STOPPED: "final",
    ResponseStatus.AMENDED: "amended",
    ResponseStatus.ENTERED_IN_ERROR: "entered-in-error",
}


def observation(form: WordedInstrument, row: QuestionnaireResponse, versions: Sequence[Score], study_code: str) -> Json:
    """The Observation of the newest of `versions`: the scorings of one scale of the response, oldest first."""
    score = versions[-1]
    subject = patient_reference(form.base, study_code)
    scale = instrument_catalog.instrument(score.instrument_code, score.instrument_version).scale(score.scale_code)
    own = coding(local_system(form.base, "scale"), f"{score.instrument_code}.{scale.code}")
    return {
        "resourceType": "Observation",
        "id": f"{row.id}.{scale.code}",
        "identifier": [identifier(form.base, "score", f"{row.id}.{scale.code}")],
        "status": _status(row, is_rescored=len(versions) > 1),
        "category": [SURVEY],
        "code": concept(*loinc(scale.loinc), own, text=form.pack.scales.get(scale.code)),
        "subject": subject,
        "effectiveDateTime": row.authored_at.isoformat(),
        "issued": score.scored_at.isoformat(),
        "performer": [subject],
        "method": _method(form.base, scale, score),
        "derivedFrom": [{"reference": f"QuestionnaireResponse/{row.id}"}],
        **_outcome(form, row, scale, score),
    }


def _status(row: QuestionnaireResponse, *, is_rescored: bool) -> str:
    status = STATUS[row.status]
    if status == "final" and is_rescored:
        return "amended"
    return status


def _method(base: str, scale: Scale, score: Score) -> Json:
    """The scoring version and the reference population; T-scores of different populations do not compare."""
    text = f"{score.instrument_code}, scoring version {score.scoring_version}"
    if scale.t_scores:
        text += f"; T-score, {scale.t_scores.population}"
    code = f"{score.instrument_code}.{score.scoring_version}"
    own = coding(local_system(base, "scoring"), code)
    return concept(own, text=text)


def _outcome(form: WordedInstrument, row: QuestionnaireResponse, scale: Scale, score: Score) -> Json:
    """The value with its band and components, or the reason why there is none. Answers in error have no value."""
    if row.status == ResponseStatus.ENTERED_IN_ERROR:
        reason = concept(coding(ABSENT, "error", "Error"), text="The answers were entered in error.")
        return {"dataAbsentReason": reason}
    parts: Json = {
        "component": list(_components(form.base, scale, score)),
        "note": list(_notes(row, scale, score)),
    }
    value = scale.shown_value(score.raw_score, score.t_score)
    if value is None:
        reason = concept(coding(ABSENT, "not-performed", "Not Performed"), text=score.reason)
        return {"dataAbsentReason": reason, **parts}
    return {
        "valueQuantity": _value(scale, value),
        **_interpretation(form.base, scale, value),
        **parts,
    }


def _value(scale: Scale, value: float) -> Json:
    if scale.has_t:
        return points(round(value, 1), "T-score")
    return _raw(value)


def _raw(value: float) -> Json:
    """The Quantity of a raw score; a sum is written as a whole number, a mean with two decimals."""
    if value == int(value):
        return points(int(value), "points")
    return points(round(value, 2), "points")


def _interpretation(base: str, scale: Scale, value: float) -> Json:
    """The severity band in our own code system: no standard code has the meaning that the band's source gives it."""
    found = band(scale, value)
    if found is None:
        return {}
    known = coding(local_system(base, "severity-band"), found.code)
    text = f"{found.code} ({scale.bands_source})"
    return {"interpretation": [concept(known, text=text)]}


def _components(base: str, scale: Scale, score: Score) -> Iterator[Json]:
    """The components: raw score and standard error of a T-score; of every score the number of answered items."""
    values: dict[str, Json] = {}
    if score.t_score is not None and score.raw_score is not None:
        values["raw-score"] = {"valueQuantity": _raw(score.raw_score)}
    if score.standard_error is not None:
        values["standard-error"] = {"valueQuantity": _value(scale, score.standard_error)}
    values["items-answered"] = {"valueInteger": score.n_answered}
    values["items"] = {"valueInteger": score.n_items}
    values["pro-rated"] = {"valueBoolean": score.prorated}
    system = local_system(base, "score-component")
    for code, value in values.items():
        label = code.replace("-", " ").capitalize()
        yield {"code": concept(coding(system, code), text=label), **value}


def _notes(row: QuestionnaireResponse, scale: Scale, score: Score) -> Iterator[Json]:
    """Notes for a reader who sees only this score: limits of the wording, pro-rating, verification of the scoring."""
    if not row.text_pack_validated:
        yield {"text": "Asked with wording that is not validated: for trying things out, not for conclusions."}
    if score.prorated:
        yield {"text": f"Pro-rated from {score.n_answered} of {score.n_items} items."}
    yield {"text": f"How far the scoring was checked: {scale.verification}"}
