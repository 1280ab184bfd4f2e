"""The page of the helper whom a patient trusts: recorded with the patient's agreement, corrected, and removed."""

import uuid
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts import trusted_helper
from pro_tracker.services.contacts.trusted_helper import HelperFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.helper_forms import HelperForm, RemoveHelperForm

REMOVE = "remove"  # prefix of field names, since the page has two forms
ACTIONS = ("helper.record", "helper.correct", "helper.remove")


@blueprint.get("/subjects/<uuid:subject_id>/helper", endpoint="helper")
@access.staff(Role.COORDINATOR)
def show_helper(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/helper")
@access.staff(Role.COORDINATOR)
def record_helper(subject_id: uuid.UUID) -> Page | Response:
    form = HelperForm()
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("The helper is saved."),
        show_form=lambda: _page(subject_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/helper/remove")
@access.staff(Role.COORDINATOR)
def remove_helper(subject_id: uuid.UUID) -> Page | Response:
    form = RemoveHelperForm(prefix=REMOVE)
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: trusted_helper.remove(
            db_session(), subject, HelperEnding(form.reason.data), now=now, actor=access.actor()
        ),
        success_message=_("The helper is removed, and gets no more messages."),
        show_form=lambda: _page(subject_id, remove_form=form),
    )


def _record(subject: Subject, form: HelperForm, now: datetime) -> None:
    session = db_session()
    subject_lock.lock(session, subject)
    requested = form.facts()
    recorded = trusted_helper.of(subject)
    changer = Changer(subject.id, subject.time_zone, ACTIONS)
    edit_conflicts.reject_stale(form, _values(recorded), _values(requested), changer)
    trusted_helper.record(session, subject, requested, now=now, actor=access.actor())


def _values(facts: HelperFacts) -> edit_conflicts.RecordedValues:
    return {
        _("helper"): facts.relation or _("none"),
        _("address"): facts.email or "–",
        _("agreed on"): day(facts.agreed_on) if facts.agreed_on else "–",
    }


def _fresh_form(subject: Subject) -> HelperForm:
    recorded = trusted_helper.of(subject)
    form = HelperForm(formdata=None, obj=recorded)
    edit_conflicts.remember(form, _values(recorded))
    return form


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """Returns the page; `failed` holds the form that was sent. The other form shows what is recorded."""
    subject = current.subject(subject_id)
    return current.show(
        "staff/helper.html",
        subject,
        form=failed.get("form") or _fresh_form(subject),
        remove_form=failed.get("remove_form") or RemoveHelperForm(formdata=None, prefix=REMOVE),
    )
