"""Pauses of a patient: the list, a new one, another last day, and one that was entered in error."""

import uuid

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Pause
from pro_tracker.services.treatment import pauses as service
from pro_tracker.services.treatment.pauses import PauseFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.pause_forms import PauseEndForm, PauseForm

REMOVE = "remove"  # prefix: two forms stand on the page of one pause


@blueprint.get("/subjects/<uuid:subject_id>/pauses")
@access.staff(Role.COORDINATOR)
def pauses(subject_id: uuid.UUID) -> Page:
    today = local_date(clock.now(), current.subject(subject_id).time_zone)
    return _list_page(subject_id, PauseForm(data={"from_on": today}))


@blueprint.post("/subjects/<uuid:subject_id>/pauses")
@access.staff(Role.COORDINATOR)
def begin_pause(subject_id: uuid.UUID) -> Page | Response:
    form, subject = PauseForm(), current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: service.begin(
            db_session(),
            access.actor(),
            subject,
            PauseFacts(form.from_on.data, form.until_on.data, form.reason.data),
            now=now,
        ),
        success_message=_("The pause is recorded. Messages wait until it is over."),
        show_form=lambda: _list_page(subject_id, form),
    )


@blueprint.get("/subjects/<uuid:subject_id>/pauses/<int:pause_id>")
@access.staff(Role.COORDINATOR)
def pause(subject_id: uuid.UUID, pause_id: int) -> Page:
    return _page(subject_id, pause_id)


@blueprint.post("/subjects/<uuid:subject_id>/pauses/<int:pause_id>")
@access.staff(Role.COORDINATOR)
def end_pause(subject_id: uuid.UUID, pause_id: int) -> Page | Response:
    form, subject = PauseEndForm(), current.subject(subject_id)
    changed = service.get(db_session(), subject, pause_id)
    return preview.save(
        subject,
        form,
        lambda now: service.change_end(
            db_session(), access.actor(), changed, until_on=form.until_on.data, reason=form.reason.data, now=now
        ),
        success_message=_("The pause is changed."),
        show_form=lambda: _page(subject_id, pause_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/pauses/<int:pause_id>/remove")
@access.staff(Role.COORDINATOR)
def remove_pause(subject_id: uuid.UUID, pause_id: int) -> Page | Response:
    form, subject = RemovalForm(prefix=REMOVE), current.subject(subject_id)
    removed = service.get(db_session(), subject, pause_id)
    return preview.save(
        subject,
        form,
        lambda now: service.remove(db_session(), access.actor(), removed, reason=form.reason.data, now=now),
        success_message=_("The pause is removed."),
        show_form=lambda: _page(subject_id, pause_id, remove=form),
    )


def _list_page(subject_id: uuid.UUID, form: PauseForm) -> Page:
    listed = service.for_subject(db_session(), subject_id)
    return current.show("staff/pauses.html", current.subject(subject_id), form=form, pauses=listed)


def _page(
    subject_id: uuid.UUID, pause_id: int, *, form: PauseEndForm | None = None, remove: RemovalForm | None = None
) -> Page:
    subject = current.subject(subject_id)
    shown: Pause = service.get(db_session(), subject, pause_id)
    return current.show(
        "staff/pause.html",
        subject,
        pause=shown,
        form=form or PauseEndForm(formdata=None, data={"until_on": local_date(clock.now(), subject.time_zone)}),
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
