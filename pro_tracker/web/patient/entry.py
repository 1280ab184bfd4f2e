"""The way in: link, birth date, fresh link."""

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import links, snoozes
from pro_tracker.services.answering.links import BirthDateCheck
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import access
from pro_tracker.web.answering import Page, next_page_url
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import BirthDateForm
from pro_tracker.web.session import commit, db_session


@blueprint.get("/v/<token>")
@access.patient
def open_link(token: str) -> Response:
    """Changes nothing: mail scanners follow links too. The token leaves the address bar at once."""
    current.remember_link(links.find(db_session(), token))
    return redirect(url_for("patient.start"))


@blueprint.get("/visit")
@access.patient
def start() -> Page:
    now = clock.now()
    context = current.context()
    context.require_open(now)
    if current.is_confirmed(now):
        return redirect(next_page_url(context))
    if context.locked_until is not None and now < context.locked_until:
        return _locked()
    return _start_page(context, BirthDateForm())


@blueprint.post("/visit")
@access.patient
def confirm() -> Page:
    now = clock.now()
    context = current.context()
    context.require_open(now)
    form = BirthDateForm()
    if not form.validate():
        return _start_page(context, form), 422
    outcome = links.check_birth_date(db_session(), context, form.birth_date.data, now=now)
    commit()
    if outcome is BirthDateCheck.LOCKED:
        return _locked()
    if outcome is BirthDateCheck.WRONG:
        form.birth_date.errors = [_("This is not the date of birth we have. Check the day, the month and the year.")]
        return _start_page(context, form), 422
    current.remember_confirmation(now)
    return redirect(url_for("patient.snooze") if "later" in request.form else next_page_url(context), 303)


@blueprint.post("/visit/fresh-link")
@access.patient
def request_fresh_link() -> Response:
    context = current.context()
    links.request_fresh_link(db_session(), context, now=clock.now())
    commit()
    return redirect(url_for("patient.fresh_link_requested"), 303)


@blueprint.get("/visit/fresh-link")
@access.patient
def fresh_link_requested() -> Page:
    """The same words whatever came of it: they must not tell whether a contact is on file."""
    current.context()
    return render_template("patient/fresh_link_requested.html")


def _start_page(context: VisitContext, form: BirthDateForm) -> str:
    now = clock.now()
    return render_template(
        "patient/start.html",
        form=form,
        context=context,
        questionnaire=context.questionnaire,
        later=bool(snoozes.choices(db_session(), context, now=now)),
        in_grace=now >= context.closes_at,
    )


def _locked() -> tuple[str, int]:
    return render_template("patient/locked.html", minutes=int(links.LOCKED_FOR.total_seconds() // 60)), 403
