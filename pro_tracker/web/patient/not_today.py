"""Unconfirmed snooze ("not today"): two taps from a message, without the birth date. snoozing.py asks for the day.

Mail scanners follow links and send forms as they find them: only a POST with a reason changes anything, and no reason
is chosen beforehand.
"""

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.services.answering import quick_snoozes, snoozes
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import access
from pro_tracker.web.patient import current, entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import SNOOZE_REASONS, NotTodayForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.get("/v/<token>/later")
@access.patient
def open_not_today(token: str) -> Response:
    """Stores the link in the cookie of its visit and redirects, as `open_link` does. Changes no data."""
    return entry.remember_link(token, "patient.not_today")


@blueprint.get("/visit/<visit>/not-today")
@access.patient
def not_today() -> Page:
    """Shows the reasons to tap; after a tap, when we write again; or why nothing can move."""
    return _page(_open_visit(), NotTodayForm())


@blueprint.post("/visit/<visit>/not-today")
@access.patient
def postpone() -> Page:
    visit = _open_visit()
    form = NotTodayForm()
    if not form.validate():
        return _page(visit, form), 422
    quick_snoozes.snooze(db_session(), visit, SnoozeReason(form.reason.data), now=clock.now())
    commit()
    return redirect(url_for("patient.not_today"), 303)


@blueprint.post("/visit/<visit>/not-today/undo")
@access.patient
def undo_not_today() -> Response:
    visit = _open_visit()
    quick_snoozes.undo(db_session(), visit, now=clock.now())
    commit()
    return redirect(url_for("patient.not_today"), 303)


def _open_visit() -> VisitContext:
    """Returns the visit of the link, confirmed or not. Raises what `require_open` raises."""
    now = clock.now()
    visit = current.visit(now)
    visit.require_open(now)
    return visit


def _page(visit: VisitContext, form: NotTodayForm) -> str:
    now = clock.now()
    found = quick_snoozes.postponement(db_session(), visit, now=now)
    # Another day can be chosen after the birth date, also where this link can move nothing.
    choices = snoozes.choices(db_session(), visit, now=now)
    return render_template(
        "patient/not_today.html",
        visit=visit,
        form=form,
        reasons=SNOOZE_REASONS.items(),
        postponement=found,
        can_choose_day=bool(choices),
    )
