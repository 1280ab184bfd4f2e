"""FHIR R4, read-only: what the service can do, its questionnaires, and one subject's answers and scores."""

import json

from flask import Blueprint, Response, current_app

from pro_tracker import clock
from pro_tracker.models.subject import Subject
from pro_tracker.services import access as visibility, fhir, fhir_server
from pro_tracker.services.fhir_datatypes import Json
from pro_tracker.services.fhir_questionnaire import questionnaire as as_questionnaire
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")


@blueprint.get("/metadata")
@access.public
def metadata() -> Response:
    return fhir_json(fhir_server.capability_statement(_base()))


@blueprint.get("/Questionnaire/<questionnaire_id>")
@access.staff("coordinator", "clinician", "researcher", "administrator", sites="none")
def questionnaire(questionnaire_id: str) -> Response:
    return fhir_json(as_questionnaire(fhir.form(db_session(), questionnaire_id, _base())))


@blueprint.get("/Patient/<study_code>")
@access.staff("coordinator", "clinician")
def patient(study_code: str) -> Response:
    subject = visibility.subject_by_code(db_session(), access.account(), study_code)
    return _viewed(subject, fhir.patient(subject, _base()))


@blueprint.get("/Patient/<study_code>/$everything")
@access.staff("coordinator", "clinician")
def everything(study_code: str) -> Response:
    subject = visibility.subject_by_code(db_session(), access.account(), study_code)
    resources = fhir.everything(db_session(), subject, _base())
    return _viewed(subject, fhir.bundle(resources, "searchset", _base(), now=clock.now()))


def fhir_json(resource: Json, status: int = 200) -> Response:
    """A resource as an answer; numbers keep the decimals they were given."""
    return Response(json.dumps(resource, ensure_ascii=False), status, mimetype="application/fhir+json")


def _viewed(subject: Subject, resource: Json) -> Response:
    """The answer, once the view is on record."""
    fhir.note(db_session(), access.actor(), subject, now=clock.now())
    commit()
    return fhir_json(resource)


def _base() -> str:
    return f"{current_app.config['BASE_URL']}/fhir"
