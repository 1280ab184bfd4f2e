"""The page that marks answers of a visit as entered in error."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.services.answer_corrections import visit_answers, voids
from pro_tracker.services.answer_corrections.previews import ResponsePair
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.answers import selection, visit_page
from pro_tracker.web.staff.answers.forms import VoidForm
from pro_tracker.web.staff.answers.visit_page import ShownVisit
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page

URL = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/answers/remove"


@blueprint.get(URL)
@access.staff(Role.COORDINATOR)
def removal_of_answers(subject_id: uuid.UUID, visit_id: int) -> Page:
    shown = visit_page.find(subject_id, visit_id)
    form = VoidForm(visit_answers.of_visit(db_session(), visit_id), formdata=None, data=selection.as_shown(visit_id))
    return _page(shown, form)


@blueprint.post(URL)
@access.staff(Role.COORDINATOR)
def remove_answers(subject_id: uuid.UUID, visit_id: int) -> Page | Response:
    shown = visit_page.find(subject_id, visit_id)
    form = VoidForm(visit_answers.of_visit(db_session(), visit_id))
    return visit_page.save(
        shown,
        form,
        lambda now: _void(shown, form, now),
        success_message=_("The answers are marked as entered in error and count no longer."),
        show_form=lambda: _page(visit_page.find(subject_id, visit_id), form),
    )


def _void(shown: ShownVisit, form: VoidForm, now: datetime) -> Sequence[ResponsePair]:
    responses = selection.chosen(shown, form)
    voids.void(db_session(), access.actor(), responses, reason=form.reason.data, now=now)
    return [(response, None) for response in responses]


def _page(shown: ShownVisit, form: VoidForm) -> Page:
    return current.show(
        "staff/answers/remove.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        form=form,
        url=shown.url,
    )
