"""Pages for the pauses of a patient: the list, a new pause, a change of its last day, and removal."""

import uuid
from datetime import date, datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseEndFacts, PauseFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint, day, local_moment
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer, RowChange
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.pause_forms import PauseEndForm, PauseForm

REMOVE = "remove"  # prefix of field names, since the page of one pause has two forms


@blueprint.get("/subjects/<uuid:subject_id>/pauses", endpoint="pauses")
@access.staff(Role.COORDINATOR)
def list_pauses(subject_id: uuid.UUID) -> Page:
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
    pauses.get(db_session(), current.subject(subject_id), pause_id)
    return _page(subject_id, pause_id)


@blueprint.post("/subjects/<uuid:subject_id>/pauses/<int:pause_id>")
@access.staff(Role.COORDINATOR)
def end_pause(subject_id: uuid.UUID, pause_id: int) -> Page | Response:
    form = PauseEndForm()
    subject = current.subject(subject_id)
    changed = pauses.find(db_session(), subject, pause_id)
    if changed is None:
        return _removed_page(subject, pause_id, form)
    return preview.save(
        subject,
        form,
        lambda now: _change_end(subject, changed, form, now),
        success_message=_("The pause is changed."),
        show_form=lambda: _page(subject_id, pause_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/pauses/<int:pause_id>/remove")
@access.staff(Role.COORDINATOR)
def remove_pause(subject_id: uuid.UUID, pause_id: int) -> Page | Response:
    form = RemovalForm(prefix=REMOVE)
    subject = current.subject(subject_id)
    removed = pauses.find(db_session(), subject, pause_id)
    if removed is None:
        return _removed_page(subject, pause_id, None)
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
    pauses.begin(db_session(), access.actor(), subject, facts, now=now)


def _change_end(subject: Subject, changed: Pause, form: PauseEndForm, now: datetime) -> None:
    session = db_session()
    subject_lock.lock(session, subject)
    pauses.read_again(session, changed)
    changer = Changer(subject.id, subject.time_zone, ("pause.begin", "pause.end"))
    recorded = _values(changed)
    requested = {**recorded, **_end_values(form.until_on.data)}
    edit_conflicts.reject_stale(form, recorded, requested, changer)
    end = PauseEndFacts(form.until_on.data, form.reason.data)
    pauses.change_end(db_session(), access.actor(), changed, end, now=now)


def _values(recorded: Pause) -> edit_conflicts.RecordedValues:
    return {_("first day"): day(recorded.from_on), **_end_values(recorded.until_on)}


def _end_values(until_on: date | None) -> edit_conflicts.RecordedValues:
    return {_("last day"): day(until_on) if until_on else _("not known yet")}


def _remove(removed: Pause, form: RemovalForm, now: datetime) -> None:
    pauses.remove(
        db_session(),
        access.actor(),
        removed,
        reason=form.reason.data,
        now=now,
    )


def _list_page(subject_id: uuid.UUID, form: PauseForm) -> Page:
    listed = pauses.for_subject(db_session(), subject_id)
    subject = current.subject(subject_id)
    return current.show("staff/pauses.html", subject, form=form, pauses=listed)


def _removed_page(subject: Subject, pause_id: int, typed: PauseEndForm | None) -> Page:
    """Returns the list with the form of a new pause, which holds what was typed about one that was removed since."""
    removal = pauses.removal(db_session(), subject, pause_id)
    if removal is None:
        raise NotFound(_("This patient has no such pause."))
    data = {"from_on": removal.from_on}
    if typed is not None:
        data |= {"until_on": typed.until_on.data, "reason": typed.reason.data}
    form = PauseForm(formdata=None, data=data)
    by = editors.name_at(db_session(), subject.id, ("pause.remove",), removal.at)
    change = RowChange(by, local_moment(removal.at, subject.time_zone), removal.reason)
    form.form_errors.append(edit_conflicts.conflict_text(change, None, None))
    return _list_page(subject.id, form)


def _page(
    subject_id: uuid.UUID,
    pause_id: int,
    *,
    form: PauseEndForm | None = None,
    remove: RemovalForm | None = None,
) -> Page:
    """Returns the page of one pause. A form that was not sent starts with today and no reason."""
    subject = current.subject(subject_id)
    shown = pauses.find(db_session(), subject, pause_id)
    if shown is None:
        return _removed_page(subject, pause_id, form)
    if form is None:
        today = local_date(clock.now(), subject.time_zone)
        form = PauseEndForm(formdata=None, data={"until_on": today})
        edit_conflicts.remember(form, _values(shown))
    return current.show(
        "staff/pause.html",
        subject,
        pause=shown,
        form=form,
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
