"""Observation: one score of one response, T where the scale has T, else raw; what it rests on in its components.

The same score after a re-score keeps its id and becomes `amended`, so that a receiver replaces the older value.
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
    """The newest of `versions`: the scores of one scale of the response, in the order they were made."""
    score, subject = versions[-1], patient_reference(form.base, study_code)
    scale = instrument_catalog.instrument(score.instrument_code, score.instrument_version).scale(score.scale_code)
    own = coding(local_system(form.base, "scale"), f"{score.instrument_code}.{scale.code}")
    return {
        "resourceType": "Observation",
        "id": f"{row.id}.{scale.code}",
        "identifier": [identifier(form.base, "score", f"{row.id}.{scale.code}")],
        "status": "amended" if STATUS[row.status] == "final" and len(versions) > 1 else STATUS[row.status],
        "category": [SURVEY],
        "code": concept(*loinc(scale.loinc), own, text=form.pack.scales.get(scale.code)),
        "subject": subject,
        "effectiveDateTime": row.authored_at.isoformat(),
        "issued": score.scored_at.isoformat(),
        "performer": [subject],
        "method": _method(form.base, scale, score),
        "derivedFrom": [{"reference": f"QuestionnaireResponse/{row.id}"}],
    } | _outcome(form, row, scale, score)


def _method(base: str, scale: Scale, score: Score) -> Json:
    """Which scoring made it, and whose mean is 50: T-scores of different populations are not compared."""
    version = f"{score.instrument_code}, scoring version {score.scoring_version}"
    text = f"{version}; T-score, {scale.t_scores.population}" if scale.t_scores else version
    return concept(coding(local_system(base, "scoring"), f"{score.instrument_code}.{score.scoring_version}"), text=text)


def _outcome(form: WordedInstrument, row: QuestionnaireResponse, scale: Scale, score: Score) -> Json:
    """The value with its band and components, or why there is none. What was entered in error carries no number."""
    if row.status == ResponseStatus.ENTERED_IN_ERROR:
        return {
            "dataAbsentReason": concept(coding(ABSENT, "error", "Error"), text="The answers were entered in error.")
        }
    parts = {"component": list(_components(form.base, scale, score)), "note": list(_notes(row, scale, score))}
    value = score.t_score if scale.has_t else score.raw_score
    if value is None:
        reason = concept(coding(ABSENT, "not-performed", "Not Performed"), text=score.reason)
        return {"dataAbsentReason": reason} | parts
    return {"valueQuantity": _value(scale, value)} | _interpretation(form.base, scale, value) | parts


def _value(scale: Scale, value: float) -> Json:
    return points(round(value, 1), "T-score") if scale.has_t else _raw(value)


def _raw(value: float) -> Json:
    """A sum is a whole number and is written as one."""
    return points(int(value) if value == int(value) else value, "points")


def _interpretation(base: str, scale: Scale, value: float) -> Json:
    """The severity band in our own code: bands mean what their source says, which no standard code does."""
    found = band(scale, value)
    if found is None:
        return {}
    known = coding(local_system(base, "severity-band"), found.code)
    return {"interpretation": [concept(known, text=f"{found.code} ({scale.bands_source})")]}


def _components(base: str, scale: Scale, score: Score) -> Iterator[Json]:
    """Raw score and standard error beside a T-score; for every score how many of its items were answered."""
    values: dict[str, Json] = {}
    if score.t_score is not None and score.raw_score is not None:
        values["raw-score"] = {"valueQuantity": _raw(score.raw_score)}
    if score.standard_error is not None:
        values["standard-error"] = {"valueQuantity": _value(scale, score.standard_error)}
    values["items-answered"] = {"valueInteger": score.n_answered}
    values["items"] = {"valueInteger": score.n_items}
    values["pro-rated"] = {"valueBoolean": score.prorated}
    for code, value in values.items():
        known = coding(local_system(base, "score-component"), code)
        yield {"code": concept(known, text=code.replace("-", " ").capitalize()), **value}


def _notes(row: QuestionnaireResponse, scale: Scale, score: Score) -> Iterator[Json]:
    """What somebody who sees only this score must know of it."""
    if not row.text_pack_validated:
        yield {"text": "Asked with wording that is not validated: for trying things out, not for conclusions."}
    if score.prorated:
        yield {"text": f"Pro-rated from {score.n_answered} of {score.n_items} items."}
    yield {"text": f"How far the scoring was checked: {scale.verification}"}
