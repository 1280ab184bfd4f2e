"""FHIR R4, read-only: what the service can do, its questionnaires, and one subject's answers and scores."""

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
    url = request.args.get("url", "")
    found = [form for form in resources.current_forms(db_session(), _base()) if url in ("", form.url, form.canonical)]
    return fhir_json(_searchset([as_questionnaire(form) for form in found], "url"))


@blueprint.get("/Questionnaire/<questionnaire_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN, Role.RESEARCHER, Role.ADMINISTRATOR, sites="none")
def questionnaire(questionnaire_id: str) -> Response:
    return fhir_json(as_questionnaire(resources.form(db_session(), questionnaire_id, _base())))


@blueprint.get("/Patient/<study_code>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def patient(study_code: str) -> Response:
    subject = _subject(study_code)
    return _viewed(subject, resources.patient(subject, _base()))


@blueprint.get("/Patient/<study_code>/$everything")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def everything(study_code: str) -> Response:
    subject = _subject(study_code)
    return _viewed(subject, _searchset(resources.everything(db_session(), subject, _base())))


@blueprint.get("/QuestionnaireResponse")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def responses() -> Response:
    subject = _subject_searched_for()
    return _viewed(subject, _searchset(_of_type("QuestionnaireResponse", subject), "patient"))


@blueprint.get("/Observation")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def observations() -> Response:
    subject, code = _subject_searched_for(), request.args.get("code", "")
    found = [each for each in _of_type("Observation", subject) if not code or bundle.has_code(each, code)]
    return _viewed(subject, _searchset(found, "patient", "code"))


def fhir_json(resource: Json, status: int = 200) -> Response:
    """A resource as an answer; numbers keep the decimals they were given."""
    return Response(json.dumps(resource, ensure_ascii=False), status, mimetype="application/fhir+json")


def _subject(study_code: str) -> Subject:
    return visibility.subject_by_code(db_session(), access.account(), study_code)


def _subject_searched_for() -> Subject:
    reference = request.args.get("patient")
    if not reference:
        raise InvalidInput("Name the patient by study id: ?patient=north-0001", field="patient")
    return _subject(reference.removeprefix("Patient/"))


def _of_type(kind: str, subject: Subject) -> list[Json]:
    return [each for each in resources.everything(db_session(), subject, _base()) if each["resourceType"] == kind]


def _searchset(resources: Sequence[Json], *heeded: str) -> Json:
    """The resources found, and in the self link those of the request's parameters that were heeded."""
    parameters = urlencode([(name, request.args[name]) for name in heeded if request.args.get(name)])
    asked = request.path.removeprefix(f"{blueprint.url_prefix}/")
    return bundle.searchset(resources, _base(), f"{asked}?{parameters}" if parameters else asked, now=clock.now())


def _viewed(subject: Subject, resource: Json) -> Response:
    """The answer, once the view is on record."""
    resources.audit_view(db_session(), access.actor(), subject, now=clock.now())
    commit()
    return fhir_json(resource)


def _base() -> str:
    return f"{current_app.config['BASE_URL']}{blueprint.url_prefix}"
