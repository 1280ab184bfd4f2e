"""Pages for the pauses of a patient: the list, a new pause, a change of its last day, and removal."""

import uuid
from datetime import datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from pro_tracker.services.treatment import pauses as service
from pro_tracker.services.treatment.pauses import PauseFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.pause_forms import PauseEndForm, PauseForm

REMOVE = "remove"  # prefix of field names, since the page of one pause has two forms


@blueprint.get("/subjects/<uuid:subject_id>/pauses")
@access.staff(Role.COORDINATOR)
def pauses(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.time_zone)
    form = PauseForm(data={"from_on": today})
    return _list_page(subject_id, form)


@blueprint.post("/subjects/<uuid:subject_id>/pauses")
@access.staff(Role.COORDINATOR)
def begin_pause(subject_id: uuid.UUID) -> Page | Response:
    form = PauseForm()
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: _begin(subject, form, now),
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
    form = PauseEndForm()
    subject = current.subject(subject_id)
    changed = service.get(db_session(), subject, pause_id)
    return preview.save(
        subject,
        form,
        lambda now: _change_end(changed, form, now),
        success_message=_("The pause is changed."),
        show_form=lambda: _page(subject_id, pause_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/pauses/<int:pause_id>/remove")
@access.staff(Role.COORDINATOR)
def remove_pause(subject_id: uuid.UUID, pause_id: int) -> Page | Response:
    form = RemovalForm(prefix=REMOVE)
    subject = current.subject(subject_id)
    removed = service.get(db_session(), subject, pause_id)
    return preview.save(
        subject,
        form,
        lambda now: _remove(removed, form, now),
        success_message=_("The pause is removed."),
        show_form=lambda: _page(subject_id, pause_id, remove=form),
    )


def _begin(subject: Subject, form: PauseForm, now: datetime) -> None:
    facts = PauseFacts(
        form.from_on.data,
        form.until_on.data,
        form.reason.data,
    )
    service.begin(db_session(), access.actor(), subject, facts, now=now)


def _change_end(changed: Pause, form: PauseEndForm, now: datetime) -> None:
    service.change_end(
        db_session(),
        access.actor(),
        changed,
        until_on=form.until_on.data,
        reason=form.reason.data,
        now=now,
    )


def _remove(removed: Pause, form: RemovalForm, now: datetime) -> None:
    service.remove(
        db_session(),
        access.actor(),
        removed,
        reason=form.reason.data,
        now=now,
    )


def _list_page(subject_id: uuid.UUID, form: PauseForm) -> Page:
    listed = service.for_subject(db_session(), subject_id)
    subject = current.subject(subject_id)
    return current.show("staff/pauses.html", subject, form=form, pauses=listed)


def _page(
    subject_id: uuid.UUID,
    pause_id: int,
    *,
    form: PauseEndForm | None = None,
    remove: RemovalForm | None = None,
) -> Page:
    """Returns the page of one pause. A form that was not sent starts with today and no reason."""
    subject = current.subject(subject_id)
    shown: Pause = service.get(db_session(), subject, pause_id)
    if form is None:
        today = local_date(clock.now(), subject.time_zone)
        form = PauseEndForm(formdata=None, data={"until_on": today})
    return current.show(
        "staff/pause.html",
        subject,
        pause=shown,
        form=form,
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
