"""Answering a visit one question a screen: what the patient's own pages and a telephone interview share.

The views of both have the same names (item, review, sent), so addresses here are relative to whichever is served.
"""

from flask import jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.answering.questionnaires import AskedItem
from pro_tracker.services.answering.visit_context import VisitContext

Page = str | tuple[str, int] | Response
Answer = dict[str, int | None]


def posted_item(visit: VisitContext, position: int) -> AskedItem | None:
    """The item that the posted form was made for: another device may have changed what stands at this position."""
    name = request.form.get("item")
    return visit.questionnaire.item(position) if name is None else visit.questionnaire.item_named(name)


def posted_answer(asked_item: AskedItem) -> Answer | None:
    """What was chosen for the item, as it is saved; None when nothing was. Raises AnswerOutOfRange."""
    if "skip" in request.form:
        return {asked_item.link_id: None}
    given = request.form.get("answer")
    return None if given is None else {asked_item.link_id: asked_item.value(given)}


def item_page(visit: VisitContext, asked_item: AskedItem) -> str:
    """The page of one item, with the answer it has."""
    return _item_page(visit, asked_item)


def missing_answer_page(visit: VisitContext, asked_item: AskedItem) -> Page:
    """The page of an item whose form came back without an answer."""
    return _item_page(visit, asked_item, error=_("Choose an answer, or say that you would rather not answer.")), 422


def review_page(visit: VisitContext) -> Page:
    """All answers, to be checked before they are sent; the first question while there is none."""
    if not visit.answers:
        return redirect(next_page_url(visit))
    questionnaire = visit.questionnaire
    rows = [(asked_item, questionnaires.answer_to(visit.answers, asked_item)) for asked_item in questionnaire.items]
    n_open = sum(value is None for _i, value in rows)
    return render_template(
        "patient/review.html",
        language=questionnaire.language,
        rows=rows,
        n_open=n_open,
        can_postpone=_can_postpone(visit),
    )


def next_page_url(visit: VisitContext) -> str:
    """Where the person goes on: the first item left open, or the review."""
    left = visit.questionnaire.first_open(visit.answers)
    return url_for(".review") if left is None else url_for(".item", position=left.position)


def page_url_after(visit: VisitContext, asked_item: AskedItem) -> str:
    """The page to go on with after the item; `visit` has its answer."""
    questionnaire = visit.questionnaire
    if "review" in request.args:
        # A changed answer may lead an adaptive test to an item that was not asked yet.
        left = questionnaire.next_adaptive_item(visit.answers, asked_item.instrument_code)
        if left is not None:
            return url_for(".item", position=left.position, review="")
    elif asked_item.position < len(questionnaire.items):
        return url_for(".item", position=asked_item.position + 1)
    return url_for(".review")


def continue_to(address: str) -> Response:
    """Redirect a form; tell a script the address instead, since a script cannot see where a redirect leads."""
    if request.headers.get("X-Requested-With") == "fetch":
        return jsonify(next=address)
    return redirect(address, 303)


def _item_page(visit: VisitContext, asked_item: AskedItem, *, error: str = "") -> str:
    return render_template(
        "patient/item.html",
        item=asked_item,
        questionnaire=visit.questionnaire,
        chosen=questionnaires.answer_to(visit.answers, asked_item),
        touched=questionnaires.is_done(visit.answers, asked_item),
        reviewing="review" in request.args,
        error=error,
        can_postpone=_can_postpone(visit),
    )


def _can_postpone(visit: VisitContext) -> bool:
    """Whether another day could do: who finishes after the window closed has hours, not days."""
    return clock.now() < visit.closes_at
