"""Pages that record an infusion with its adverse events and the end of the course, and that correct or remove one."""

import uuid
from datetime import datetime

from flask import request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.treatment import courses, infusion_corrections
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.infusion_form import (
    MAX_ROWS,
    MIN_ROWS,
    InfusionCorrectionForm,
    InfusionForm,
    as_recorded,
    short,
    with_rows,
)

REMOVE = "remove"  # prefix of field names, since the page of one infusion has two forms


@blueprint.get("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR)
def new_infusion(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    defaults = {
        "given_on": today,
        "status": InfusionStatus.COMPLETED,
        **_previous_doses(subject),
    }
    form = with_rows(MIN_ROWS, InfusionForm)(data=defaults)
    return _page(subject, form)


@blueprint.post("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR)
def record_infusion(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    if _wants_another_row():
        return _page(subject, with_rows(_submitted_rows(1), InfusionForm)())
    form = with_rows(_submitted_rows(), InfusionForm)()
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("The infusion is recorded."),
        show_form=lambda: _page(current.subject(subject_id), form),
    )


@blueprint.get("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>")
@access.staff(Role.COORDINATOR)
def infusion(subject_id: uuid.UUID, infusion_id: int) -> Page:
    subject = current.subject(subject_id)
    return _correction_page(subject, infusion_corrections.current_infusion(db_session(), subject, infusion_id))


@blueprint.post("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>")
@access.staff(Role.COORDINATOR)
def correct_infusion(subject_id: uuid.UUID, infusion_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    recorded = infusion_corrections.current_infusion(db_session(), subject, infusion_id)
    if _wants_another_row():
        longer = with_rows(_submitted_rows(1), InfusionCorrectionForm)()
        return _correction_page(subject, recorded, form=longer)
    form = with_rows(_submitted_rows(), InfusionCorrectionForm)()
    return preview.save(
        subject,
        form,
        lambda now: _correct(recorded, form, now),
        success_message=_("The infusion is corrected."),
        show_form=lambda: _correction_page(current.subject(subject_id), recorded, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/infusions/<int:infusion_id>/remove")
@access.staff(Role.COORDINATOR)
def remove_infusion(subject_id: uuid.UUID, infusion_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    recorded = infusion_corrections.current_infusion(db_session(), subject, infusion_id)
    form = RemovalForm(prefix=REMOVE)
    return preview.save(
        subject,
        form,
        lambda now: _remove(recorded, form, now),
        success_message=_("The infusion is removed."),
        show_form=lambda: _correction_page(current.subject(subject_id), recorded, remove=form),
    )


def _previous_doses(subject: Subject) -> dict[str, object]:
    """Returns dose, weight and ondansetron of the previous infusion of the course, {} for the first one.

    They hardly differ between infusions on consecutive days; the page asks staff to check them.
    """
    course = courses.current_course(db_session(), subject)
    if course is None or not course.infusions:
        return {}
    previous = course.infusions[-1]
    names = ("dose_mg_per_kg", "weight_kg", "ondansetron_mg")
    return {name: short(getattr(previous, name)) for name in names}


def _wants_another_row() -> bool:
    """Returns whether the form was sent by its button for another row of adverse events."""
    return "more" in request.form


def _submitted_rows(more: int = 0) -> int:
    """Returns the number of rows for adverse events that the form was sent with, counted by its grades, plus `more`."""
    sent = sum(name.startswith("grade_") for name in request.form)
    rows = _limited(sent) + more
    return _limited(rows)


def _limited(rows: int) -> int:
    return min(max(rows, MIN_ROWS), MAX_ROWS)


def _record(subject: Subject, form: InfusionForm, now: datetime) -> None:
    session = db_session()
    actor = access.actor()
    course = _course(subject)
    facts = form.facts()
    courses.record_infusion(session, actor, course, facts, now=now)
    if form.course_ends.data:
        courses.end_course(
            session,
            actor,
            course,
            ended_on=facts.given_on,
            reason=form.end_reason.data,
            now=now,
        )


def _correct(recorded: Infusion, form: InfusionCorrectionForm, now: datetime) -> None:
    infusion_corrections.correct(
        db_session(),
        access.actor(),
        recorded,
        form.facts(),
        reason=form.reason.data,
        now=now,
    )


def _remove(recorded: Infusion, form: RemovalForm, now: datetime) -> None:
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
    return current.show("staff/infusion.html", subject, form=form, course=course)


def _correction_page(
    subject: Subject,
    recorded: Infusion,
    *,
    form: InfusionCorrectionForm | None = None,
    remove: RemovalForm | None = None,
) -> Page:
    """Returns the page of one infusion. A form that was not sent shows the recorded values."""
    if form is None:
        rows = _limited(len(recorded.adverse_events) + 1)
        form = with_rows(rows, InfusionCorrectionForm)(formdata=None, data=as_recorded(recorded))
    return current.show(
        "staff/infusion_correction.html",
        subject,
        infusion=recorded,
        form=form,
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
