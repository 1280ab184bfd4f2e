"""Recording an infusion, with its adverse events and the end of the course; correcting one, removing one."""

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

REMOVE = "remove"  # prefix: two forms stand on the page of one infusion


@blueprint.get("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR)
def new_infusion(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    return _page(
        subject,
        with_rows(MIN_ROWS, InfusionForm)(
            data={"given_on": today, "status": InfusionStatus.COMPLETED, **_as_before(subject)}
        ),
    )


@blueprint.post("/subjects/<uuid:subject_id>/infusions/new")
@access.staff(Role.COORDINATOR)
def record_infusion(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    if "more" in request.form:
        return _page(subject, with_rows(min(_rows_sent() + 1, MAX_ROWS), InfusionForm)())
    form = with_rows(_rows_sent(), InfusionForm)()
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
    if "more" in request.form:
        more = with_rows(min(_rows_sent() + 1, MAX_ROWS), InfusionCorrectionForm)()
        return _correction_page(subject, recorded, form=more)
    form = with_rows(_rows_sent(), InfusionCorrectionForm)()
    return preview.save(
        subject,
        form,
        lambda now: infusion_corrections.correct(
            db_session(), access.actor(), recorded, form.facts(), reason=form.reason.data, now=now
        ),
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
        lambda now: infusion_corrections.remove(
            db_session(), access.actor(), recorded, reason=form.reason.data, now=now
        ),
        success_message=_("The infusion is removed."),
        show_form=lambda: _correction_page(current.subject(subject_id), recorded, remove=form),
    )


def _as_before(subject: Subject) -> dict[str, object]:
    """What the infusion before was given with: five days in a row hardly differ, and the page asks to check it."""
    course = courses.current_course(db_session(), subject)
    if course is None or not course.infusions:
        return {}
    before = course.infusions[-1]
    return {name: short(getattr(before, name)) for name in ("dose_mg_per_kg", "weight_kg", "ondansetron_mg")}


def _rows_sent() -> int:
    """How many rows for adverse events the form had: as many as it sent grades for."""
    sent = sum(name.startswith("grade_") for name in request.form)
    return min(max(sent, MIN_ROWS), MAX_ROWS)


def _record(subject: Subject, form: InfusionForm, now: datetime) -> None:
    actor, course, facts = access.actor(), _course(subject), form.facts()
    courses.record_infusion(db_session(), actor, course, facts, now=now)
    if form.course_ends.data:
        courses.end_course(db_session(), actor, course, ended_on=facts.given_on, reason=form.end_reason.data, now=now)


def _course(subject: Subject) -> Course:
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
    """The page of one infusion; of the two forms the one that was not sent shows what is recorded."""
    rows = min(max(len(recorded.adverse_events) + 1, MIN_ROWS), MAX_ROWS)
    fresh = with_rows(rows, InfusionCorrectionForm)
    return current.show(
        "staff/infusion_correction.html",
        subject,
        infusion=recorded,
        form=form or fresh(formdata=None, data=as_recorded(recorded)),
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
