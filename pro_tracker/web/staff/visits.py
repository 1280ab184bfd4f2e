"""Answering on the clinic's device ("Answer here"): hands this browser from the member of staff to the patient."""

import uuid
from datetime import datetime

from flask import redirect, url_for
from flask_security import logout_user
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NoLongerAsked, WindowClosed
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.visit_windows import is_open
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering import links, visit_accesses, visit_context
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access, clinic_device
from pro_tracker.web.patient import visit_cookies
from pro_tracker.web.patient.visit_cookies import OpenedLink
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page


@blueprint.get("/subjects/<uuid:subject_id>/visits/<int:visit_id>/here")
@access.staff(Role.COORDINATOR)
def show_clinic_device(subject_id: uuid.UUID, visit_id: int) -> Page:
    """Says what starting on this device means. Raises WindowClosed if the visit cannot be answered now."""
    subject, visit = _open_visit(subject_id, visit_id, clock.now())
    course = db_session().get_one(Course, visit.course_id)
    return current.show("staff/clinic_device.html", subject, visit=visit, course=course)


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/here")
@access.staff(Role.COORDINATOR)
def start_on_clinic_device(subject_id: uuid.UUID, visit_id: int) -> Response:
    """Starts an access of mode "clinic" in this browser and signs the member of staff out of it.

    The member of staff has the patient before them, so that the birth date is not asked for.
    """
    session = db_session()
    now = clock.now()
    subject, visit = _open_visit(subject_id, visit_id, now)
    link_id = links.find(session, links.issue(session, visit.id, now=now))
    secret = visit_accesses.start(session, link_id, ResponseMode.CLINIC, now=now)
    audit.record(
        session,
        access.actor(),
        "link.hand-over",  # codespell:ignore
        now=now,
        subject_id=subject.id,
        detail={"visit": visit.id},
    )
    logout_user()
    commit()
    response = redirect(url_for("patient.start", visit=visit_cookies.url_part(visit.id)), 303)
    visit_cookies.set_link(response, visit.id, OpenedLink(link_id, ResponseMode.CLINIC))
    visit_cookies.set_access(response, visit.id, secret, lasts=None)
    clinic_device.mark(response, secret)
    return response


def _open_visit(subject_id: uuid.UUID, visit_id: int, now: datetime) -> tuple[Subject, Visit]:
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    if subject.death_recorded_at is not None:
        raise NoLongerAsked("A death is recorded for this patient, so nothing is asked any more.")
    if not is_open(visit, now):
        raise WindowClosed("These questions cannot be answered now: they were answered, or their time is over.")
    visit_context.by_visit(db_session(), visit.id).require_open(now)
    return subject, visit
