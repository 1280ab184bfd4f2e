"""The pages that move answers to the right visit or the right person: find the visit, then confirm."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.course import Course
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answer_corrections import moves, visit_answers
from pro_tracker.services.answer_corrections.moves import MoveFacts
from pro_tracker.services.answer_corrections.previews import ResponsePair
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.answers import selection, visit_page
from pro_tracker.web.staff.answers.forms import ALL, FindForm, MoveForm
from pro_tracker.web.staff.answers.visit_page import ShownVisit
from pro_tracker.web.staff.blueprint import blueprint, event_title, local_day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms import fields

URL = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/answers/move"
FIND = "find"  # name of the button that looks for visits


@blueprint.get(URL)
@access.staff(Role.COORDINATOR)
def move_of_answers(subject_id: uuid.UUID, visit_id: int) -> Page:
    shown = visit_page.find(subject_id, visit_id)
    data = {**selection.as_shown(visit_id), "study_code": shown.subject.study_code}
    return _find_page(shown, FindForm(visit_answers.of_visit(db_session(), visit_id), formdata=None, data=data))


@blueprint.post(URL)
@access.staff(Role.COORDINATOR)
def move_answers(subject_id: uuid.UUID, visit_id: int) -> Page | Response:
    shown = visit_page.find(subject_id, visit_id)
    search = FindForm(visit_answers.of_visit(db_session(), visit_id))
    other = _found(search) if search.validate() else None
    if other is None:
        return _find_page(shown, search)
    form = _move_form(shown, other)
    if FIND in request.form:
        return _move_page(shown, other, form)
    code = other.study_code
    return visit_page.save(
        replace(shown, other=other),
        form,
        lambda now: _move(shown, other, form, now),
        success_message=_("The answers are moved to %(code)s.", code=code),
        show_form=lambda: _move_page(visit_page.find(subject_id, visit_id), _again(other), form),
    )


def _found(search: FindForm) -> Subject | None:
    """Returns the patient with this study code; None, with an error in the form, if the account may not see one."""
    try:
        found = visibility.find_subject_by_code(db_session(), access.account(), search.study_code.data)
        return visibility.find_subject(db_session(), access.account(), found.person_id)
    except NotFound as error:
        current.add_error(search, "study_code", str(error))
        return None


def _again(subject: Subject) -> Subject:
    """Returns the subject as stored, after a rollback."""
    return visibility.find_subject(db_session(), access.account(), subject.id)


def _move_form(shown: ShownVisit, other: Subject) -> MoveForm:
    answered = visit_answers.of_visit(db_session(), shown.visit.id)
    # The form of the search, sent by its own button, has no fields for the move: nothing is to be checked yet.
    form = MoveForm(answered)
    targets = moves.targets(db_session(), other, _selected(shown, form))
    form.target.choices = fields.choices((str(visit.id), _target_label(visit, other)) for visit in targets)
    return form


def _selected(shown: ShownVisit, form: FindForm) -> Sequence[QuestionnaireResponse]:
    responses = visit_page.responses(shown.visit.id)
    if form.which.data == ALL:
        return list(responses.values())
    return [response for code, response in responses.items() if code == form.which.data]


def _target_label(visit: Visit, subject: Subject) -> str:
    course = db_session().get_one(Course, visit.course_id)
    state, _kind = labels.visit_state(visit, clock.now())
    return str(
        _("%(event)s, course %(number)s: %(opens)s – %(closes)s (%(state)s)", event=event_title(visit, course),
          number=course.number, opens=local_day(visit.opens_at, subject.time_zone),
          closes=local_day(visit.closes_at, subject.time_zone), state=state)
    )  # fmt: skip


def _move(shown: ShownVisit, other: Subject, form: MoveForm, now: datetime) -> Sequence[ResponsePair]:
    session = db_session()
    responses = selection.chosen(shown, form)
    target = visibility.find_visit(session, other, int(form.target.data))
    facts = MoveFacts(target, form.reason.data, confirmed=bool(form.sure.data))
    moved = moves.move(session, access.actor(), responses, facts, now=now)
    return list(zip(responses, moved, strict=True))


def _warnings(shown: ShownVisit, other: Subject, form: MoveForm) -> list[Any]:
    """Returns what to check about the chosen visit; nothing before one is chosen."""
    chosen = form.target.data
    known = [choice.value for choice in form.target.choices]
    if chosen not in known:
        return []
    target = visibility.find_visit(db_session(), other, int(chosen))
    responses = _selected(shown, form)
    if not responses:
        return []
    return [labels.MOVE_WARNINGS[code] for code in moves.warnings(db_session(), shown.visit, target, responses)]


def _find_page(shown: ShownVisit, form: FindForm) -> Page:
    return current.show(
        "staff/answers/find_visit.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        form=form,
        find=FIND,
        url=shown.url,
    )


def _move_page(shown: ShownVisit, other: Subject, form: MoveForm) -> Page:
    """Returns the page with the other patient's visits; the view of that patient is recorded, too."""
    detail: audit.Detail = {"page": "staff/answers/move.html"}
    if other.id != shown.subject.id:
        audit.record(db_session(), access.actor(), "subject.view", now=clock.now(), subject_id=other.id, detail=detail)
    return current.show(
        "staff/answers/move.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        form=form,
        other=other,
        warnings=_warnings(shown, other, form),
        find=FIND,
        url=shown.url,
    )
