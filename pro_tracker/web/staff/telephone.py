"""Telephone interviews: a coordinator reads out the patient pages and enters the answers.

Coordinator and patient share one draft, so that either can continue. Each page view and answer is audited.
"""

import uuid
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import ConsentNeeded, InvalidInput
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.languages import patient_languages
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.answering import drafts, late_answers, responses, visit_context
from pro_tracker.services.answering.questionnaires import AskedItem
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.clinic import visibility
from pro_tracker.services.record import subject_records
from pro_tracker.web import access, answering, given_times
from pro_tracker.web.answering import Answer, Page
from pro_tracker.web.session import commit, db_session

blueprint = Blueprint("telephone", __name__, url_prefix="/subjects/<uuid:subject_id>/visits/<int:visit_id>/telephone")


@blueprint.url_value_preprocessor
def _pop_visit_from_url(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Moves subject and visit from the URL to `g.interview`, so that views and url_for() need not pass them."""
    values = values or {}
    g.interview = {name: values.pop(name) for name in ("subject_id", "visit_id") if name in values}


@blueprint.url_defaults
def _add_visit_to_url(_endpoint: str, values: dict[str, Any]) -> None:
    for name, value in g.get("interview", {}).items():
        values.setdefault(name, value)


@blueprint.context_processor
def _interview() -> dict[str, object]:
    return {
        "layout": "base_telephone.html",
        "subject": g.get("subject"),
        "form_token": generate_csrf(),
        "send_label": _("Record these answers"),
    }


@blueprint.errorhandler(ConsentNeeded)
def ask_for_consent(_error: ConsentNeeded) -> Response:
    """Leads to the page on which an answer by telephone is recorded, before the first question."""
    db_session().rollback()
    flash(_("First read the consent form to the patient, and record the answer."), "error")
    return redirect(url_for("staff.consent", subject_id=g.interview["subject_id"], _anchor="record"), 303)


@blueprint.get("")
@access.staff(Role.COORDINATOR)
def start() -> Page:
    visit = _open_visit()
    return _show("staff/telephone.html", visit=visit, now=clock.now(), begin=answering.next_page_url(visit))


@blueprint.post("/language")
@access.staff(Role.COORDINATOR)
def change_language() -> Response:
    """Goes on in another language: what was answered keeps the language it was asked in."""
    visit, context = _open_visit(), _request_context()
    language = request.form.get("language", "")
    if language not in patient_languages():
        raise InvalidInput("Choose one of the languages.")
    drafts.change_language(db_session(), visit.person_id, language)
    detail: audit.Detail = {"visit": visit.visit_id, "language": language, "before": visit.language}
    audit.record(
        db_session(), context.actor, "visit.language", now=context.now, subject_id=visit.subject_id, detail=detail
    )
    commit()
    return redirect(url_for(".start"), 303)


@blueprint.get("/item/<int:position>")
@access.staff(Role.COORDINATOR)
def item(position: int) -> Page:
    visit = _open_visit()
    asked_item = visit.questionnaire.item(position)
    _record_view("patient/item.html")
    commit()
    return answering.item_page(visit, asked_item)


@blueprint.post("/item/<int:position>")
@access.staff(Role.COORDINATOR)
def save_item(position: int) -> Page:
    """Saves an answer; one to a visit that was sent or ended before is kept as a late one."""
    context = _request_context()
    visit = _visit()
    if not late_answers.is_over(visit, context.now):
        visit.require_open(context.now)
    asked_item = answering.posted_item(visit, position) or answering.posted_late_item(visit)
    if asked_item is None:
        return answering.continue_to(answering.next_page_url(visit))
    answer = answering.posted_answer(asked_item)
    if answer is None or answering.is_free_text_too_long(asked_item):
        return answering.missing_answer_page(visit, asked_item)
    following = answering.item_after(visit.with_answers(asked_item.instrument_code, answer), asked_item)
    also = AlsoSaved(following, answering.posted_free_texts(asked_item))
    if not _save(visit, asked_item, answer, context, also):
        flash(_("This visit was sent or ended before. The answer is kept as a late one: see its answers."), "error")
        return answering.continue_to(url_for(".sent"))
    return answering.continue_to(answering.page_after(asked_item, answer, following))


def _save(visit: VisitContext, item: AskedItem, answer: Answer, context: RequestContext, also: AlsoSaved) -> bool:
    """Saves an answer with its audit row; returns False for one that arrived late and was kept."""
    given = {item.instrument_code: answer}
    is_saved = late_answers.save_or_keep(db_session(), visit, given, context, also=also)
    detail: audit.Detail = {"visit": visit.visit_id, "item": item.name}
    audit.record(
        db_session(), context.actor, "answer.save", now=context.now, subject_id=visit.subject_id, detail=detail
    )
    commit()
    return is_saved


@blueprint.get("/advice/<int:position>")
@access.staff(Role.COORDINATOR)
def advice(position: int) -> Page:
    """Shows what the interviewer reads out after an answer that raises an alert."""
    visit = _open_visit()
    asked_item = visit.questionnaire.item(position)
    _record_view("patient/advice.html")
    commit()
    return answering.advice_page(visit, asked_item)


@blueprint.get("/review")
@access.staff(Role.COORDINATOR)
def review() -> Page:
    visit = _open_visit()
    _record_view("patient/review.html")
    commit()
    return answering.review_page(visit)


@blueprint.post("/review")
@access.staff(Role.COORDINATOR)
def send() -> Page:
    responses.complete(db_session(), _open_visit(), _request_context())
    commit()
    flash(_("The answers are recorded."))
    return answering.continue_to(url_for(".sent"))


@blueprint.get("/sent")
@access.staff(Role.COORDINATOR)
def sent() -> Response:
    """Redirects to the subject's page, which shows an open call if an answer needs action the same day.

    Where the protocol asks for a goal, the page on which the interviewer enters it comes first.
    """
    visit = _visit()
    if visit.protocol.for_patients.goal and visit.completed_at is not None:
        return redirect(url_for("staff.goal_by_telephone", subject_id=g.subject.id, visit_id=visit.visit_id))
    return redirect(url_for("staff.subject", subject_id=g.subject.id))


def _subject() -> Subject:
    g.subject = subject_records.with_identity(db_session(), access.account(), g.interview["subject_id"])
    subject: Subject = g.subject
    return subject


def _open_visit() -> VisitContext:
    """Returns the visit of the URL.

    Raises NotFound outside the account's sites, WindowClosed, AlreadyAnswered, ConsentNeeded.
    """
    visit = _visit()
    visit.require_open(clock.now())
    visit.require_consent()
    return visit


def _visit() -> VisitContext:
    """Returns the visit of the URL, open or not. Raises NotFound outside the account's sites."""
    visit_id = visibility.find_visit(db_session(), _subject(), g.interview["visit_id"]).id
    return visit_context.by_visit(db_session(), visit_id)


def _request_context() -> RequestContext:
    actor, now = access.actor(), clock.now()
    given = given_times.posted(now)
    return RequestContext(actor, now, ResponseMode.TELEPHONE, device=f"account-{actor.id}", given=given)


def _record_view(page: str) -> None:
    subject_id: uuid.UUID = g.subject.id
    now, detail = clock.now(), {"page": page, "visit": g.interview["visit_id"]}
    audit.record(db_session(), access.actor(), "subject.view", now=now, subject_id=subject_id, detail=detail)


def _show(template: str, **context: Any) -> str:
    _record_view(template)
    commit()
    return render_template(template, **context)
