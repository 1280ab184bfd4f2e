"""One question a screen: each answer is saved as it is given. Then the review, and sending."""

from flask import redirect, render_template, url_for

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.services.answering import responses
from pro_tracker.services.audit import Actor
from pro_tracker.web import access, answering
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/visit/item/<int:position>")
@access.patient
def item(position: int) -> Page:
    context = current.open_context(clock.now())
    return answering.item_page(context, context.questionnaire.item(position))


@blueprint.post("/visit/item/<int:position>")
@access.patient
def save_item(position: int) -> Page:
    now = clock.now()
    context = current.open_context(now)
    asked_item = answering.posted_item(context, position)
    if asked_item is None:
        return answering.continue_to(answering.next_page_url(context))
    answer = answering.posted_answer(asked_item)
    if answer is None:
        return answering.missing_answer_page(context, asked_item)
    responses.save_answers(db_session(), context, asked_item.instrument_code, answer, now=now)
    commit()
    return answering.continue_to(
        answering.page_url_after(context.with_answers(asked_item.instrument_code, answer), asked_item)
    )


@blueprint.get("/visit/review")
@access.patient
def review() -> Page:
    return answering.review_page(current.open_context(clock.now()))


@blueprint.post("/visit/review")
@access.patient
def send() -> Page:
    now = clock.now()
    context = current.open_context(now)
    responses.complete(db_session(), context, actor=Actor(ActorKind.PATIENT, str(context.link_id)), now=now)
    commit()
    return answering.continue_to(url_for(".sent"))


@blueprint.get("/visit/sent")
@access.patient
def sent() -> Page:
    context = current.context()
    if context.completed_at is None:
        return redirect(url_for(".start"))
    return render_template("patient/sent.html", context=context)
