"""The item pages, where each answer is saved at once, the review of all answers, and sending."""

from flask import redirect, url_for

from pro_tracker import clock
from pro_tracker.services.answering import late_answers, responses
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.web import access, answering
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import current, end_page
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/visit/<visit>/item/<int:position>")
@access.patient
def item(position: int) -> Page:
    visit = current.open_visit(clock.now())
    return answering.item_page(visit, visit.questionnaire.item(position))


@blueprint.post("/visit/<visit>/item/<int:position>")
@access.patient
def save_item(position: int) -> Page:
    now = clock.now()
    visit = current.visit_to_save(now)
    asked_item = answering.posted_item(visit, position) or answering.posted_late_item(visit)
    if asked_item is None:
        return answering.continue_to(answering.next_page_url(visit))
    answer = answering.posted_answer(asked_item)
    if answer is None or answering.is_free_text_too_long(asked_item):
        return answering.missing_answer_page(visit, asked_item)
    following = answering.item_after(visit.with_answers(asked_item.instrument_code, answer), asked_item)
    also = AlsoSaved(following, answering.posted_free_texts(asked_item))
    given = {asked_item.instrument_code: answer}
    is_saved = late_answers.save_or_keep(db_session(), visit, given, current.context(visit, now), also=also)
    commit()
    if not is_saved:
        return answering.continue_to(url_for(".late"))
    return answering.continue_to(answering.page_after(asked_item, answer, following))


@blueprint.get("/visit/<visit>/advice/<int:position>")
@access.patient
def advice(position: int) -> Page:
    """Shows what to do after an answer that raises an alert, before the next item."""
    visit = current.open_visit(clock.now())
    return answering.advice_page(visit, visit.questionnaire.item(position))


@blueprint.get("/visit/<visit>/late")
@access.patient
def late() -> Page:
    """Says what happens with an answer that arrived after the visit was sent or its time was over."""
    now = clock.now()
    visit = current.confirmed_visit(now)
    if not late_answers.is_over(visit, now):
        return redirect(url_for(".start"))
    return end_page.late(visit, now)


@blueprint.get("/visit/<visit>/review")
@access.patient
def review() -> Page:
    return answering.review_page(current.open_visit(clock.now()))


@blueprint.get("/visit/<visit>/enough")
@access.patient
def enough() -> Page:
    """Thanks a patient who answered the core of the questionnaire, and offers the rest."""
    visit = current.open_visit(clock.now())
    if not visit.answers or not visit.questionnaire.n_core:
        return redirect(answering.next_page_url(visit))
    return answering.enough_page(visit)


@blueprint.post("/visit/<visit>/review")
@access.patient
def send() -> Page:
    now = clock.now()
    visit = current.open_visit(now)
    responses.complete(db_session(), visit, current.context(visit, now))
    commit()
    return answering.continue_to(url_for(".sent"))


@blueprint.get("/visit/<visit>/sent")
@access.patient
def sent() -> Page:
    now = clock.now()
    visit = current.visit(now)
    if visit.completed_at is None:
        return redirect(url_for(".start"))
    return end_page.thanks(visit, now)
