"""The read-only FHIR R4 API: CapabilityStatement, questionnaires, and answers and scores of one subject.

Routes and search parameters only; resources are built in services/fhir.
"""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import visibility
from pro_tracker.services.fhir import bundle, resources, server
from pro_tracker.services.fhir.datatypes import Json
from pro_tracker.services.fhir.questionnaire import questionnaire as as_questionnaire
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")


@blueprint.get("/metadata")
@access.public
def metadata() -> Response:
    return fhir_json(server.capability_statement(_base()))


@blueprint.get("/Questionnaire")
@access.staff(Role.COORDINATOR, Role.CLINICIAN, Role.RESEARCHER, Role.ADMINISTRATOR, sites="none")
def questionnaires() -> Response:
    """Searches questionnaires; `url` matches with or without the version (url|version)."""
    url = request.args.get("url", "")
    forms = resources.current_forms(db_session(), _base())
    if url:
        forms = [form for form in forms if url in (form.url, form.canonical)]
    found = [as_questionnaire(form) for form in forms]
    return fhir_json(_searchset(found, "url"))


@blueprint.get("/Questionnaire/<questionnaire_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN, Role.RESEARCHER, Role.ADMINISTRATOR, sites="none")
def questionnaire(questionnaire_id: str) -> Response:
    form = resources.form(db_session(), questionnaire_id, _base())
    return fhir_json(as_questionnaire(form))


@blueprint.get("/Patient/<study_code>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def patient(study_code: str) -> Response:
    subject = _subject(study_code)
    return _viewed(subject, resources.patient(db_session(), subject, _base()))


@blueprint.get("/Patient/<study_code>/$everything")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def everything(study_code: str) -> Response:
    """Returns all resources of one subject in a Bundle (operation Patient/$everything)."""
    subject = _subject(study_code)
    found = resources.everything(db_session(), subject, _base())
    return _viewed(subject, _searchset(found))


@blueprint.get("/Consent")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def consents() -> Response:
    subject = _subject_searched_for()
    found = _of_type("Consent", subject)
    return _viewed(subject, _searchset(found, "patient"))


@blueprint.get("/QuestionnaireResponse")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def responses() -> Response:
    subject = _subject_searched_for()
    found = _of_type("QuestionnaireResponse", subject)
    return _viewed(subject, _searchset(found, "patient"))


@blueprint.get("/Goal")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def goals() -> Response:
    """Searches the goals of one subject; their words are not in them."""
    subject = _subject_searched_for()
    found = _of_type("Goal", subject)
    return _viewed(subject, _searchset(found, "patient"))


@blueprint.get("/Observation")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def observations() -> Response:
    """Searches the scores of one subject; `code` filters by code, with or without the system (system|code)."""
    subject = _subject_searched_for()
    found = _of_type("Observation", subject)
    code = request.args.get("code", "")
    if code:
        found = [observation for observation in found if bundle.has_code(observation, code)]
    return _viewed(subject, _searchset(found, "patient", "code"))


def fhir_json(resource: Json, status: int = 200) -> Response:
    """Returns the resource as a FHIR JSON response; numbers keep their decimals."""
    body = json.dumps(resource, ensure_ascii=False)
    return Response(body, status, mimetype="application/fhir+json")


def _subject(study_code: str) -> Subject:
    return visibility.find_subject_by_code(db_session(), access.account(), study_code)


def _subject_searched_for() -> Subject:
    reference = request.args.get("patient")
    if not reference:
        raise InvalidInput("Name the patient by study id: ?patient=north-0001", field="patient")
    return _subject(reference.removeprefix("Patient/"))


def _of_type(kind: str, subject: Subject) -> list[Json]:
    found = resources.everything(db_session(), subject, _base())
    return [resource for resource in found if resource["resourceType"] == kind]


def _searchset(resources: Sequence[Json], *supported: str) -> Json:
    """Returns a searchset Bundle of the resources.

    Its self link repeats only the `supported` parameters of the request: a server reports there which parameters it
    used (FHIR R4, Search, Server Conformance).
    """
    used = [(name, request.args[name]) for name in supported if request.args.get(name)]
    query = request.path.removeprefix(f"{blueprint.url_prefix}/")
    if used:
        query = f"{query}?{urlencode(used)}"
    return bundle.searchset(resources, _base(), query, now=clock.now())


def _viewed(subject: Subject, resource: Json) -> Response:
    """Returns the response after recording the view in the audit trail."""
    resources.audit_view(db_session(), access.actor(), subject, now=clock.now())
    commit()
    return fhir_json(resource)


def _base() -> str:
    return f"{current_app.config['BASE_URL']}{blueprint.url_prefix}"
