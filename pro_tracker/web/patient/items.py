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
    sheet = current.open_sheet(clock.now())
    return answering.item_page(sheet, sheet.questionnaire.item(position))


@blueprint.post("/visit/item/<int:position>")
@access.patient
def save_item(position: int) -> Page:
    now = clock.now()
    sheet = current.open_sheet(now)
    asked = answering.posted_item(sheet, position)
    if asked is None:
        return answering.go_on(answering.next_page(sheet))
    answer = answering.posted_answer(asked)
    if answer is None:
        return answering.nothing_chosen(sheet, asked)
    responses.save_answers(db_session(), sheet, asked.instrument_code, answer, now=now)
    commit()
    return answering.go_on(answering.page_after(sheet.with_answers(asked.instrument_code, answer), asked))


@blueprint.get("/visit/review")
@access.patient
def review() -> Page:
    return answering.review_page(current.open_sheet(clock.now()))


@blueprint.post("/visit/review")
@access.patient
def send() -> Page:
    now = clock.now()
    sheet = current.open_sheet(now)
    responses.complete(db_session(), sheet, actor=Actor(ActorKind.PATIENT, str(sheet.link_id)), now=now)
    commit()
    return answering.go_on(url_for(".sent"))


@blueprint.get("/visit/sent")
@access.patient
def sent() -> Page:
    sheet = current.sheet()
    if sheet.completed_at is None:
        return redirect(url_for(".start"))
    return render_template("patient/sent.html", sheet=sheet)
