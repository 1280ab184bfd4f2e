"""The FHIR endpoint's CapabilityStatement and its errors as OperationOutcome. Holds no subject data."""

from importlib.metadata import version

from pro_tracker.services.fhir.datatypes import Json

FHIR_VERSION = "4.0.1"
STATED_ON = "2026-12-01"  # update it with every change of the statement
ISSUES = {
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    410: "deleted",
    422: "invalid",
    429: "throttled",
}
READ, SEARCH = {"code": "read"}, {"code": "search-type"}
EVERYTHING = {"name": "everything", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}


def capability_statement(base: str) -> Json:
    """The CapabilityStatement: the supported interactions, all of them read-only."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STATED_ON,
        "kind": "instance",
        "software": {"name": "PRO Tracker", "version": version("pro-tracker")},
        "implementation": {"description": "Answers and scores of this clinic's patients", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "Staff accounts, signed in; they see the patients of their own sites."},
                "resource": [
                    {"type": "Patient", "interaction": [READ], "operation": [EVERYTHING]},
                    {
                        "type": "Consent",
                        "interaction": [SEARCH],
                        "searchParam": [_by("patient", "reference")],
                    },
                    {"type": "Questionnaire", "interaction": [READ, SEARCH], "searchParam": [_by("url", "uri")]},
                    {
                        "type": "QuestionnaireResponse",
                        "interaction": [SEARCH],
                        "searchParam": [_by("patient", "reference")],
                    },
                    {"type": "Goal", "interaction": [SEARCH], "searchParam": [_by("patient", "reference")]},
                    {
                        "type": "Observation",
                        "interaction": [SEARCH],
                        "searchParam": [_by("patient", "reference"), _by("code", "token")],
                    },
                ],
            }
        ],
    }


def _by(name: str, kind: str) -> Json:
    return {"name": name, "type": kind}


def operation_outcome(status: int, text: str) -> Json:
    """The OperationOutcome of a request that failed with this HTTP status."""
    other = "exception" if status >= 500 else "processing"
    issue = {
        "severity": "error",
        "code": ISSUES.get(status, other),
        "diagnostics": text,
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}
