"""Answering a visit one question a screen: what the patient's own pages and a telephone interview share.

The views of both have the same names (item, review, sent), so addresses here are relative to whichever is served.
"""

from flask import jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.answering.questionnaires import AskedItem
from pro_tracker.services.answering.visit_context import VisitSheet

Page = str | tuple[str, int] | Response
Answer = dict[str, int | None]


def posted_item(sheet: VisitSheet, position: int) -> AskedItem | None:
    """The item that the posted form was made for: another device may have changed what stands at this position."""
    name = request.form.get("item")
    return sheet.questionnaire.item(position) if name is None else sheet.questionnaire.named(name)


def posted_answer(asked: AskedItem) -> Answer | None:
    """What was chosen for the item, as it is saved; None when nothing was. Raises AnswerOutOfRange."""
    if "skip" in request.form:
        return {asked.link_id: None}
    given = request.form.get("answer")
    return None if given is None else {asked.link_id: asked.value(given)}


def item_page(sheet: VisitSheet, asked: AskedItem) -> str:
    """The page of one item, with the answer it has."""
    return _item_page(sheet, asked)


def nothing_chosen(sheet: VisitSheet, asked: AskedItem) -> Page:
    """The page of an item whose form came back without an answer."""
    return _item_page(sheet, asked, error=_("Choose an answer, or say that you would rather not answer.")), 422


def review_page(sheet: VisitSheet) -> Page:
    """All answers, to be checked before they are sent; the first question while there is none."""
    if not sheet.answers:
        return redirect(next_page(sheet))
    questionnaire = sheet.questionnaire
    rows = [(asked, questionnaires.answer_to(sheet.answers, asked)) for asked in questionnaire.items]
    n_open = sum(value is None for _i, value in rows)
    return render_template(
        "patient/review.html", language=questionnaire.language, rows=rows, n_open=n_open, can_wait=_can_wait(sheet)
    )


def next_page(sheet: VisitSheet) -> str:
    """Where the person goes on: the first item left open, or the review."""
    left = sheet.questionnaire.first_open(sheet.answers)
    return url_for(".review") if left is None else url_for(".item", position=left.position)


def page_after(sheet: VisitSheet, asked: AskedItem) -> str:
    """The page to go on with after the item; `sheet` has its answer."""
    questionnaire = sheet.questionnaire
    if "review" in request.args:
        # A changed answer may lead an adaptive test to an item that was not asked yet.
        left = questionnaire.still_asked(sheet.answers, asked.instrument_code)
        if left is not None:
            return url_for(".item", position=left.position, review="")
    elif asked.position < len(questionnaire.items):
        return url_for(".item", position=asked.position + 1)
    return url_for(".review")


def go_on(address: str) -> Response:
    """Redirect a form; tell a script the address instead, since a script cannot see where a redirect leads."""
    if request.headers.get("X-Requested-With") == "fetch":
        return jsonify(next=address)
    return redirect(address, 303)


def _item_page(sheet: VisitSheet, asked: AskedItem, *, error: str = "") -> str:
    return render_template(
        "patient/item.html",
        item=asked,
        questionnaire=sheet.questionnaire,
        chosen=questionnaires.answer_to(sheet.answers, asked),
        touched=questionnaires.touched(sheet.answers, asked),
        reviewing="review" in request.args,
        error=error,
        can_wait=_can_wait(sheet),
    )


def _can_wait(sheet: VisitSheet) -> bool:
    """Whether another day could do: who finishes after the window closed has hours, not days."""
    return clock.now() < sheet.closes_at
