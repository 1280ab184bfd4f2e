"""Pages that patients and telephone interviews share for answering a visit, one item a screen.

Both blueprints name their views item, review and sent, so URLs here are relative to the current blueprint.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import get_template_attribute, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _, lazy_gettext, ngettext
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain import answering_time
from pro_tracker.domain.response_codes import MissingItem
from pro_tracker.domain.wall_time import local_date
from pro_tracker.services.answering import advice, free_texts, late_answers, questionnaires
from pro_tracker.services.answering.questionnaires import AskedItem, Questionnaire
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import recall_periods
from pro_tracker.web.session import db_session

# In the words of the person who answers; staff read labels.MISSING_ITEMS.
MISSING_ITEMS = {
    MissingItem.DECLINED: lazy_gettext("You would rather not answer"),
    MissingItem.SEEN: lazy_gettext("Seen, no answer yet"),
    MissingItem.NOT_REACHED: lazy_gettext("Not reached yet"),
}
Page = str | tuple[str, int] | Response
Answer = dict[str, int | None]


def posted_item(visit: VisitContext, position: int) -> AskedItem | None:
    """Returns the item that the posted form was rendered for; None if it is no longer part of the visit.

    The form names its item, since an answer on another device can change which item is at `position`.
    """
    name = request.form.get("item")
    if name is None:
        return visit.questionnaire.item(position)
    return visit.questionnaire.item_named(name)


def posted_late_item(visit: VisitContext) -> AskedItem | None:
    """Returns the item of a form whose answer arrives late, among all that the visit may ask; None for another form."""
    name = request.form.get("item", "")
    return late_answers.item(visit, name, clock.now())


def posted_answer(asked_item: AskedItem) -> Answer | None:
    """Returns the posted answer as {link_id: code}, with code None for "skip"; None without an answer.

    Raises AnswerOutOfRange for a value that is not a response option of the item.
    """
    if "skip" in request.form:
        return {asked_item.link_id: None}
    given = request.form.get("answer")
    return None if given is None else {asked_item.link_id: asked_item.value(given)}


def posted_free_texts(asked_item: AskedItem) -> free_texts.Texts:
    """Returns the posted text of the free line below the item, by instrument code; {} where there is no such line."""
    if not asked_item.has_free_text or "free_text" not in request.form:
        return {}
    return {asked_item.instrument_code: one_line(request.form["free_text"])}


def is_free_text_too_long(asked_item: AskedItem) -> bool:
    """Returns whether the posted text of the free line is too long to be stored."""
    return any(len(text) > free_texts.MAX_LENGTH for text in posted_free_texts(asked_item).values())


def one_line(entered: str | None) -> str:
    """Returns a text as typed on one line, without control characters; "" for None."""
    characters = (" " if unicodedata.category(each) == "Cc" else each for each in entered or "")
    return " ".join("".join(characters).split())


def item_page(visit: VisitContext, asked_item: AskedItem) -> str:
    """Returns the page of one item, with the saved answer selected."""
    return _item_page(visit, asked_item)


def missing_answer_page(visit: VisitContext, asked_item: AskedItem) -> Page:
    """Returns the item's page with an error, and status 422, for a form without an answer."""
    if is_free_text_too_long(asked_item):
        error = _("Write at most %(num)d characters.", num=free_texts.MAX_LENGTH)
    else:
        error = no_answer()
    return _item_page(visit, asked_item, error=error), 422


def no_answer() -> str:
    """Returns what a page says about a form without an answer."""
    return _('Choose an answer, or press "I would rather not answer this".')


def review_page(visit: VisitContext) -> Page:
    """Returns the page that lists all answers before they are sent; without answers, a redirect to the first item."""
    if not visit.answers:
        return redirect(next_page_url(visit))
    questionnaire = visit.questionnaire
    rows = [(asked_item, _reviewed(visit, asked_item)) for asked_item in questionnaire.items]
    n_open = sum(is_open for _item, (_text, is_open) in rows)
    return render_template(
        "patient/review.html",
        rows=rows,
        n_open=n_open,
        free_texts=current_free_texts(visit),
        can_postpone=_can_postpone(visit),
    )


def review_fragment(visit: VisitContext) -> str:
    """Returns the part of the review page that a script fills with the lines of the answers."""
    return render_template(
        "patient/_review.html",
        rows=[],
        n_open=0,
        free_texts={},
        form_token="",  # nosec B106  the script fills it in
    )


def enough_page(visit: VisitContext) -> str:
    """Returns the page after the core of the questionnaire."""
    return render_template("patient/enough.html", **_of_enough(visit))


def enough_fragment(visit: VisitContext) -> str:
    """Returns the part of that page that a script shows in the place of an item; "" where there is no core."""
    return render_template("patient/_enough.html", **_of_enough(visit)) if visit.questionnaire.n_core else ""


def _of_enough(visit: VisitContext) -> dict[str, Any]:
    questionnaire = visit.questionnaire
    return {
        "visit": visit,
        "n_left": _n_open(visit, questionnaire.items[questionnaire.n_core :]),
        "next_url": url_for(".item", position=questionnaire.n_core + 1),
        "last_url": url_for(".item", position=questionnaire.n_core, short=""),
    }


def _n_open(visit: VisitContext, items: Sequence[AskedItem]) -> int:
    return sum(not questionnaires.is_done(visit.answers, item) for item in items)


def part(name: str, *values: Any) -> str:
    """Returns a part of a patient page: what the macro of this name in patient/_parts.html makes of the values."""
    macro = get_template_attribute("patient/_parts.html", name)
    return str(macro(*values)).strip()


def next_page_url(visit: VisitContext, *, is_short: bool = False) -> str:
    """Returns the URL of the first item without an answer, or of the review.

    `is_short`: the way on ends after the core of the questionnaire, if that has items without an answer.
    """
    left = visit.questionnaire.first_open(visit.answers)
    if left is None:
        return url_for(".review")
    short = "" if is_short and left.position <= visit.questionnaire.n_core else None
    return url_for(".item", position=left.position, short=short)


def item_after(visit: VisitContext, asked_item: AskedItem) -> AskedItem | None:
    """Returns the item to go on with; None for the page after the last one, see `page_url`.

    `visit` has the answer to `asked_item`.
    """
    questionnaire = visit.questionnaire
    if _is_short() and asked_item.position >= questionnaire.n_core:
        return None
    if "review" in request.args:
        # A changed answer can make an adaptive test ask an item that was not asked yet.
        return questionnaire.next_adaptive_item(visit.answers, asked_item.instrument_code)
    if asked_item.position < len(questionnaire.items):
        return questionnaire.item(asked_item.position + 1)
    return None


def page_url(asked_item: AskedItem | None) -> str:
    """Returns the URL of the item's page; without an item, of the review, or of the page after the core.

    A review that was interrupted goes on afterwards.
    """
    if asked_item is None:
        return url_for(".enough" if _is_short() else ".review")
    return url_for(".item", position=asked_item.position, **_way())


def page_after(asked_item: AskedItem, answer: Answer, following: AskedItem | None) -> str:
    """Returns the URL of the page after a saved answer: the advice after one that raises an alert."""
    if questionnaires.is_alerting(asked_item, answer[asked_item.link_id]):
        return url_for(".advice", position=asked_item.position, **_way())
    return page_url(following)


def advice_page(visit: VisitContext, asked_item: AskedItem) -> Page:
    """Returns the advice about the answer to this item; without an alerting answer, a redirect to the next item."""
    value = questionnaires.answer_to(visit.answers, asked_item)
    next_url = page_url(item_after(visit, asked_item))
    if value is None or not questionnaires.is_alerting(asked_item, value):
        return redirect(next_url)
    now = clock.now()
    return render_template(
        "patient/advice.html",
        advice=advice.about_item(db_session(), visit, asked_item, value, now=now),
        language=asked_item.language,
        visit=visit,
        next_url=next_url,
        item_url=url_for(".item", position=asked_item.position, **_way()),
        today=local_date(now, visit.time_zone),
    )


def _way() -> dict[str, Any]:
    """Returns the arguments of URLs that keep the way through the visit: a review, or the core only."""
    if "review" in request.args:
        return {"review": ""}
    return {"short": ""} if _is_short() else {}


def _is_short() -> bool:
    """Returns whether a patient answers the core only. In a telephone interview staff go on or stop."""
    return "short" in request.args and request.blueprint == "patient"


def continue_to(address: str) -> Response:
    """Returns a redirect; for a script, JSON with the URL, since fetch() does not disclose where a redirect leads."""
    if request.headers.get("X-Requested-With") == "fetch":
        return jsonify(next=address)
    return redirect(address, 303)


def _reviewed(visit: VisitContext, asked_item: AskedItem) -> tuple[str, bool]:
    """Returns the answer as the review shows it, and whether there is none; then the text says why."""
    value = questionnaires.answer_to(visit.answers, asked_item)
    if value is not None:
        return asked_item.label(value), False
    return str(MISSING_ITEMS[visit.draft.missing_reason(asked_item.instrument_code, asked_item.link_id)]), True


class ItemFrame(NamedTuple):
    """The parts of an item's page that depend on the items before and after it, in words of the page's language."""

    number_of: str  # "Question 3 of 34"
    at_most: int
    minutes_left: str
    topic: str  # what changes with this item; "" for nothing


def frame(questionnaire: Questionnaire, asked_item: AskedItem) -> ItemFrame:
    """Returns the frame of an item of this questionnaire."""
    number, total = asked_item.position, questionnaire.at_most
    if questionnaire.is_open_ended:
        number_of = _("Question %(number)d of up to %(total)d", number=number, total=total)
    else:
        number_of = _("Question %(number)d of %(total)d", number=number, total=total)
    left = answering_time.minutes_left(total - number + 1)
    return ItemFrame(str(number_of), total, minutes_left_text(left), _topic(questionnaire, asked_item))


def item_fragment(asked_item: AskedItem, item_frame: ItemFrame) -> str:
    """Returns the part of an item's page that a script puts in the place of another item's, without an answer."""
    return render_template(
        "patient/_item.html",
        item=asked_item,
        frame=item_frame,
        chosen=None,
        error="",
        form_token="",  # nosec B106  the script fills it in
        free_text_length=free_texts.MAX_LENGTH,
    )


def _item_page(visit: VisitContext, asked_item: AskedItem, *, error: str = "") -> str:
    return render_template(
        "patient/item.html",
        item=asked_item,
        frame=frame(visit.questionnaire, asked_item),
        chosen=questionnaires.answer_to(visit.answers, asked_item),
        touched=questionnaires.is_done(visit.answers, asked_item),
        reviewing="review" in request.args,
        way=_way(),
        error=error,
        error_at="free-text" if is_free_text_too_long(asked_item) else f"answer-{asked_item.options[0][0]}",
        free_text=_free_text(visit, asked_item),
        free_text_length=free_texts.MAX_LENGTH,
        can_postpone=_can_postpone(visit),
    )


def _topic(questionnaire: Questionnaire, asked_item: AskedItem) -> str:
    """Returns what changes with this item and must be noticed: the instrument, or the time it asks about; else ""."""
    if not questionnaire.begins(asked_item):
        return ""
    before = questionnaire.item(asked_item.position - 1)
    period = recall_periods.words(asked_item.recall_period)
    if period and asked_item.recall_period != before.recall_period:
        return str(_("Now about %(period)s", period=period))
    return str(_("Next group of questions"))


def minutes_left_text(minutes: int) -> str:
    """Returns how long the questions still take, in words."""
    return str(ngettext("about %(num)d min left", "about %(num)d min left", minutes))


def _free_text(visit: VisitContext, asked_item: AskedItem) -> str:
    """Returns the text in the free line of a page: as just posted, else as stored."""
    posted = posted_free_texts(asked_item)
    stored = posted or current_free_texts(visit) if asked_item.has_free_text else {}
    return stored.get(asked_item.instrument_code, "")


def current_free_texts(visit: VisitContext) -> free_texts.Texts:
    """Returns the texts of the free lines of the visit; no statement for a visit without such lines."""
    if not any(item.has_free_text for item in visit.questionnaire.items):
        return {}
    return free_texts.current(db_session(), visit.visit_id)


def _can_postpone(visit: VisitContext) -> bool:
    """Returns whether the visit can be postponed: the grace period after closing is hours, not days."""
    return clock.now() < visit.closes_at
