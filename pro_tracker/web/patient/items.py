"""The item pages, where each answer is saved at once, the review of all answers, and sending."""

from flask import redirect, render_template, url_for

from pro_tracker import clock
from pro_tracker.services.answering import request_context, responses
from pro_tracker.web import access, answering
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/visit/item/<int:position>")
@access.patient
def item(position: int) -> Page:
    visit = current.open_visit(clock.now())
    return answering.item_page(visit, visit.questionnaire.item(position))


@blueprint.post("/visit/item/<int:position>")
@access.patient
def save_item(position: int) -> Page:
    now = clock.now()
    visit = current.open_visit(now)
    asked_item = answering.posted_item(visit, position)
    if asked_item is None:
        return answering.continue_to(answering.next_page_url(visit))
    answer = answering.posted_answer(asked_item)
    if answer is None:
        return answering.missing_answer_page(visit, asked_item)
    context = request_context.of_patient(visit.link_id, now)
    responses.save_answers(db_session(), visit, asked_item.instrument_code, answer, context)
    commit()
    return answering.continue_to(
        answering.page_url_after(visit.with_answers(asked_item.instrument_code, answer), asked_item)
    )


@blueprint.get("/visit/review")
@access.patient
def review() -> Page:
    return answering.review_page(current.open_visit(clock.now()))


@blueprint.post("/visit/review")
@access.patient
def send() -> Page:
    now = clock.now()
    visit = current.open_visit(now)
    responses.complete(db_session(), visit, request_context.of_patient(visit.link_id, now))
    commit()
    return answering.continue_to(url_for(".sent"))


@blueprint.get("/visit/sent")
@access.patient
def sent() -> Page:
    visit = current.visit()
    if visit.completed_at is None:
        return redirect(url_for(".start"))
    return render_template("patient/sent.html", visit=visit)
