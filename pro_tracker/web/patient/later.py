"""Not today: the patient chooses when we come back. Behind the birth date, where no program that follows links gets."""

from datetime import date, datetime

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import snoozes
from pro_tracker.services.answering.visit_context import VisitSheet
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import LaterForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.get("/visit/later")
@access.patient
def later() -> Page:
    now = clock.now()
    sheet = _open_sheet(now)
    form = _form(sheet, now)
    return _page(sheet, form) if form.until_on.choices else redirect(url_for("patient.start"))


@blueprint.post("/visit/later")
@access.patient
def choose_day() -> Page:
    now = clock.now()
    sheet = _open_sheet(now)
    form = _form(sheet, now)
    if not form.validate():
        return (_page(sheet, form), 422) if form.until_on.choices else redirect(url_for("patient.start"))
    snoozes.snooze(db_session(), sheet, date.fromisoformat(form.until_on.data), now=now)
    commit()
    return redirect(url_for("patient.until_later"), 303)


@blueprint.get("/visit/until-later")
@access.patient
def until_later() -> Page:
    sheet = current.confirmed_sheet(clock.now())
    until_on = snoozes.coming_back_on(db_session(), sheet)
    if until_on is None:
        return redirect(url_for("patient.start"))
    return render_template("patient/until_later.html", sheet=sheet, until_on=until_on)


def _open_sheet(now: datetime) -> VisitSheet:
    sheet = current.confirmed_sheet(now)
    sheet.require_open(now)
    return sheet


def _form(sheet: VisitSheet, now: datetime) -> LaterForm:
    form = LaterForm()
    form.offer(snoozes.choices(db_session(), sheet, now=now), snoozes.coming_back_on(db_session(), sheet))
    return form


def _page(sheet: VisitSheet, form: LaterForm) -> str:
    return render_template("patient/later.html", form=form, sheet=sheet)
