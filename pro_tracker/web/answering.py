"""Pages that patients and telephone interviews share for answering a visit, one item a screen.

Both blueprints name their views item, review and sent, so URLs here are relative to the current blueprint.
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
    """Returns the item that the posted form was rendered for; None if it is no longer part of the visit.

    The form names its item, since an answer on another device can change which item is at `position`.
    """
    name = request.form.get("item")
    return visit.questionnaire.item(position) if name is None else visit.questionnaire.item_named(name)


def posted_answer(asked_item: AskedItem) -> Answer | None:
    """Returns the posted answer as {link_id: code}, with code None for "skip"; None without an answer.

    Raises AnswerOutOfRange for a value that is not a response option of the item.
    """
    if "skip" in request.form:
        return {asked_item.link_id: None}
    given = request.form.get("answer")
    return None if given is None else {asked_item.link_id: asked_item.value(given)}


def item_page(visit: VisitContext, asked_item: AskedItem) -> str:
    """Returns the page of one item, with the saved answer selected."""
    return _item_page(visit, asked_item)


def missing_answer_page(visit: VisitContext, asked_item: AskedItem) -> Page:
    """Returns the item's page with an error, and status 422, for a form without an answer."""
    return _item_page(visit, asked_item, error=_("Choose an answer, or say that you would rather not answer.")), 422


def review_page(visit: VisitContext) -> Page:
    """Returns the page that lists all answers before they are sent; without answers, a redirect to the first item."""
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
    """Returns the URL of the first item without an answer, or of the review."""
    left = visit.questionnaire.first_open(visit.answers)
    return url_for(".review") if left is None else url_for(".item", position=left.position)


def page_url_after(visit: VisitContext, asked_item: AskedItem) -> str:
    """The page to go on with after the item; `visit` has its answer."""
    questionnaire = visit.questionnaire
    if "review" in request.args:
        # A changed answer can make an adaptive test ask an item that was not asked yet.
        left = questionnaire.next_adaptive_item(visit.answers, asked_item.instrument_code)
        if left is not None:
            return url_for(".item", position=left.position, review="")
    elif asked_item.position < len(questionnaire.items):
        return url_for(".item", position=asked_item.position + 1)
    return url_for(".review")


def continue_to(address: str) -> Response:
    """Returns a redirect; for a script, JSON with the URL, since fetch() does not disclose where a redirect leads."""
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
    """Returns whether the visit can be postponed: the grace period after closing is hours, not days."""
    return clock.now() < visit.closes_at
