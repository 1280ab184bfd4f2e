"""The page that amends single answers of a response."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask import request
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import ChangedSince, NotFound
from pro_tracker.domain.response_codes import EditSource
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.answer_corrections import amendments, correction_history, visit_answers
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.answer_corrections.previews import ResponsePair
from pro_tracker.services.answer_corrections.visit_answers import ReadResponse
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts
from pro_tracker.web.staff.answers import visit_page
from pro_tracker.web.staff.answers.forms import AmendmentForm, amendment_form, as_recorded
from pro_tracker.web.staff.answers.visit_page import ShownVisit
from pro_tracker.web.staff.blueprint import blueprint, local_moment
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import RowChange

URL = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/answers/<code>/amend"


@blueprint.get(URL)
@access.staff(Role.COORDINATOR)
def amendment(subject_id: uuid.UUID, visit_id: int, code: str) -> Page:
    shown = visit_page.find(subject_id, visit_id)
    response = visit_answers.read(db_session(), _current(visit_id, code))
    return _page(shown, response, _fresh(response))


@blueprint.post(URL)
@access.staff(Role.COORDINATOR)
def amend_answers(subject_id: uuid.UUID, visit_id: int, code: str) -> Page | Response:
    shown = visit_page.find(subject_id, visit_id)
    response = visit_answers.read(db_session(), _as_shown(visit_id, code))
    form = amendment_form(response)()
    return visit_page.save(
        shown,
        form,
        lambda now: _amend(shown, response.row, form, now),
        success_message=_("The answers are corrected."),
        show_form=lambda: _form_page(visit_page.find(subject_id, visit_id), response.row.id, form),
    )


def _current(visit_id: int, code: str) -> QuestionnaireResponse:
    """Returns the response in effect. Raises NotFound."""
    found = visit_page.responses(visit_id).get(code)
    if found is None:
        raise NotFound(_("This visit has no answers to these questions. They may have been moved, or marked as wrong."))
    return found


def _as_shown(visit_id: int, code: str) -> QuestionnaireResponse:
    """Returns the response that the form was filled with, in effect or not. Raises NotFound."""
    shown_id = request.form.get("as_shown", "")
    rows = select(QuestionnaireResponse).where(
        QuestionnaireResponse.visit_id == visit_id, QuestionnaireResponse.instrument_code == code
    )
    for row in db_session().scalars(rows):
        if str(row.id) == shown_id:
            return row
    return _current(visit_id, code)


def _amend(
    shown: ShownVisit, response: QuestionnaireResponse, form: AmendmentForm, now: datetime
) -> Sequence[ResponsePair]:
    session = db_session()
    subject_lock.lock(session, shown.subject)
    newest = visit_page.responses(shown.visit.id).get(response.instrument_code)
    if newest is None or newest.id != response.id:
        raise ChangedSince(_conflict_text(shown, response, newest))
    facts = AmendmentFacts(form.answers(), EditSource(form.source.data), form.reason.data)
    return [(response, amendments.amend(session, access.actor(), response, facts, now=now))]


def _conflict_text(shown: ShownVisit, before: QuestionnaireResponse, newest: QuestionnaireResponse | None) -> str:
    """Returns who changed the response since it was shown, and how."""
    session = db_session()
    found = correction_history.of_visit(session, shown.visit)
    last = next(each for each in found if each.instrument_code == before.instrument_code)
    change = RowChange(last.by, local_moment(last.at, shown.subject.time_zone), last.reason)
    newest_form = _fresh(visit_answers.read(session, newest)) if newest is not None else None
    return edit_conflicts.conflict_text(change, _fresh(visit_answers.read(session, before)), newest_form)


def _form_page(shown: ShownVisit, response_id: int, form: AmendmentForm) -> Page:
    """Returns the page with the submitted form, after a conflict filled for the response that is in effect now."""
    session = db_session()
    before = visit_answers.read(session, session.get_one(QuestionnaireResponse, response_id))
    newest = visit_page.responses(shown.visit.id).get(before.row.instrument_code)
    if not form.form_errors or newest is None or newest.id == response_id:
        return _page(shown, before, form)
    after = visit_answers.read(session, newest)
    data = edit_conflicts.merged(form, _fresh(before), _fresh(after))
    data["as_shown"] = str(newest.id)
    merged = amendment_form(after)(formdata=data)
    merged.form_errors = list(form.form_errors)
    return _page(shown, after, merged)


def _fresh(response: ReadResponse) -> AmendmentForm:
    """Returns the form filled with the recorded answers."""
    return amendment_form(response)(formdata=None, data=as_recorded(response))


def _page(shown: ShownVisit, response: ReadResponse, form: AmendmentForm) -> Page:
    return current.show(
        "staff/answers/amend.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        response=response,
        form=form,
        url=shown.url,
    )
