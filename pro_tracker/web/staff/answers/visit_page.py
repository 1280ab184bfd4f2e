"""Parts that the pages on the answers of a visit share: the visit, its responses, and saving after a preview."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import flash, redirect, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.models.course import Course
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answer_corrections import previews, visit_states
from pro_tracker.services.answer_corrections.previews import CorrectionPreview, ResponsePair
from pro_tracker.services.clinic import visibility
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.preview import BACK, SEEN, Comparison

Change = Callable[[datetime], Sequence[ResponsePair]]


@dataclass(frozen=True, slots=True)
class ShownVisit:
    """The visit of a page, with its subject and course."""

    subject: Subject
    visit: Visit
    course: Course
    other: Subject | None = None  # whose plan a change changes, too

    @property
    def url(self) -> str:
        """URL of the page with all its answers."""
        return url_for("staff.answers", subject_id=self.subject.id, visit_id=self.visit.id)


def find(subject_id: uuid.UUID, visit_id: int) -> ShownVisit:
    """Returns the visit. Raises NotFound if the signed-in account may not see it."""
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    return ShownVisit(subject, visit, db_session().get_one(Course, visit.course_id))


def responses(visit_id: int) -> dict[str, QuestionnaireResponse]:
    """Returns instrument code -> response in effect."""
    return visit_states.current_responses(db_session(), visit_id)


def save(
    shown: ShownVisit,
    form: FlaskForm,
    change: Change,
    *,
    success_message: str,
    show_form: Callable[[], Page],
) -> Page | Response:
    """Saves a correction after its effects on scores and plan were shown, and redirects to the answers of the visit.

    `show_form` returns the page with the submitted form.
    """
    if BACK in request.form or not form.validate():
        return show_form()
    now = clock.now()
    other = shown.other
    subject_id, visit_id, url = shown.subject.id, shown.visit.id, shown.url
    subjects = [subject_id, *([other.id] if other and other.id != subject_id else [])]
    codes = [shown.subject.study_code, other.study_code if other else ""]

    def preview_or_save() -> CorrectionPreview:
        return previews.preview(db_session(), subjects, lambda: change(now), now=now, keep=_was_seen)

    found = current.submit(form, preview_or_save)
    if found is None:
        return show_form()
    if not _was_seen(found):
        plans = [(code, _comparisons(plan)) for code, plan in zip(codes, found.plans, strict=False)]
        return _show(find(subject_id, visit_id), found, plans, success_message)
    flash(success_message)
    return redirect(url, 303)


def _was_seen(found: CorrectionPreview) -> bool:
    """Returns whether this is what the preview showed, and what staff confirmed."""
    return request.form.get(SEEN) == found.fingerprint


def _comparisons(plan: Any) -> tuple[Comparison, Comparison] | None:
    """Returns the tables of visits and messages that change; None if nothing does."""
    if plan.is_empty:
        return None
    return Comparison.of(plan.visits), Comparison.of(plan.messages)


def _show(shown: ShownVisit, found: CorrectionPreview, plans: Sequence[Any], success_message: str) -> Page:
    return current.show(
        "staff/answers/preview.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        found=found,
        plans=plans,
        success_message=success_message,
        carried=preview.submitted_entries(),
        changed_since=SEEN in request.form,
        seen=SEEN,
        back=BACK,
        url=shown.url,
    )
