"""Pages that record an adverse event of any day, correct it, and void one that was entered in error."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import ChangedSince, NotFound
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import AdverseEvent
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors, visibility
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.treatment import adverse_event_facts, adverse_events
from pro_tracker.services.treatment.adverse_events import AdverseEventCorrectionFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts
from pro_tracker.web.staff.blueprint import blueprint, local_moment
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import RowChange
from pro_tracker.web.staff.forms.adverse_event_form import (
    AdverseEventCorrectionForm,
    AdverseEventForm,
    AdverseEventVoidForm,
    as_recorded,
)

ID = re.compile("[0-9]{1,18}")
VOID = "void"  # prefix of field names, since the page of one adverse event has two forms
VOIDING = ("adverse-event.correct", "adverse-event.void", "infusion.correct", "infusion.remove")


@blueprint.get("/subjects/<uuid:subject_id>/adverse-events/new")
@access.staff(Role.COORDINATOR)
def new_adverse_event(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    today = local_date(clock.now(), subject.site.time_zone)
    return _new_page(subject, AdverseEventForm(data={"found_on": today}))


@blueprint.post("/subjects/<uuid:subject_id>/adverse-events/new")
@access.staff(Role.COORDINATOR)
def record_adverse_event(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = AdverseEventForm()
    if not _saved(form, lambda now: _record(subject, form, now)):
        return _new_page(current.subject(subject_id), form)
    flash(_("The adverse event is recorded."))
    return redirect(_back(subject_id), 303)


@blueprint.get("/subjects/<uuid:subject_id>/adverse-events/<int:event_id>")
@access.staff(Role.COORDINATOR)
def adverse_event(subject_id: uuid.UUID, event_id: int) -> Page | Response:
    """Shows the form of one adverse event. The URL of one that was corrected leads to its correction."""
    subject = current.subject(subject_id)
    newest = adverse_events.newest(db_session(), _event(subject, event_id))
    if newest is None:
        raise NotFound(_("This adverse event was entered in error. The patient's page says when and why."))
    if newest.id != event_id:
        return redirect(url_for("staff.adverse_event", subject_id=subject_id, event_id=newest.id), 303)
    return _page(subject, newest)


@blueprint.post("/subjects/<uuid:subject_id>/adverse-events/<int:event_id>")
@access.staff(Role.COORDINATOR)
def correct_adverse_event(subject_id: uuid.UUID, event_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    shown = _event(subject, event_id)
    form = AdverseEventCorrectionForm()
    if not _saved(form, lambda now: _correct(subject, shown, form, now)):
        return _after_failure(current.subject(subject_id), event_id, form)
    flash(_("The adverse event is corrected."))
    return _to_subject(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/adverse-events/<int:event_id>/void")
@access.staff(Role.COORDINATOR)
def void_adverse_event(subject_id: uuid.UUID, event_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    shown = _event(subject, event_id)
    form = AdverseEventVoidForm(prefix=VOID)
    if not _saved(form, lambda now: _void(subject, shown, form, now)):
        return _after_failed_void(current.subject(subject_id), event_id, form)
    flash(_("The adverse event is marked as entered in error."))
    return _to_subject(subject_id)


def _record(subject: Subject, form: AdverseEventForm, now: datetime) -> None:
    adverse_events.record(
        db_session(),
        access.actor(),
        subject,
        form.facts(),
        now=now,
    )


def _correct(subject: Subject, shown: AdverseEvent, form: AdverseEventCorrectionForm, now: datetime) -> None:
    _reject_voided(subject, shown)
    correction = AdverseEventCorrectionFacts(form.facts(), form.reason.data)
    adverse_events.correct(
        db_session(),
        access.actor(),
        shown,
        correction,
        now=now,
    )


def _void(subject: Subject, shown: AdverseEvent, form: AdverseEventVoidForm, now: datetime) -> None:
    _reject_voided(subject, shown)
    adverse_events.void(
        db_session(),
        access.actor(),
        shown,
        reason=form.reason.data,
        now=now,
    )


def _saved(form: Any, save: Callable[[datetime], None]) -> bool:
    if not form.validate():
        return False
    return bool(current.submit(form, lambda: save(clock.now())))


def _event(subject: Subject, event_id: int) -> AdverseEvent:
    return adverse_events.find(db_session(), subject, event_id)


def _reject_voided(subject: Subject, shown: AdverseEvent) -> None:
    """Raises ChangedSince, which says who changed what, if the event is not as the form showed it any more."""
    session = db_session()
    subject_lock.lock(session, subject)
    if shown.voided_at is None:
        return
    newest = adverse_events.newest(session, shown)
    by = editors.name_at(session, subject.id, VOIDING, shown.voided_at)
    at = local_moment(shown.voided_at, subject.time_zone)
    change = RowChange(by, at, shown.void_reason or "")
    after = _filled(newest) if newest else None
    raise ChangedSince(edit_conflicts.conflict_text(change, _filled(shown), after))


def _after_failure(subject: Subject, event_id: int, form: AdverseEventCorrectionForm) -> Page:
    """Returns the page with the submitted form; after a conflict for the row that is recorded now, or for a new one."""
    shown = _event(subject, event_id)
    newest = adverse_events.newest(db_session(), shown)
    if not form.form_errors or newest is shown:
        return _page(subject, shown, form=form)
    if newest is None:
        new = AdverseEventForm()
        new.form_errors = list(form.form_errors)
        return _new_page(subject, new)
    return _page(subject, newest, form=_merged(form, shown, newest))


def _after_failed_void(subject: Subject, event_id: int, form: AdverseEventVoidForm) -> Page:
    shown = _event(subject, event_id)
    newest = adverse_events.newest(db_session(), shown)
    return _page(subject, newest or shown, void=form)


def _merged(form: AdverseEventCorrectionForm, shown: AdverseEvent, newest: AdverseEvent) -> AdverseEventCorrectionForm:
    """Returns the submitted form for the row that is recorded now: what was typed, and the rest as recorded now."""
    data = edit_conflicts.merged(form, _filled(shown), _filled(newest))
    merged = AdverseEventCorrectionForm(formdata=data)
    merged.form_errors = form.form_errors
    return merged


def _filled(event: AdverseEvent) -> AdverseEventCorrectionForm:
    facts = adverse_event_facts.facts_of(event)
    return AdverseEventCorrectionForm(formdata=None, data=as_recorded(facts))


def _to_subject(subject_id: uuid.UUID) -> Response:
    return redirect(url_for("staff.subject", subject_id=subject_id, _anchor="adverse-events"), 303)


def _call_id() -> int | None:
    """Returns the id of the call in the URL; None without one, or for what no id can be."""
    entered = request.args.get("call", "")
    return int(entered) if ID.fullmatch(entered) else None


def _back(subject_id: uuid.UUID) -> str:
    """Returns the page of the call during which it was told, else that of the patient."""
    call_id = _call_id()
    if call_id is None:
        return url_for("staff.subject", subject_id=subject_id, _anchor="adverse-events")
    return url_for("staff.call", call_id=visibility.find_call(db_session(), access.account(), call_id).id)


def _new_page(subject: Subject, form: AdverseEventForm) -> Page:
    return current.show(
        "staff/adverse_event_new.html",
        subject,
        form=form,
        call_id=_call_id(),
        back=_back(subject.id),
    )


def _page(
    subject: Subject,
    event: AdverseEvent,
    *,
    form: AdverseEventCorrectionForm | None = None,
    void: AdverseEventVoidForm | None = None,
) -> Page:
    return current.show(
        "staff/adverse_event.html",
        subject,
        event=event,
        form=form or _filled(event),
        void=void or AdverseEventVoidForm(formdata=None, prefix=VOID),
    )
