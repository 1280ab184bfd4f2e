"""Pages about privacy and accessibility: what is true of every installation, and what the clinic adds to it."""

from flask import render_template

from pro_tracker import clock
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.clinic import patient_pages
from pro_tracker.services.clinic.patient_pages import PatientPages
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import db_session


@blueprint.get("/visit/<visit>/privacy")
@access.patient
def privacy() -> str:
    visit = current.visit(clock.now())
    return render_template("patient/privacy.html", visit=visit, clinic=clinic_of(visit))


@blueprint.get("/visit/<visit>/accessibility")
@access.patient
def accessibility() -> str:
    visit = current.visit(clock.now())
    return render_template("patient/accessibility.html", visit=visit, clinic=clinic_of(visit))


def clinic_of(visit: VisitContext) -> PatientPages:
    """Returns what the clinic of the visit says about itself, in the language of the page."""
    return patient_pages.of_subject(db_session(), visit.person_id, visit.language)
