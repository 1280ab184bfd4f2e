"""One page for a subject's current course: its plan, its end, dates set by hand, and the start of the next one."""

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

PLAN, END, REOPEN, DATE, NEW = "plan", "end", "reopen", "date", "new"  # prefixes: several forms stand on one page


@blueprint.get("/subjects/<uuid:subject_id>/course")
@access.staff(Role.COORDINATOR)
def course(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/course/plan")
@access.staff(Role.COORDINATOR)
def change_plan(subject_id: uuid.UUID) -> Page | Response:
    form = PlanForm(prefix=PLAN)
    return _save(
        subject_id, PLAN, form, _("The plan is changed."), lambda subject, now: _change_plan(subject, form, now)
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/end")
@access.staff(Role.COORDINATOR)
def end_course(subject_id: uuid.UUID) -> Page | Response:
    form = CourseEndForm(prefix=END)
    return _save(subject_id, END, form, _("The course has ended."), lambda subject, now: _end(subject, form, now))


@blueprint.post("/subjects/<uuid:subject_id>/course/new")
@access.staff(Role.COORDINATOR)
def start_course(subject_id: uuid.UUID) -> Page | Response:
    form = PlanForm(prefix=NEW)
    return _save(
        subject_id, NEW, form, _("The new course is started."), lambda subject, now: _start(subject, form, now)
    )


@blueprint.post("/subjects/<uuid:subject_id>/course/reopen")
@access.staff(Role.COORDINATOR)
def reopen_course(subject_id: uuid.UUID) -> Page | Response:
    form = RevertReasonForm(prefix=REOPEN)
    success_message = _("The course is open again.")
    return _save(subject_id, REOPEN, form, success_message, lambda subject, now: _reopen(subject, form, now))


@blueprint.post("/subjects/<uuid:subject_id>/course/date")
@access.staff(Role.COORDINATOR)
def set_date(subject_id: uuid.UUID) -> Page | Response:
    form = _date_form(_newest(subject_id))
    return _save(subject_id, DATE, form, _("The date is set."), lambda subject, now: _set_date(subject, form, now))


def _save(
    subject_id: uuid.UUID, which: str, form: Any, success_message: str, action: Callable[[Subject, datetime], None]
) -> Page | Response:
    """Do what a form asks for once its difference was seen, or show the form again with what is wrong."""
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: action(subject, now),
        success_message=success_message,
        show_form=lambda: _page(subject_id, **{which: form}),
    )


def _change_plan(subject: Subject, form: PlanForm, now: datetime) -> None:
    subject_lock.lock(db_session(), subject)
    course = _current(subject)
    db_session().refresh(course)
    requested = _planned(form.planned_start_on.data, form.planned_infusions.data)
    edit_conflicts.reject_stale(form, _planned(course.planned_start_on, course.planned_infusions), requested)
    course_plans.change_plan(
        db_session(),
        access.actor(),
        course,
        planned_start_on=form.planned_start_on.data,
        planned_infusions=form.planned_infusions.data,
        now=now,
    )


def _planned(start_on: date | None, number: int) -> edit_conflicts.RecordedValues:
    return {_("first infusion planned for"): day(start_on), _("planned infusions"): str(number)}


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
    protocol = replace(protocol_catalog.default_protocol(), planned_infusions=form.planned_infusions.data)
    course_plans.start_next(
        db_session(), access.actor(), subject, protocol, planned_start_on=form.planned_start_on.data, now=now
    )


def _reopen(subject: Subject, form: RevertReasonForm, now: datetime) -> None:
    courses.reopen_course(db_session(), access.actor(), _current(subject), reason=form.reason.data, now=now)


def _set_date(subject: Subject, form: AnchorDateForm, now: datetime) -> None:
    chosen = AnchorDateFacts(form.event_code.data, form.anchor_on.data, form.reason.data)
    anchor_dates.set_date(db_session(), access.actor(), _current(subject), chosen, now=now)


def _current(subject: Subject) -> Course:
    found = courses.current_course(db_session(), subject)
    if found is None:
        raise InvalidInput(_("This patient has no course yet. Start one first."))
    return found


def _newest(subject_id: uuid.UUID) -> Course | None:
    listed = subject_records.courses_of(db_session(), subject_id)
    return listed[-1] if listed else None


def _date_form(course: Course | None, **options: Any) -> AnchorDateForm:
    """The events of this course whose date staff set; there may be none."""
    events = anchor_dates.staff_entered_events(course) if course else ()
    return AnchorDateForm([(event.code, event.title) for event in events], prefix=DATE, **options)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """The page; `failed` holds the form that was sent, the others are fresh."""
    subject = current.subject(subject_id)
    newest = _newest(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    planned = newest.planned_infusions if newest else protocol_catalog.default_protocol().planned_infusions
    plan = {"planned_start_on": newest.planned_start_on if newest else None, "planned_infusions": planned}
    forms = {
        PLAN: PlanForm(formdata=None, prefix=PLAN, data=plan),
        END: CourseEndForm(formdata=None, prefix=END, data={"ended_on": today}),
        REOPEN: RevertReasonForm(formdata=None, prefix=REOPEN),
        DATE: _date_form(newest, formdata=None),
        NEW: PlanForm(formdata=None, prefix=NEW, data={"planned_infusions": planned}),
        **failed,
    }
    if newest and PLAN not in failed:
        edit_conflicts.remember(forms[PLAN], _planned(newest.planned_start_on, planned))
    dates = anchor_dates.for_course(db_session(), newest) if newest else {}
    return current.show("staff/course.html", subject, course=newest, dates=dates, **forms)
