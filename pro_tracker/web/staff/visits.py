"""Answering on the clinic device: a new personal link, shown once ("Answer here")."""

import uuid

from flask import current_app, url_for

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import WindowClosed
from pro_tracker.domain.visit_windows import is_open
from pro_tracker.models.course import Course
from pro_tracker.services import audit
from pro_tracker.services.answering import links
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/link")
@access.staff(Role.COORDINATOR)
def show_clinic_link(subject_id: uuid.UUID, visit_id: int) -> Page:
    """Issues a link to the visit and shows it. Raises WindowClosed if the visit cannot be answered now."""
    session = db_session()
    now = clock.now()
    subject = current.subject(subject_id)
    visit = visibility.visit(session, subject, visit_id)
    if not is_open(visit, now):
        raise WindowClosed("These questions cannot be answered now: they were answered, or their time is over.")
    token = links.issue(session, visit.id, now=now)
    audit.record(
        session,
        access.actor(),
        "link.hand-over",  # codespell:ignore
        now=now,
        subject_id=subject.id,
        detail={"visit": visit.id},
    )
    path = url_for("patient.open_link", token=token)
    return current.show(
        "staff/link.html",
        subject,
        visit=visit,
        course=session.get_one(Course, visit.course_id),
        address=current_app.config["BASE_URL"] + path,
    )
