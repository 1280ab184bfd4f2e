"""Bundle: resources as a file or as the response to a search, and the filter by code of a search."""

from collections.abc import Sequence
from datetime import datetime

from pro_tracker.services.fhir.datatypes import Json


def collection(resources: Sequence[Json], base: str, *, now: datetime) -> Json:
    """The Bundle of a file: resources that belong together."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now.isoformat(),
        "entry": [_entry(each, base) for each in resources],
    }


def searchset(resources: Sequence[Json], base: str, query: str, *, now: datetime) -> Json:
    """The response to a search; `query` is the part of the request's URL below `base` that was used (the self link)."""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": now.isoformat(),
        "total": len(resources),
        "link": [{"relation": "self", "url": f"{base}/{query}"}],
    }
    if resources:  # FHIR allows no empty arrays
        bundle["entry"] = [_entry(each, base) | {"search": {"mode": "match"}} for each in resources]
    return bundle


def has_code(resource: Json, searched: str) -> bool:
    """Returns whether a resource has one of a search's codes (FHIR token): "code" or "system|code", comma-separated."""
    tokens = searched.split(",")
    return any(_matches_one(coding, tokens) for coding in resource["code"]["coding"])


def _matches_one(coding: Json, tokens: Sequence[str]) -> bool:
    for token in tokens:
        system, _, code = token.rpartition("|")
        if code == coding["code"] and system in ("", coding["system"]):
            return True
    return False


def _entry(resource: Json, base: str) -> Json:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource}
