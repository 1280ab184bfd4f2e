"""The page with all answers of a visit: in effect, corrected and late, with who corrected what, when and why."""

import uuid

from pro_tracker.domain.account_codes import Role
from pro_tracker.services.answer_corrections import correction_history, visit_answers
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.answers import visit_page
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page


@blueprint.get("/subjects/<uuid:subject_id>/visits/<int:visit_id>/answers", endpoint="answers")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def show_answers(subject_id: uuid.UUID, visit_id: int) -> Page:
    session = db_session()
    shown = visit_page.find(subject_id, visit_id)
    return current.show(
        "staff/answers/answers.html",
        shown.subject,
        visit=shown.visit,
        course=shown.course,
        answered=visit_answers.of_visit(session, visit_id),
        corrections=correction_history.of_visit(session, shown.visit),
        late=correction_history.late_answers_of(session, shown.visit),
    )
