"""The page of the texts that a patient sent to the clinic's number: staff read them and mark them as dealt with."""

import uuid

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.services.contacts import incoming_texts
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page


@blueprint.get("/subjects/<uuid:subject_id>/texts")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def texts(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    found = incoming_texts.of_subject(db_session(), subject)
    return current.show("staff/texts.html", subject, texts=found)


@blueprint.post("/subjects/<uuid:subject_id>/texts/<uuid:text_id>/handled")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def handle_text(subject_id: uuid.UUID, text_id: uuid.UUID) -> Response:
    subject = current.subject(subject_id)
    incoming_texts.handle(db_session(), access.account(), subject, text_id, now=clock.now())
    commit()
    flash(_("Noted: this text is dealt with."))
    return redirect(url_for("staff.texts", subject_id=subject_id), 303)
