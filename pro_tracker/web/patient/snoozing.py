"""Snooze ("not today"): the patient postpones the visit. Requires the birth date, which mail scanners do not have."""

from datetime import date, datetime

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import snoozes
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import SnoozeForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.get("/visit/<visit>/snooze")
@access.patient
def snooze() -> Page:
    now = clock.now()
    visit = _open_visit(now)
    form = _form(visit, now)
    return _page(visit, form) if form.until_on.choices else redirect(url_for("patient.start"))


@blueprint.post("/visit/<visit>/snooze")
@access.patient
def choose_day() -> Page:
    now = clock.now()
    visit = _open_visit(now)
    form = _form(visit, now)
    if not form.validate():
        return (_page(visit, form), 422) if form.until_on.choices else redirect(url_for("patient.start"))
    snoozes.snooze(db_session(), visit, date.fromisoformat(form.until_on.data), now=now)
    commit()
    return redirect(url_for("patient.snoozed"), 303)


@blueprint.get("/visit/<visit>/snoozed")
@access.patient
def snoozed() -> Page:
    visit = current.confirmed_visit(clock.now())
    until_on = snoozes.snoozed_until(db_session(), visit)
    if until_on is None:
        return redirect(url_for("patient.start"))
    return render_template("patient/snoozed.html", visit=visit, until_on=until_on)


def _open_visit(now: datetime) -> VisitContext:
    visit = current.confirmed_visit(now)
    visit.require_open(now)
    return visit


def _form(visit: VisitContext, now: datetime) -> SnoozeForm:
    form = SnoozeForm()
    form.offer(snoozes.choices(db_session(), visit, now=now), snoozes.snoozed_until(db_session(), visit))
    return form


def _page(visit: VisitContext, form: SnoozeForm) -> str:
    return render_template("patient/snooze.html", form=form, visit=visit)
