"""The buttons with which a clinician says that the answers of a visit were looked at, and takes it back."""

import uuid

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.services.answer_corrections import acknowledgements
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint

URL = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/looked-at"


@blueprint.post(URL)
@access.staff(Role.CLINICIAN)
def acknowledge(subject_id: uuid.UUID, visit_id: int) -> Response:
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    acknowledgements.acknowledge(db_session(), access.actor(), subject, visit, now=clock.now())
    commit()
    flash(_("Marked: the answers were looked at."))
    return _back(subject_id)


@blueprint.post(f"{URL}/undo")
@access.staff(Role.CLINICIAN)
def undo_acknowledge(subject_id: uuid.UUID, visit_id: int) -> Response:
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    acknowledgements.undo(db_session(), access.actor(), subject, visit, now=clock.now())
    commit()
    flash(_("The mark is removed."))
    return _back(subject_id)


def _back(subject_id: uuid.UUID) -> Response:
    return redirect(url_for("staff.subject", subject_id=subject_id, _anchor="visits"), 303)
