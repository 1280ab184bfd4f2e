"""The FHIR R4 data types that our resources are made of, and the identifiers of this installation. Plain JSON values.

`base` is everywhere the address under which this installation speaks FHIR: "https://pro.clinic.example/fhir".
"""

from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
EXTENSION = "http://hl7.org/fhir/StructureDefinition"


def coding(system: str, code: str, display: str | None = None) -> Json:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concept(*codings: Json, text: str | None = None) -> Json:
    """A CodeableConcept; one without codings has its text alone."""
    return {**({"coding": list(codings)} if codings else {}), **({"text": text} if text else {})}


def loinc(code: str | None) -> list[Json]:
    """The LOINC coding where the code is known, without LOINC's display: ours is not theirs."""
    return [coding(LOINC, code)] if code else []


def local_system(base: str, name: str) -> str:
    """A code system of this installation: a name for codes that no public system has, not an address to read."""
    return f"{base}/CodeSystem/{name}"


def identifier(base: str, kind: str, value: str) -> Json:
    return {"system": f"{base}/sid/{kind}", "value": value}


def points(value: float, unit: str) -> Json:
    """A Quantity in points. UCUM knows no T points: the unit people read says so."""
    return {"value": value, "unit": unit, "system": UCUM, "code": "{score}"}


def patient_reference(base: str, study_code: str) -> Json:
    return {"reference": f"Patient/{study_code}", "identifier": identifier(base, "study-id", study_code)}
