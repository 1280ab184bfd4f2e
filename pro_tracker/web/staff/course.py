"""The page of a subject's current course: plan, end, staff-entered anchor dates, and the start of the next course."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import subject_records
from pro_tracker.services.treatment import anchor_dates, course_plans, courses
from pro_tracker.services.treatment.anchor_dates import AnchorDateFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.course_forms import AnchorDateForm, CourseEndForm, PlanForm, RevertReasonForm

# Prefixes of field names, since the page has several forms; also the names of the forms in the template.
PLAN, END, REOPEN, DATE, NEW = "plan", "end", "reopen", "date", "new"


@blueprint.get("/subjects/<uuid:subject_id>/course")
@access.staff(Role.COORDINATOR)
def course(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/course/plan")
@access.staff(Role.COORDINATOR)
def change_plan(subject_id: uuid.UUID) -> Page | Response:
    form = PlanForm(prefix=PLAN)
    return _save(
        subject_id,
        form,
        lambda subject, now: _change_plan(subject, form, now),
        which=PLAN,
        success_message=_("The plan is changed."),
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/end")
@access.staff(Role.COORDINATOR)
def end_course(subject_id: uuid.UUID) -> Page | Response:
    form = CourseEndForm(prefix=END)
    return _save(
        subject_id,
        form,
        lambda subject, now: _end(subject, form, now),
        which=END,
        success_message=_("The course has ended."),
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/new")
@access.staff(Role.COORDINATOR)
def start_course(subject_id: uuid.UUID) -> Page | Response:
    form = PlanForm(prefix=NEW)
    return _save(
        subject_id,
        form,
        lambda subject, now: _start(subject, form, now),
        which=NEW,
        success_message=_("The new course is started."),
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/reopen")
@access.staff(Role.COORDINATOR)
def reopen_course(subject_id: uuid.UUID) -> Page | Response:
    form = RevertReasonForm(prefix=REOPEN)
    return _save(
        subject_id,
        form,
        lambda subject, now: _reopen(subject, form, now),
        which=REOPEN,
        success_message=_("The course is open again."),
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/date")
@access.staff(Role.COORDINATOR)
def set_date(subject_id: uuid.UUID) -> Page | Response:
    """Sets or removes the staff-entered anchor date of one study event."""
    newest = _newest(subject_id)
    form = _date_form(newest)
    return _save(
        subject_id,
        form,
        lambda subject, now: _set_date(subject, form, now),
        which=DATE,
        success_message=_("The date is set."),
    )


def _save(
    subject_id: uuid.UUID,
    form: Any,
    action: Callable[[Subject, datetime], None],
    *,
    which: str,
    success_message: str,
) -> Page | Response:
    """Saves by `preview.save`: `action` runs after its effects were shown; `which` is the form's name on the page."""
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: action(subject, now),
        success_message=success_message,
        show_form=lambda: _page(subject_id, **{which: form}),
    )


def _change_plan(subject: Subject, form: PlanForm, now: datetime) -> None:
    session = db_session()
    # The lock comes before the read, so that the plan compared is the one that the change replaces.
    subject_lock.lock(session, subject)
    course = _current(subject)
    session.refresh(course)
    requested = _plan_values(form.planned_start_on.data, form.planned_infusions.data)
    recorded = _plan_values(course.planned_start_on, course.planned_infusions)
    edit_conflicts.reject_stale(form, recorded, requested)
    course_plans.change_plan(
        session,
        access.actor(),
        course,
        planned_start_on=form.planned_start_on.data,
        planned_infusions=form.planned_infusions.data,
        now=now,
    )


def _plan_values(start_on: date | None, infusions: int) -> edit_conflicts.RecordedValues:
    return {
        _("first infusion planned for"): day(start_on),
        _("planned infusions"): str(infusions),
    }


def _end(subject: Subject, form: CourseEndForm, now: datetime) -> None:
    courses.end_course(
        db_session(),
        access.actor(),
        _current(subject),
        ended_on=form.ended_on.data,
        reason=form.reason.data,
        now=now,
    )


def _start(subject: Subject, form: PlanForm, now: datetime) -> None:
    default = protocol_catalog.default_protocol()
    protocol = replace(default, planned_infusions=form.planned_infusions.data)
    course_plans.start_next(
        db_session(),
        access.actor(),
        subject,
        protocol,
        planned_start_on=form.planned_start_on.data,
        now=now,
    )


def _reopen(subject: Subject, form: RevertReasonForm, now: datetime) -> None:
    courses.reopen_course(
        db_session(),
        access.actor(),
        _current(subject),
        reason=form.reason.data,
        now=now,
    )


def _set_date(subject: Subject, form: AnchorDateForm, now: datetime) -> None:
    entered = AnchorDateFacts(
        form.event_code.data,
        form.anchor_on.data,
        form.reason.data,
    )
    anchor_dates.set_date(
        db_session(),
        access.actor(),
        _current(subject),
        entered,
        now=now,
    )


def _current(subject: Subject) -> Course:
    """Returns the subject's current course. Raises InvalidInput if there is none."""
    found = courses.current_course(db_session(), subject)
    if found is None:
        raise InvalidInput(_("This patient has no course yet. Start one first."))
    return found


def _newest(subject_id: uuid.UUID) -> Course | None:
    listed = subject_records.courses_of(db_session(), subject_id)
    return listed[-1] if listed else None


def _date_form(course: Course | None, **options: Any) -> AnchorDateForm:
    """Returns the form for the events of the course whose anchor date staff enter; there may be none."""
    events = anchor_dates.staff_entered_events(course) if course else ()
    choices = [(event.code, event.title) for event in events]
    return AnchorDateForm(choices, prefix=DATE, **options)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """Returns the page; `failed` holds the form that was sent, by name. The other forms show recorded values."""
    subject = current.subject(subject_id)
    newest = _newest(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    forms = {
        PLAN: _fresh_plan_form(newest),
        END: CourseEndForm(formdata=None, prefix=END, data={"ended_on": today}),
        REOPEN: RevertReasonForm(formdata=None, prefix=REOPEN),
        DATE: _date_form(newest, formdata=None),
        NEW: PlanForm(formdata=None, prefix=NEW, data={"planned_infusions": _planned_infusions(newest)}),
        **failed,
    }
    dates = anchor_dates.for_course(db_session(), newest) if newest else {}
    return current.show(
        "staff/course.html",
        subject,
        course=newest,
        dates=dates,
        **forms,
    )


def _fresh_plan_form(course: Course | None) -> PlanForm:
    start_on = course.planned_start_on if course else None
    infusions = _planned_infusions(course)
    values = {"planned_start_on": start_on, "planned_infusions": infusions}
    form = PlanForm(formdata=None, prefix=PLAN, data=values)
    if course:
        edit_conflicts.remember(form, _plan_values(start_on, infusions))
    return form


def _planned_infusions(course: Course | None) -> int:
    """Returns the planned number of the course, or that of the default protocol."""
    if course:
        return course.planned_infusions
    return protocol_catalog.default_protocol().planned_infusions
