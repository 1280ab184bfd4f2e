"""Provenance: the correction of a response, which names the response that it replaces. R4 has no other place for it."""

from collections.abc import Collection

from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.fhir.datatypes import Json, coding, concept, identifier, local_system

REVISE = concept(coding("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "UPDATE", "revise"))


def provenance(row: QuestionnaireResponse, base: str, known_ids: Collection[int]) -> Json:
    """The Provenance of a corrected response. The replaced one is named only if it is among the subject's own.

    The staff member is an account number, the source a code; the reason, which is free text, stays here.
    """
    replaced = {"role": "revision", "what": {"reference": f"QuestionnaireResponse/{row.replaces_id}"}}
    editor = str(row.edited_by_id) if row.edited_by_id is not None else "service"
    return {
        "resourceType": "Provenance",
        "id": f"{row.id}.edit",
        "target": [{"reference": f"QuestionnaireResponse/{row.id}"}],
        "recorded": row.edited_at.isoformat() if row.edited_at else "",
        "reason": [concept(coding(local_system(base, "edit-source"), row.edit_source or ""))],
        "activity": REVISE,
        "agent": [{"who": {"identifier": identifier(base, "account", editor)}}],
        **({"entity": [replaced]} if row.replaces_id in known_ids else {}),
    }
