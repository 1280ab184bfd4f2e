"""Bundle: resources in one piece, as a file or as the answer to a search, and what a search looks for in them."""

from collections.abc import Sequence
from datetime import datetime

from pro_tracker.services.fhir.datatypes import Json


def collection(resources: Sequence[Json], base: str, *, now: datetime) -> Json:
    """A file: resources that belong together."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now.isoformat(),
        "entry": [_entry(each, base) for each in resources],
    }


def searchset(resources: Sequence[Json], base: str, asked: str, *, now: datetime) -> Json:
    """The answer to a search; `asked` is what of the request's address, below `base`, was heeded."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": now.isoformat(),
        "total": len(resources),
        "link": [{"relation": "self", "url": f"{base}/{asked}"}],
        **({"entry": [_entry(each, base) | {"search": {"mode": "match"}} for each in resources]} if resources else {}),
    }


def has_code(resource: Json, wanted: str) -> bool:
    """Whether the resource has one of the codes of a search: "code" or "system|code", commas between."""
    known = {(each["system"], each["code"]) for each in resource["code"]["coding"]}
    for token in wanted.split(","):
        system, _, code = token.rpartition("|")
        if any(code == each and system in ("", of) for of, each in known):
            return True
    return False


def _entry(resource: Json, base: str) -> Json:
    return {"fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}", "resource": resource}
