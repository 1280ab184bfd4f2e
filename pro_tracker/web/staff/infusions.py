"""Recording an infusion, with its adverse events and the end of the course where it ends."""

import uuid
from decimal import Decimal

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import courses
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.infusion_form import FEWEST_ROWS, MOST_ROWS, InfusionForm, with_rows


@blueprint.get("/subjects/<uuid:subject_id>/infusions/new")
@access.staff("coordinator")
def new_infusion(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    return _page(
        subject, with_rows(FEWEST_ROWS)(data={"given_on": today, "status": "completed", **_as_before(subject)})
    )


@blueprint.post("/subjects/<uuid:subject_id>/infusions/new")
@access.staff("coordinator")
def record_infusion(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    if "more" in request.form:
        return _page(subject, with_rows(min(_rows_sent() + 1, MOST_ROWS))())
    form = with_rows(_rows_sent())()
    if form.validate() and current.attempt(form, lambda: _record(subject, form)):
        flash(_("The infusion is recorded."))
        return redirect(url_for("staff.subject", subject_id=subject_id), 303)
    return _page(current.subject(subject_id), form)


def _as_before(subject: Subject) -> dict[str, object]:
    """What the infusion before was given with: five days in a row hardly differ, and the page asks to check it."""
    course = courses.current_course(db_session(), subject)
    if course is None or not course.infusions:
        return {}
    before = course.infusions[-1]
    given = {name: getattr(before, name) for name in ("dose_mg_per_kg", "weight_kg", "ondansetron_mg")}
    return {name: value if value is None else _short(value) for name, value in given.items()}


def _short(value: Decimal) -> Decimal:
    """Without the zeros that the column's scale adds: 0.5, not 0.500."""
    return Decimal(f"{value.normalize():f}")


def _rows_sent() -> int:
    """How many rows for adverse events the form had: as many as it sent grades for."""
    sent = sum(name.startswith("grade_") for name in request.form)
    return min(max(sent, FEWEST_ROWS), MOST_ROWS)


def _record(subject: Subject, form: InfusionForm) -> None:
    now, actor = clock.now(), access.actor()
    course = _course(subject)
    facts = form.facts()
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
