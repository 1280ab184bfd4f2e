"""The page on which staff record why a visit has no answers."""

import uuid

from flask import flash, redirect, url_for
from flask_babel import gettext as _, lazy_gettext
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.unanswered import GIVEN_BY_STAFF
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import unanswered
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms import fields


class UnansweredForm(FlaskForm):  # type: ignore[misc]
    reason = fields.radio_field(
        lazy_gettext("Why are there no answers?"), lazy_gettext("Choose why there are no answers.")
    )

    def __init__(self, visit: Visit) -> None:
        super().__init__(reason=visit.missed_reason)
        reasons = [(code, labels.UNANSWERED_REASONS[code]) for code in GIVEN_BY_STAFF]
        self.reason.choices = fields.choices(reasons)


@blueprint.get("/subjects/<uuid:subject_id>/visits/<int:visit_id>/reason")
@access.staff(Role.COORDINATOR)
def reason(subject_id: uuid.UUID, visit_id: int) -> Page:
    subject, visit = _visit(subject_id, visit_id)
    return _page(subject, visit, UnansweredForm(visit))


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/reason")
@access.staff(Role.COORDINATOR)
def record_reason(subject_id: uuid.UUID, visit_id: int) -> Page | Response:
    _subject, visit = _visit(subject_id, visit_id)
    form = UnansweredForm(visit)
    if form.validate() and current.submit(form, lambda: _record(visit, form)):
        flash(_("The reason is recorded."))
        return redirect(url_for("staff.subject", subject_id=subject_id), 303)
    # Read again: an entry that the service rejected was rolled back.
    subject, visit = _visit(subject_id, visit_id)
    return _page(subject, visit, form)


def _visit(subject_id: uuid.UUID, visit_id: int) -> tuple[Subject, Visit]:
    subject = current.subject(subject_id)
    visit = visibility.visit(db_session(), subject, visit_id)
    return subject, visit


def _record(visit: Visit, form: UnansweredForm) -> None:
    unanswered.record_reason(
        db_session(),
        access.actor(),
        visit.id,
        form.reason.data,
        now=clock.now(),
    )


def _page(subject: Subject, visit: Visit, form: UnansweredForm) -> Page:
    course = db_session().get_one(Course, visit.course_id)
    return current.show(
        "staff/reason.html",
        subject,
        visit=visit,
        course=course,
        form=form,
    )
