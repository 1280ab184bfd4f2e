"""The call list, and the page of one call with its earlier attempts and the form to record a new one."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.protocol import Protocol, ResponsePlan
from pro_tracker.models.account import Account
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering import progress
from pro_tracker.services.calling import alerts, call_attempts, call_list
from pro_tracker.services.calling.alerts import ShownAlert
from pro_tracker.services.calling.call_list import CallListFilters
from pro_tracker.services.clinic import person, visibility
from pro_tracker.services.enrolment import endings as recorded_endings
from pro_tracker.services.enrolment.endings import CallEnding
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, endings, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.call_form import CallForm


@blueprint.get("/calls")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def call_list_page() -> str:
    now = clock.now()
    account = access.account()
    found = call_list.page(db_session(), account, _filters(), now=now)
    shown = {row.Subject.id for row in found.rows}
    audit.record(db_session(), access.actor(), "calls.list", now=now, detail={"subjects": len(shown)})
    commit()
    return render_template("staff/calls.html", found=found, sites=visibility.sites_of(account), now=now)


@blueprint.get("/calls/<int:call_id>")
@access.staff(Role.COORDINATOR)
def call(call_id: int) -> Page:
    return _page(visibility.find_call(db_session(), access.account(), call_id))


@blueprint.post("/calls/<int:call_id>")
@access.staff(Role.COORDINATOR)
def record_call(call_id: int) -> Page | Response:
    recorded = visibility.find_call(db_session(), access.account(), call_id)
    form = CallForm(recorded.reason)
    if form.validate() and endings.is_needed(form.outcome.data):
        return _record_with_ending(recorded, form)
    if not (form.validate() and current.submit(form, lambda: _record(recorded, form))):
        # A refused attempt was rolled back, so the call is read again.
        recorded = visibility.find_call(db_session(), access.account(), call_id)
        return _page(recorded, form)
    if recorded.closed_at:
        flash(_("The call is closed."))
    else:
        flash(_("Noted. The patient stays on the call list."))
    return redirect(url_for("staff.call_list_page"), 303)


@blueprint.post("/calls/<int:call_id>/claim")
@access.staff(Role.COORDINATOR)
def claim_call(call_id: int) -> Response:
    """Shows other staff that the account is calling now, unless another account already is."""
    claimed = visibility.find_call(db_session(), access.account(), call_id)
    if call_attempts.claim(db_session(), access.actor(), claimed.id, now=clock.now()):
        commit()
    else:
        flash(_("Someone else is calling this patient just now."), "error")
    return redirect(url_for("staff.call", call_id=call_id), 303)


def _filters() -> CallListFilters:
    arguments = request.args
    return CallListFilters(
        arguments.get("site", ""),
        "mine" in arguments,
        "later" in arguments,
        arguments.get("page", 1, type=int),
    )


def _record(recorded: Call, form: CallForm) -> None:
    call_attempts.record(
        db_session(),
        access.actor(),
        recorded.id,
        form.facts(),
        now=clock.now(),
    )


def _record_with_ending(recorded: Call, form: CallForm) -> Page | Response:
    """Asks what else ends, shows the effects, and saves the attempt together with the ending."""
    call_id, outcome = recorded.id, form.outcome.data
    subject = current.subject(person.kept(db_session(), recorded.subject_id).id)
    subject_id = subject.id
    ending = endings.form_of(outcome)
    back = url_for("staff.call", call_id=call_id)

    def show_ending() -> Page:
        return endings.page(subject_id, ending, first=form, code=outcome, back=back)

    def save(now: datetime) -> None:
        call = CallEnding(call_id, form.facts(), ending.facts())
        recorded_endings.record_call(db_session(), access.actor(), call, now=now)

    if not endings.was_asked():
        return show_ending()
    message = endings.success_message(ending)
    return preview.save(subject, ending, save, success_message=message, show_form=show_ending)


def _page(shown: Call, form: CallForm | None = None) -> Page:
    session = db_session()
    visit = session.get_one(Visit, shown.visit_id)
    course = session.get_one(Course, visit.course_id)
    subject = current.subject(person.kept(session, shown.subject_id).id)
    protocol = protocol_catalog.bound_to(visit)
    attempts = call_list.attempts(session, [shown.id])[shown.id]
    entries = _alerts(shown)
    if form is None:
        form = CallForm(shown.reason, best_time=subject.best_call_time or "")
    # The number of this attempt: the service rejects it if another account records one in the meantime.
    form.number.data = form.number.data or str(len(attempts) + 1)
    return current.show(
        "staff/call.html",
        subject,
        form=form,
        call=shown,
        visit=visit,
        course=course,
        alerts=entries,
        plans=_response_plans(shown, entries, protocol, visit),
        attempts=attempts,
        done=progress.of_visits(session, [visit.id]).get(visit.id),
        caller=session.get(Account, shown.caller_id) if shown.caller_id else None,
        mine=not call_attempts.is_claimed_by_other(shown, access.account().id, clock.now()),
        rule=protocol.calls,
    )


def _alerts(shown: Call) -> Sequence[ShownAlert]:
    """Returns the alerts that a call is about; [] for other calls, and for alerts of earlier releases."""
    if shown.reason != CallReason.ALERT:
        return []
    return alerts.of_visits(db_session(), [shown.visit_id])[shown.visit_id]


def _response_plans(
    shown: Call, entries: Sequence[ShownAlert], protocol: Protocol, visit: Visit
) -> list[tuple[ResponsePlan, datetime]]:
    """Returns the response plans of a call about alerts, each with the time by which staff act; [] for others."""
    if shown.reason != CallReason.ALERT:
        return []
    opened = _opened_by_instrument(shown, entries)
    rows = []
    for code in protocol.asked_at(visit.event_code):
        plan = protocol.response_plans.get(code)
        since = opened.get(code) if opened else shown.opened_at
        if plan is not None and since is not None:
            rows.append((plan, since + timedelta(hours=plan.within_hours)))
    return rows


def _opened_by_instrument(shown: Call, entries: Sequence[ShownAlert]) -> dict[str, datetime]:
    """Returns instrument code -> its first alert since the call was opened."""
    opened: dict[str, datetime] = {}
    for entry in entries:
        if entry.opened_at >= shown.opened_at:
            opened.setdefault(entry.instrument_code, entry.opened_at)
    return opened
