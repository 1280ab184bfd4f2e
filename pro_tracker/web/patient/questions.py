"""The questions of a visit as JSON, with which the script shows one after the other without asking the server.

The parts of pages in it come from the templates of the pages, so that both say the same.
"""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from flask import Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _, ngettext

from pro_tracker import clock
from pro_tracker.services.answering import advice, links, questionnaires
from pro_tracker.services.answering.questionnaires import AskedItem, Questionnaire
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.web import access, answering
from pro_tracker.web.answering import ItemFrame
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import db_session

LONGEST_LEFT = 30  # minutes that a page says are left


@blueprint.get("/visit/<visit>/questions")
@access.patient
def questions() -> Response:
    """Returns all questions that a phone may have to ask by itself, and the answers so far.

    For an adaptive test that is not over these are the questions of its offline form; without one there are none.
    """
    now = clock.now()
    online = current.open_visit(now)
    if not online.questionnaire.can_go_on_offline(online.answers):
        return jsonify(items=[])
    return _compressed(_all_questions(online, now))


def _all_questions(online: VisitContext, now: datetime) -> Response:
    visit = replace(online, has_connection=False)
    return jsonify(
        items=list(_items(visit, online.questionnaire)),
        links=[each.hex() for each in links.hashes(db_session(), visit.visit_id)],
        answers=_answers(visit),
        free_texts=_free_texts(visit),
        review=answering.review_fragment(visit),
        enough=answering.enough_fragment(visit),
        n_core=visit.questionnaire.n_core,
        seen=_seen(visit),
        texts=_texts(visit),
        valid_for=_milliseconds_left(visit, now),
    )


def _compressed(response: Response) -> Response:
    """Returns the response as gzip where the browser takes it: a fifth of the bytes on a weak signal, or fewer."""
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        response.set_data(gzip.compress(response.get_data(), compresslevel=6))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _items(visit: VisitContext, online: Questionnaire) -> Iterator[dict[str, Any]]:
    """Yields the questions; `online` has those that are asked where the server can be reached.

    There are up to as many as with an adaptive test; from the first question of an offline form on, that is not asked.
    """
    questionnaire = visit.questionnaire
    framing = replace(questionnaire, at_most=max(questionnaire.at_most, online.at_most))
    for item in questionnaire.items:
        instead_of = _instead_of(questionnaire, item, online)
        framing = questionnaire if instead_of else framing
        yield {**_item(visit, item, answering.frame(framing, item)), "instead_of": instead_of}


def _instead_of(questionnaire: Questionnaire, item: AskedItem, online: Questionnaire) -> str:
    """Returns the adaptive test that the server would ask here; "" for none, and once its offline form was begun."""
    code = item.instrument_code
    if code not in questionnaire.set_aside or code in online.set_aside:
        return ""
    test, _pack = questionnaire.set_aside[code]
    return test.code


def _item(visit: VisitContext, item: AskedItem, frame: ItemFrame) -> dict[str, Any]:
    """Returns one question: its parts, and `advice`: what to do, by option code.

    `is_chosen`: the server chose it, and may choose others after another answer.
    """
    parts = _kept_parts if _is_same_everywhere(item) else _parts
    return {
        **parts(item, frame, visit.language),
        "advice": {value: _advice(visit, item, value) for value in questionnaires.alerting_values(item)},
        "is_chosen": instrument_catalog.instrument(item.instrument_code).bank is not None,
    }


def _is_same_everywhere(item: AskedItem) -> bool:
    """Returns whether the page of an item names no telephone number, which is the clinic's."""
    return not item.has_crisis_line and not item.emergency


def _parts(item: AskedItem, frame: ItemFrame, _language: str) -> dict[str, str]:
    """Returns the parts of pages that are about an item, in the language of the page.

    `html`: its part of its page; `line`: its line of the review, `free_line` that of the line below it.
    """
    return {
        "name": item.name,
        "title": f"{frame.number_of}: {item.text}",
        "html": answering.item_fragment(item, frame),
        "line": answering.part("review_line", item, "", False),
        "free_line": answering.part("free_text_line", item, "") if item.has_free_text else "",
    }


# The same for all patients. 34 items at 40 events in 3 languages are 4080 entries of about 2 KB.
_kept_parts = lru_cache(maxsize=4096)(_parts)


def _advice(visit: VisitContext, item: AskedItem, value: int) -> str:
    return render_template(
        "patient/_advice.html",
        advice=advice.before_saving(visit, item, value),
        visit=visit,
        next_url=url_for(".item", position=item.position + 1),
        item_url=url_for(".item", position=item.position),
        today=None,
    )


def _answers(visit: VisitContext) -> Mapping[str, int | None]:
    """Returns item name -> what is saved; of an adaptive test, too, whose form is asked without a connection."""
    answers: dict[str, int | None] = {}
    for code, given in visit.answers.items():
        answers |= {f"{code}.{link_id}": value for link_id, value in given.items()}
    return answers


def _seen(visit: VisitContext) -> list[str]:
    names = (f"{code}.{link_id}" for code, link_id in visit.draft.seen)
    return sorted(names)


def _free_texts(visit: VisitContext) -> Mapping[str, str]:
    """Returns item name -> text of the line below it."""
    written = answering.current_free_texts(visit)
    texts: dict[str, str] = {}
    for item in visit.questionnaire.items:
        text = written.get(item.instrument_code)
        if item.has_free_text and text:
            texts[item.name] = text
    return texts


def _texts(visit: VisitContext) -> dict[str, Any]:
    """Returns the sentences that the script shows, and parts of an error as the item's page has them."""
    numbers = range(visit.questionnaire.at_most + 1)
    no_answer = answering.no_answer()
    return {
        "back": _("Back"),
        "back_to_review": _("Back to your answers"),
        "can_still": _("You chose not to answer this question. You still can."),
        "clinic": visit.clinic_name,
        "left": [answering.minutes_left_text(minutes) for minutes in range(1, LONGEST_LEFT + 1)],
        "open": [_open(number) for number in numbers],  # by number, since languages differ in their plurals
        "error": answering.part("error_summary", no_answer, ""),
        "error_message": answering.part("error_message", no_answer),
        "error_title": _("Error:"),
        **{reason.name.lower(): str(text) for reason, text in answering.MISSING_ITEMS.items()},
    }


def _open(number: int) -> str:
    if not number:
        return ""
    return ngettext("%(num)d question has no answer.", "%(num)d questions have no answer.", number)


def _milliseconds_left(visit: VisitContext, now: datetime) -> int:
    """Returns for how long the answers may be shown without the birth date."""
    assert visit.shown_until is not None  # the view requires the birth date
    return (visit.shown_until - now) // timedelta(milliseconds=1)
