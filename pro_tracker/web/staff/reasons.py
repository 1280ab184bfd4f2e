"""The page on which staff record why a visit has no answers."""

import uuid
from datetime import datetime

from flask import flash, redirect, url_for
from flask_babel import gettext as _, lazy_gettext
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import HiddenField

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.unanswered import DERIVED, GIVEN_BY_STAFF
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import unanswered
from pro_tracker.services.clinic import visibility
from pro_tracker.services.enrolment import endings as recorded_endings
from pro_tracker.services.enrolment.endings import VisitEnding
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, endings, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms import fields


class UnansweredForm(FlaskForm):  # type: ignore[misc]
    as_shown = HiddenField()
    reason = fields.radio_field(
        lazy_gettext("Why are there no answers?"), lazy_gettext("Choose why there are no answers.")
    )

    def __init__(self, visit: Visit) -> None:
        super().__init__(reason=visit.void_reason or visit.missed_reason)
        reasons = [(code, labels.UNANSWERED_REASONS[code]) for code in GIVEN_BY_STAFF]
        self.reason.choices = fields.choices(reasons)


@blueprint.get("/subjects/<uuid:subject_id>/visits/<int:visit_id>/reason")
@access.staff(Role.COORDINATOR)
def reason(subject_id: uuid.UUID, visit_id: int) -> Page:
    subject, visit = _visit(subject_id, visit_id)
    form = UnansweredForm(visit)
    edit_conflicts.remember(form, _recorded(visit))
    return _page(subject, visit, form)


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/reason")
@access.staff(Role.COORDINATOR)
def record_reason(subject_id: uuid.UUID, visit_id: int) -> Page | Response:
    subject, visit = _visit(subject_id, visit_id)
    form = UnansweredForm(visit)
    if form.validate() and endings.is_needed(form.reason.data):
        return _record_with_ending(subject, visit, form)
    if form.validate() and current.submit(form, lambda: _record(subject, visit, form)):
        flash(_("The reason is recorded."))
        return redirect(url_for("staff.subject", subject_id=subject_id), 303)
    # Read again: an entry that the service rejected was rolled back.
    subject, visit = _visit(subject_id, visit_id)
    return _page(subject, visit, form)


def _visit(subject_id: uuid.UUID, visit_id: int) -> tuple[Subject, Visit]:
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    return subject, visit


def _record_with_ending(subject: Subject, visit: Visit, form: UnansweredForm) -> Page | Response:
    """Asks what else ends, shows the effects, and saves the reason together with the ending."""
    subject_id, visit_id, code = subject.id, visit.id, form.reason.data
    ending = endings.form_of(code)
    back = url_for("staff.reason", subject_id=subject_id, visit_id=visit_id)

    def show_ending() -> Page:
        return endings.page(subject_id, ending, first=form, code=code, back=back)

    def save(now: datetime) -> None:
        _reject_stale(subject, visit, form)
        ended = VisitEnding(visit_id, code, ending.facts())
        recorded_endings.record_visit(db_session(), access.actor(), ended, now=now)

    if not endings.was_asked():
        return show_ending()
    message = endings.success_message(ending)
    return preview.save(subject, ending, save, success_message=message, show_form=show_ending)


def _reject_stale(subject: Subject, visit: Visit, form: UnansweredForm) -> None:
    """Reads the visit again under the subject's lock. Raises ChangedSince if another reason was recorded since."""
    session = db_session()
    subject_lock.lock(session, subject)
    session.refresh(visit)
    changer = Changer(subject.id, subject.time_zone, ("visit.give-reason", "death.record", "subject.withdraw"))
    requested = {_("reason"): str(labels.UNANSWERED_REASONS[form.reason.data])}
    edit_conflicts.reject_stale(form, _recorded(visit), requested, changer)


def _recorded(visit: Visit) -> edit_conflicts.RecordedValues:
    """Returns the recorded reason in words. The service's own guess counts as none: it needs no warning."""
    code = visit.void_reason or visit.missed_reason
    if code is None or code in DERIVED:
        return {_("reason"): "–"}
    return {_("reason"): str(labels.UNANSWERED_REASONS[code])}


def _record(subject: Subject, visit: Visit, form: UnansweredForm) -> None:
    _reject_stale(subject, visit, form)
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
