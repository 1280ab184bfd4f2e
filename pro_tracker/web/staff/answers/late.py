"""The page on which staff decide about an answer that arrived late."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask import flash, redirect
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.response_codes import LateAnswerOutcome
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.services.answer_corrections import correction_history, late_decisions
from pro_tracker.services.answer_corrections.previews import ResponsePair
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.answers import visit_page
from pro_tracker.web.staff.answers.forms import LateAnswerForm
from pro_tracker.web.staff.answers.visit_page import ShownVisit
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page

URL = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/answers/late/<int:late_id>"


@blueprint.get(URL)
@access.staff(Role.COORDINATOR)
def late_answer(subject_id: uuid.UUID, visit_id: int, late_id: int) -> Page:
    return _page(visit_page.find(subject_id, visit_id), late_id, LateAnswerForm(formdata=None))


@blueprint.post(URL)
@access.staff(Role.COORDINATOR)
def decide_late_answer(subject_id: uuid.UUID, visit_id: int, late_id: int) -> Page | Response:
    shown = visit_page.find(subject_id, visit_id)
    late = late_decisions.get(db_session(), shown.visit, late_id)
    form = LateAnswerForm()
    if form.outcome.data == LateAnswerOutcome.KEPT_AS_SENT:
        return _keep_as_sent(shown, late, form)
    return visit_page.save(
        shown,
        form,
        lambda now: _apply(late, form, now),
        success_message=_("The late answer counts."),
        show_form=lambda: _page(visit_page.find(subject_id, visit_id), late_id, form),
    )


def _keep_as_sent(shown: ShownVisit, late: LateAnswer, form: LateAnswerForm) -> Page | Response:
    """Saves at once: neither scores nor the plan change."""
    url, subject_id, visit_id, late_id = shown.url, shown.subject.id, shown.visit.id, late.id
    actor, now = access.actor(), clock.now()
    if form.validate() and current.submit(
        form, lambda: late_decisions.keep_as_sent(db_session(), actor, late, now=now)
    ):
        flash(_("The answer stays as it was sent."))
        return redirect(url, 303)
    return _page(visit_page.find(subject_id, visit_id), late_id, form)


def _apply(late: LateAnswer, form: LateAnswerForm, now: datetime) -> Sequence[ResponsePair]:
    return [late_decisions.apply(db_session(), access.actor(), late, reason=form.reason.data, now=now)]


def _page(shown: ShownVisit, late_id: int, form: LateAnswerForm) -> Page:
    session = db_session()
    return current.show(
        "staff/answers/late.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        late=correction_history.read_late(session, late_decisions.get(session, shown.visit, late_id)),
        form=form,
        url=shown.url,
    )
