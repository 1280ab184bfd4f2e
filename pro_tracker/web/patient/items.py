"""One question a screen: each answer is saved as it is given. Then the review, and sending."""

from flask import jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services import questionnaires, responses
from pro_tracker.services.audit import Actor
from pro_tracker.services.questionnaires import AskedItem
from pro_tracker.services.visit_sheets import VisitSheet
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.entry import next_page
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.get("/visit/item/<int:position>")
@access.patient
def item(position: int) -> Page:
    sheet = current.open_sheet(clock.now())
    return _item_page(sheet, sheet.questionnaire.item(position))


@blueprint.post("/visit/item/<int:position>")
@access.patient
def save_item(position: int) -> Page:
    now = clock.now()
    sheet = current.open_sheet(now)
    questionnaire = sheet.questionnaire
    # The item that the form was made for counts: another device may have changed what stands at this position.
    name = request.form.get("item")
    asked = questionnaire.item(position) if name is None else questionnaire.named(name)
    if asked is None:
        return _go_on(next_page(sheet))
    given = request.form.get("answer")
    put_aside = "skip" in request.form
    if given is None and not put_aside:
        return _item_page(sheet, asked, error=_("Choose an answer, or say that you would rather not answer.")), 422
    answer = {asked.link_id: None if put_aside else asked.value(given or "")}
    responses.save_answers(db_session(), sheet, asked.instrument_code, answer, now=now)
    commit()
    return _go_on(_page_after(sheet.with_answers(asked.instrument_code, answer), asked))


@blueprint.get("/visit/review")
@access.patient
def review() -> Page:
    sheet = current.open_sheet(clock.now())
    if not sheet.answers:
        return redirect(next_page(sheet))
    questionnaire = sheet.questionnaire
    rows = [(asked, questionnaires.answer_to(sheet.answers, asked)) for asked in questionnaire.items]
    n_open = sum(value is None for _i, value in rows)
    return render_template("patient/review.html", language=questionnaire.language, rows=rows, n_open=n_open)


@blueprint.post("/visit/review")
@access.patient
def send() -> Page:
    now = clock.now()
    sheet = current.open_sheet(now)
    responses.complete(db_session(), sheet, actor=Actor("patient", str(sheet.link_id)), now=now)
    commit()
    return _go_on(url_for("patient.sent"))


@blueprint.get("/visit/sent")
@access.patient
def sent() -> Page:
    sheet = current.sheet()
    if sheet.completed_at is None:
        return redirect(url_for("patient.start"))
    return render_template("patient/sent.html", sheet=sheet)


def _item_page(sheet: VisitSheet, asked: AskedItem, *, error: str = "") -> str:
    return render_template(
        "patient/item.html",
        item=asked,
        questionnaire=sheet.questionnaire,
        chosen=questionnaires.answer_to(sheet.answers, asked),
        touched=questionnaires.touched(sheet.answers, asked),
        reviewing="review" in request.args,
        error=error,
    )


def _page_after(sheet: VisitSheet, asked: AskedItem) -> str:
    """The page to go on with after the item; `sheet` has its answer."""
    questionnaire = sheet.questionnaire
    if "review" in request.args:
        # A changed answer may lead an adaptive test to an item that was not asked yet.
        left = questionnaire.still_asked(sheet.answers, asked.instrument_code)
        if left is not None:
            return url_for("patient.item", position=left.position, review="")
    elif asked.position < len(questionnaire.items):
        return url_for("patient.item", position=asked.position + 1)
    return url_for("patient.review")


def _go_on(address: str) -> Response:
    """Redirect a form; tell a script the address instead, since a script cannot see where a redirect leads."""
    if request.headers.get("X-Requested-With") == "fetch":
        return jsonify(next=address)
    return redirect(address, 303)
