"""The FHIR R4 data types of our resources, and the identifiers of this installation, as plain JSON values.

`base` is everywhere the URL of this installation's FHIR endpoint: "https://pro.clinic.example/fhir".
"""

from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
EXTENSION = "http://hl7.org/fhir/StructureDefinition"


def coding(system: str, code: str, display: str | None = None) -> Json:
    """A Coding."""
    made: Json = {"system": system, "code": code}
    if display:
        made["display"] = display
    return made


def concept(*codings: Json, text: str | None = None) -> Json:
    """A CodeableConcept: codings, text or both. Missing parts are left out, since FHIR allows no empty arrays."""
    made: Json = {}
    if codings:
        made["coding"] = list(codings)
    if text:
        made["text"] = text
    return made


def loinc(code: str | None) -> list[Json]:
    """The LOINC coding where the code is known, without a display: our wording may differ from LOINC's."""
    return [coding(LOINC, code)] if code else []


def local_system(base: str, name: str) -> str:
    """The URI of a code system of this installation, for codes that no public system has. It need not resolve."""
    return f"{base}/CodeSystem/{name}"


def identifier(base: str, kind: str, value: str) -> Json:
    """An Identifier in a namespace of this installation."""
    return {"system": f"{base}/sid/{kind}", "value": value}


def points(value: float, unit: str) -> Json:
    """A Quantity in points. UCUM has no code for T points: `unit`, which people read, distinguishes them."""
    return {"value": value, "unit": unit, "system": UCUM, "code": "{score}"}


def patient_reference(base: str, study_code: str) -> Json:
    """A Reference to the Patient by study code."""
    return {
        "reference": f"Patient/{study_code}",
        "identifier": identifier(base, "study-id", study_code),
    }
