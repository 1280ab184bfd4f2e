"""Helpers for FHIR tests: a subject with answers, its resources after a JSON round trip, and their validation."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject
from pro_tracker.services.fhir import resources
from pro_tracker.services.instruments import instrument_catalog
from tests.conftest import Clock
from tests.support.course_builder import add_subject, record_infusions
from tests.support.history_builder import answer_before_and_after, course_of

BASE = "https://pro-tracker.test/fhir"
ENROLLED_ON = date(2026, 1, 5)
FIRST_ON = date(2026, 1, 12)
BASELINE_AT = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
LAST_AT = datetime(2026, 1, 17, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)
LOINC = "http://loinc.org"
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
PACKS = sorted(instrument_catalog.TEXT_PACKS.glob("*.yaml"))
# Codes of required bindings of R4, which the model library does not check.
CODES = {
    ("Bundle", "type"): {"collection", "searchset"},
    ("CapabilityStatement", "kind"): {"instance"},
    ("CapabilityStatement", "status"): {"draft", "active", "retired", "unknown"},
    ("Observation", "status"): {"registered", "preliminary", "final", "amended", "entered-in-error"},
    ("Questionnaire", "status"): {"draft", "active", "retired", "unknown"},
    ("QuestionnaireResponse", "status"): {"in-progress", "completed", "amended", "entered-in-error", "stopped"},
}
Json = dict[str, Any]


def subject_with_answers(session: Session, clock: Clock, **facts: Any) -> Subject:
    """Returns a subject with answers at baseline and last infusion; at the second an item of fatigue is skipped."""
    subject = planned_subject(session, clock, **facts)
    answer_before_and_after(
        session, subject, before=BASELINE_AT, treat=lambda: give_all(session, subject), after=LAST_AT
    )
    return subject


def planned_subject(session: Session, clock: Clock, **facts: Any) -> Subject:
    clock.set(NOW)
    known = {"given_name": "Zoë", "family_name": "Geheim", "enrolled_on": ENROLLED_ON, "consent_on": ENROLLED_ON}
    return add_subject(session, BASELINE_AT, **known, planned_start_on=FIRST_ON, **facts)


def give_all(session: Session, subject: Subject) -> None:
    record_infusions(
        session, course_of(session, subject), LAST_AT, *(FIRST_ON + timedelta(days=day) for day in range(5))
    )


def everything(session: Session, subject: Subject) -> list[Json]:
    """Returns the resources after a JSON round trip, with numbers as exact decimals."""
    text = json.dumps(resources.everything(session, subject, BASE))
    received: list[Json] = json.loads(text, parse_float=Decimal)
    return received


def of_type(resources: list[Json], kind: str) -> list[Json]:
    return [each for each in resources if each["resourceType"] == kind]


def observations(resources: list[Json], code: str) -> list[Json]:
    """Returns the Observations of a scale ("pcs.total"), oldest first."""
    return [each for each in of_type(resources, "Observation") if each["code"]["coding"][-1]["code"] == code]


def responses(resources: list[Json], instrument: str) -> list[Json]:
    prefix = f"{BASE}/Questionnaire/{instrument}."
    return [each for each in of_type(resources, "QuestionnaireResponse") if each["questionnaire"].startswith(prefix)]


def check(resource: Json) -> None:
    """Validates a resource with the model library, then codes, ids, empty and repeated values, which that skips."""
    kind = resource["resourceType"]
    get_fhir_model_class(kind).model_validate_json(json.dumps(resource, default=float))
    for name, codes in ((name, codes) for (each, name), codes in CODES.items() if each == kind):
        assert resource[name] in codes
    assert FHIR_ID.fullmatch(resource.get("id", "none"))
    assert [empty for empty in _values(resource) if empty in ("", [], {}, None)] == []
    repeated = [name for name, n in Counter(_link_ids(resource)).items() if n > 1]
    assert repeated == []
    if kind == "Observation":  # constraint obs-6: dataAbsentReason only without a value
        assert ("dataAbsentReason" in resource) != ("valueQuantity" in resource)
    if kind == "Bundle":
        addresses = [entry["fullUrl"] for entry in resource.get("entry", [])]
        assert len(set(addresses)) == len(addresses)
        for entry in resource.get("entry", []):
            check(entry["resource"])


def _values(part: Any) -> Iterator[Any]:
    """Yields every value of the resource, including objects and lists."""
    yield part
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for each in inner:
        yield from _values(each)


def _link_ids(part: Json) -> Iterator[str]:
    for item in part.get("item", []):
        yield item["linkId"]
        yield from _link_ids(item)


def component(observation: Json, code: str) -> Any:
    for each in observation["component"]:
        if each["code"]["coding"][0]["code"] == code:
            return next(value for name, value in each.items() if name.startswith("value"))
    return None
