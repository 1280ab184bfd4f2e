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
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import subject_records
from pro_tracker.services.treatment import anchor_dates, course_plans, courses
from pro_tracker.services.treatment.anchor_dates import AnchorDateFacts
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import CourseEndFacts, CourseStartFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview, protocol_moves
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.course_forms import AnchorDateForm, CourseEndForm, PlanForm, RevertReasonForm
from pro_tracker.web.staff.protocol_moves import MOVE

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


@blueprint.post("/subjects/<uuid:subject_id>/course/move")
@access.staff(Role.COORDINATOR)
def move_course(subject_id: uuid.UUID) -> Page | Response:
    """Moves the course to another protocol, or to another version of its own."""
    form = protocol_moves.bound_form(_newest(subject_id))
    return _save(
        subject_id,
        form,
        lambda subject, now: protocol_moves.move(subject, form, now),
        which=MOVE,
        success_message=_("The course follows another protocol version now."),
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
    requested = _plan_values(form.planned_start_on.data, form.planned_infusions.data)
    recorded = _plan_values(course.planned_start_on, course.planned_infusions)
    edit_conflicts.reject_stale(form, recorded, requested, _changer(subject, "course.plan"))
    plan = CoursePlanFacts(form.planned_start_on.data, form.planned_infusions.data)
    course_plans.change_plan(session, access.actor(), course, plan, now=now)


def _changer(subject: Subject, *actions: str) -> Changer:
    return Changer(subject.id, subject.time_zone, actions)


def _plan_values(start_on: date | None, infusions: int) -> edit_conflicts.RecordedValues:
    return {
        _("first infusion planned for"): day(start_on),
        _("planned infusions"): str(infusions),
    }


def _end(subject: Subject, form: CourseEndForm, now: datetime) -> None:
    """Ends the course. One that another user ended in the meantime, as the form now says, is opened again first."""
    session = db_session()
    subject_lock.lock(session, subject)
    course = _current(subject)
    requested = _end_values(form.ended_on.data, form.reason.data)
    recorded = _end_values(course.ended_on, course.end_reason)
    changer = _changer(subject, "course.end", "course.reopen", "course.start")
    edit_conflicts.reject_stale(form, recorded, requested, changer)
    if course.ended_on is not None and form.as_shown.data and requested != recorded:
        courses.reopen_course(session, access.actor(), course, reason=form.reason.data, now=now)
    entered = CourseEndFacts(form.ended_on.data, form.reason.data)
    courses.end_course(session, access.actor(), course, entered, now=now)


def _end_values(ended_on: date | None, reason: str | None) -> edit_conflicts.RecordedValues:
    return {
        _("last day"): day(ended_on),
        _("reason"): reason or "–",
    }


def _start(subject: Subject, form: PlanForm, now: datetime) -> None:
    followed = _protocol_of_next(subject)
    protocol = replace(followed, planned_infusions=form.planned_infusions.data)
    entered = CourseStartFacts(protocol, form.planned_start_on.data)
    course_plans.start_next(db_session(), access.actor(), subject, entered, now=now)


def _protocol_of_next(subject: Subject) -> Protocol:
    """Returns the protocol that a new course follows. Raises InvalidInput where staff have to choose one first."""
    return course_plans.protocol_of_next(db_session(), subject)


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
    session = db_session()
    subject_lock.lock(session, subject)
    course = _current(subject)
    recorded = _date_values(course)
    event = next(each for each in anchor_dates.staff_entered_events(course) if each.code == entered.event_code)
    requested = {**recorded, event.title: day(entered.anchor_on)}
    edit_conflicts.reject_stale(form, recorded, requested, _changer(subject, "course.set-date"))
    anchor_dates.set_date(session, access.actor(), course, entered, now=now)


def _date_values(course: Course) -> edit_conflicts.RecordedValues:
    """Returns the title of each event with a staff-entered date -> that date."""
    dates = anchor_dates.for_course(db_session(), course)
    events = anchor_dates.staff_entered_events(course)
    return {event.title: day(dates[event.code].anchor_on if event.code in dates else None) for event in events}


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
        END: _fresh_end_form(newest, today),
        REOPEN: RevertReasonForm(formdata=None, prefix=REOPEN),
        DATE: _fresh_date_form(newest),
        MOVE: protocol_moves.fresh_form(newest),
        NEW: _fresh_new_form(subject, newest),
        **failed,
    }
    dates = anchor_dates.for_course(db_session(), newest) if newest else {}
    return current.show(
        "staff/course.html",
        subject,
        course=newest,
        dates=dates,
        protocol=protocol_catalog.bound_to(newest) if newest else None,
        next_protocol=_next_protocol(subject),
        **forms,
    )


def _fresh_plan_form(course: Course | None) -> PlanForm:
    start_on = course.planned_start_on if course else None
    infusions = course.planned_infusions if course else None
    values = {"planned_start_on": start_on, "planned_infusions": infusions}
    form = PlanForm(formdata=None, prefix=PLAN, data=values)
    if course:
        edit_conflicts.remember(form, _plan_values(start_on, course.planned_infusions))
    return form


def _fresh_end_form(course: Course | None, today: date) -> CourseEndForm:
    form = CourseEndForm(formdata=None, prefix=END, data={"ended_on": today})
    if course:
        edit_conflicts.remember(form, _end_values(course.ended_on, course.end_reason))
    return form


def _fresh_date_form(course: Course | None) -> AnchorDateForm:
    form = _date_form(course, formdata=None)
    if course:
        edit_conflicts.remember(form, _date_values(course))
    return form


def _fresh_new_form(subject: Subject, newest: Course | None) -> PlanForm:
    """Returns the form of the next course, with as many infusions as the newest, or as the protocol plans."""
    planned = newest.planned_infusions if newest else None
    if newest is None and (protocol := _next_protocol(subject)):
        planned = protocol.planned_infusions
    return PlanForm(formdata=None, prefix=NEW, data={"planned_infusions": planned})


def _next_protocol(subject: Subject) -> Protocol | None:
    """Returns the protocol that a new course follows; None where staff have to choose one first."""
    try:
        return _protocol_of_next(subject)
    except InvalidInput:
        return None
