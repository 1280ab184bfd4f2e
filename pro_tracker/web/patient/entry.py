"""Entry to the patient pages: opening the link, confirming the birth date, requesting a fresh link."""

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
    """Stores the link in the cookie and redirects, so that the token does not stay in the address bar.

    Changes no data, since mail scanners follow links too.
    """
    current.remember_link(links.find(db_session(), token))
    return redirect(url_for("patient.start"))


@blueprint.get("/visit")
@access.patient
def start() -> Page:
    now = clock.now()
    visit = current.visit()
    visit.require_open(now)
    if current.is_confirmed(now):
        return redirect(next_page_url(visit))
    if visit.locked_until is not None and now < visit.locked_until:
        return _locked()
    return _start_page(visit, BirthDateForm())


@blueprint.post("/visit")
@access.patient
def confirm() -> Page:
    now = clock.now()
    visit = current.visit()
    visit.require_open(now)
    form = BirthDateForm()
    if not form.validate():
        return _start_page(visit, form), 422
    outcome = links.check_birth_date(db_session(), visit, form.birth_date.data, now=now)
    commit()
    if outcome is BirthDateCheck.LOCKED:
        return _locked()
    if outcome is BirthDateCheck.WRONG:
        form.birth_date.errors = [_("This is not the date of birth we have. Check the day, the month and the year.")]
        return _start_page(visit, form), 422
    current.remember_confirmation(now)
    return redirect(url_for("patient.snooze") if "later" in request.form else next_page_url(visit), 303)


@blueprint.post("/visit/fresh-link")
@access.patient
def request_fresh_link() -> Response:
    visit = current.visit()
    links.request_fresh_link(db_session(), visit, now=clock.now())
    commit()
    return redirect(url_for("patient.fresh_link_requested"), 303)


@blueprint.get("/visit/fresh-link")
@access.patient
def fresh_link_requested() -> Page:
    """Shows the same text for every outcome, so that it does not disclose whether a contact is on file."""
    current.visit()
    return render_template("patient/fresh_link_requested.html")


def _start_page(visit: VisitContext, form: BirthDateForm) -> str:
    now = clock.now()
    return render_template(
        "patient/start.html",
        form=form,
        visit=visit,
        questionnaire=visit.questionnaire,
        later=bool(snoozes.choices(db_session(), visit, now=now)),
        in_grace=now >= visit.closes_at,
    )


def _locked() -> tuple[str, int]:
    return render_template("patient/locked.html", minutes=int(links.LOCKED_FOR.total_seconds() // 60)), 403
