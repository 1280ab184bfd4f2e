"""Pages that record an infusion with its adverse events and the end of the course, and that correct or remove one."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask import redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.infusion_warnings import InfusionWarning
from pro_tracker.domain.protocol import TreatmentPlan
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses, infusion_corrections, treatment_warnings
from pro_tracker.services.treatment.courses import CourseEndFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, infusion_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms import infusion_lists
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.infusion_form import (
    MAX_ROWS,
    MIN_ROWS,
    InfusionCorrectionForm,
    InfusionFieldsForm,
    InfusionForm,
    with_rows,
)
from pro_tracker.web.staff.forms.infusion_lists import InfusionLists

REMOVE = "remove"  # prefix of field names, since the page of one infusion has two forms


@blueprint.get("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def new_infusion(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.site.time_zone)
    defaults = {
        "given_on": today,
        **_as_planned(subject),
    }
    form = with_rows(MIN_ROWS, InfusionForm, _lists(subject))(data=defaults)
    return _page(subject, form)


@blueprint.post("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def record_infusion(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    if _wants_another_row():
        return _page(subject, with_rows(_submitted_rows(1), InfusionForm, _lists(subject))())
    form = with_rows(_submitted_rows(), InfusionForm, _lists(subject))()
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("The infusion is recorded."),
        show_form=lambda: _page(current.subject(subject_id), form),
    )


@blueprint.get("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def infusion(subject_id: uuid.UUID, infusion_id: int) -> Page | Response:
    """Shows the form of one infusion. The URL of one that was corrected leads to its correction."""
    subject = current.subject(subject_id)
    recorded = infusion_corrections.newest(db_session(), _infusion(subject, infusion_id))
    if recorded is None:
        raise NotFound(_("This infusion was removed. The patient's page says when and why."))
    if recorded.id != infusion_id:
        return redirect(url_for("staff.infusion", subject_id=subject_id, infusion_id=recorded.id), 303)
    return _correction_page(subject, recorded)


@blueprint.post("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def correct_infusion(subject_id: uuid.UUID, infusion_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    recorded = _infusion(subject, infusion_id)
    if _wants_another_row():
        longer = infusion_conflicts.correction_form(recorded, _submitted_rows(1))()
        return _correction_page(subject, recorded, form=longer)
    form = infusion_conflicts.correction_form(recorded, _submitted_rows())()
    return preview.save(
        subject,
        form,
        lambda now: _correct(subject, recorded, form, now),
        success_message=_("The infusion is corrected."),
        show_form=lambda: _after_failure(current.subject(subject_id), infusion_id, form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>/remove")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def remove_infusion(subject_id: uuid.UUID, infusion_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    recorded = _infusion(subject, infusion_id)
    form = RemovalForm(prefix=REMOVE)
    return preview.save(
        subject,
        form,
        lambda now: _remove(subject, recorded, form, now),
        success_message=_("The infusion is removed."),
        show_form=lambda: _after_failed_removal(current.subject(subject_id), infusion_id, form),
    )


def _after_failure(subject: Subject, infusion_id: int, form: InfusionCorrectionForm) -> Page:
    """Returns the page with the submitted form, after a conflict for the row that is recorded now, or for a new one."""
    shown = _infusion(subject, infusion_id)
    newest = infusion_corrections.newest(db_session(), shown)
    if not form.form_errors or newest is shown:
        return _correction_page(subject, shown, form=form)
    if newest is None:
        return _page(subject, infusion_conflicts.as_new(form))
    return _correction_page(subject, newest, form=infusion_conflicts.merged_form(form, shown, newest))


def _after_failed_removal(subject: Subject, infusion_id: int, form: RemovalForm) -> Page:
    shown = _infusion(subject, infusion_id)
    newest = infusion_corrections.newest(db_session(), shown) if form.form_errors else shown
    return _correction_page(subject, newest or shown, remove=form)


def _infusion(subject: Subject, infusion_id: int) -> Infusion:
    return infusion_corrections.find(db_session(), subject, infusion_id)


def _as_planned(subject: Subject) -> dict[str, object]:
    """Returns dose and duration of the protocol; {} without a treatment plan. The last slip is not copied."""
    course = courses.current_course(db_session(), subject)
    plan = _plan(course)
    if plan is None:
        return {}
    return {
        "dose_mg_per_kg": plan.dose_mg_per_kg,
        "minutes": plan.minutes,
    }


def _lists(subject: Subject) -> InfusionLists:
    """Returns what the protocol of the current course lists for an infusion."""
    return infusion_lists.of_plan(_plan(courses.current_course(db_session(), subject)))


def _plan(course: Course | None) -> TreatmentPlan | None:
    if course is None:
        return None
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    return protocol.treatment


def _wants_another_row() -> bool:
    """Returns whether the form was sent by its button for another row of adverse events."""
    return "more" in request.form


def _submitted_rows(more: int = 0) -> int:
    """Returns the number of rows for adverse events that the form was sent with, counted by its terms, plus `more`."""
    sent = sum(name.startswith("term_") for name in request.form)
    rows = _limited(sent) + more
    return _limited(rows)


def _limited(rows: int) -> int:
    return min(max(rows, MIN_ROWS), MAX_ROWS)


def _record(subject: Subject, form: InfusionForm, now: datetime) -> None:
    session = db_session()
    actor = access.actor()
    course = _course(subject)
    facts = form.facts()
    subject_lock.lock(session, subject)
    warnings = treatment_warnings.about(session, course, facts)
    courses.record_infusion(session, actor, course, facts, now=now)
    _require_checked(subject, form, warnings, now)
    if form.course_ends.data:
        end = CourseEndFacts(facts.given_on, form.end_reason.data)
        courses.end_course(session, actor, course, end, now=now)


def _require_checked(
    subject: Subject, form: InfusionFieldsForm, warnings: Sequence[InfusionWarning], now: datetime
) -> None:
    """Raises InvalidInput until what is odd was confirmed; which fields these were is audited.

    Called after the infusion was saved, which the error reverts: what is wrong is said before what is odd.
    """
    form.require_checked(warnings)
    if warnings:
        odd = [warning.field for warning in warnings]
        detail: audit.Detail = {"fields": odd}
        audit.record(db_session(), access.actor(), "infusion.confirm", now=now, subject_id=subject.id, detail=detail)


def _correct(subject: Subject, recorded: Infusion, form: InfusionCorrectionForm, now: datetime) -> None:
    infusion_conflicts.reject_voided(subject, recorded, form.row_count)
    infusion_conflicts.reject_changed_events(subject, recorded, form)
    course = db_session().get_one(Course, recorded.course_id)
    warnings = treatment_warnings.about(db_session(), course, form.facts(), instead_of=recorded)
    correction = InfusionCorrectionFacts(form.facts(), form.reason.data)
    infusion_corrections.correct(
        db_session(),
        access.actor(),
        recorded,
        correction,
        now=now,
    )
    _require_checked(subject, form, warnings, now)


def _remove(subject: Subject, recorded: Infusion, form: RemovalForm, now: datetime) -> None:
    infusion_conflicts.reject_voided(subject, recorded, MIN_ROWS)
    infusion_corrections.remove(
        db_session(),
        access.actor(),
        recorded,
        reason=form.reason.data,
        now=now,
    )


def _course(subject: Subject) -> Course:
    """Returns the subject's current course. Raises InvalidInput if there is none."""
    course = courses.current_course(db_session(), subject)
    if course is None:
        raise InvalidInput(_("This patient has no course yet. Start one first."), field="given_on")
    return course


def _page(subject: Subject, form: InfusionForm) -> Page:
    course = courses.current_course(db_session(), subject)
    return current.show("staff/infusion.html", subject, form=form, course=course, plan=_plan(course))


def _correction_page(
    subject: Subject,
    recorded: Infusion,
    *,
    form: InfusionCorrectionForm | None = None,
    remove: RemovalForm | None = None,
) -> Page:
    """Returns the page of one infusion. A form that was not sent shows the recorded values."""
    form = form or infusion_conflicts.filled(recorded, MIN_ROWS)
    return current.show(
        "staff/infusion_correction.html",
        subject,
        infusion=recorded,
        form=form,
        plan=_plan(db_session().get_one(Course, recorded.course_id)),
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
