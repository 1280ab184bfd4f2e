"""One row of the call list: whom to call, and what came of it."""

from datetime import timedelta

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.visit import Visit
from pro_tracker.services import access as visibility, calls, protocols
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.small_forms import CallForm


@blueprint.get("/calls/<int:call_id>/close")
@access.staff("coordinator")
def call(call_id: int) -> Page:
    open_call = visibility.call(db_session(), access.account(), call_id)
    return _page(open_call, CallForm(open_call.reason))


@blueprint.post("/calls/<int:call_id>/close")
@access.staff("coordinator")
def close_call(call_id: int) -> Page | Response:
    open_call = visibility.call(db_session(), access.account(), call_id)
    form = CallForm(open_call.reason)
    if form.validate() and current.attempt(form, lambda: _close(open_call, form)):
        flash(_("The call is closed.") if open_call.closed_at else _("Noted. The patient stays on the call list."))
        return redirect(url_for("staff.home"), 303)
    return _page(visibility.call(db_session(), access.account(), call_id), form)


def _close(open_call: Call, form: CallForm) -> None:
    calls.close(db_session(), access.actor(), open_call.id, form.outcome.data, now=clock.now())


def _page(open_call: Call, form: CallForm) -> Page:
    visit = db_session().get_one(Visit, open_call.visit_id)
    course = db_session().get_one(Course, visit.course_id)
    subject = current.subject(open_call.subject_id)
    protocol = protocols.protocol(course.protocol_code, course.protocol_version)
    plans = protocol.plans_at(visit.event_code) if open_call.reason == calls.ALERT else ()
    due = [(plan, open_call.opened_at + timedelta(hours=plan.within_hours)) for plan in plans]
    facts = {"call": open_call, "visit": visit, "course": course, "plans": due}
    return current.show("staff/call.html", subject, form=form, **facts)
