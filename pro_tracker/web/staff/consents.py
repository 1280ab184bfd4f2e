"""The page about a patient's consent: its state, every decision, and answers on paper or by telephone."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import consent_decisions, consent_states
from pro_tracker.services.enrolment.consent_decisions import Mistake
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.consent_form import ConsentRecordForm, RemoveConsentForm

REMOVE = "remove"  # prefix of field names, since the page has several forms


@blueprint.get("/subjects/<uuid:subject_id>/consent")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def consent(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/consent")
@access.staff(Role.COORDINATOR)
def record_consent(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = ConsentRecordForm(consent_states.of_subject(db_session(), subject).versions)
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("The decision is recorded."),
        show_form=lambda: _page(subject_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/consent/<int:decision_id>/remove")
@access.staff(Role.COORDINATOR)
def remove_consent(subject_id: uuid.UUID, decision_id: int) -> Page | Response:
    form = RemoveConsentForm(prefix=REMOVE)
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: consent_decisions.void(
            db_session(), access.actor(), subject, Mistake(decision_id, form.reason.data), now=now
        ),
        success_message=_("The entry is removed. It stays in the history."),
        show_form=lambda: _page(subject_id, remove_form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/consent/<int:decision_id>/acknowledge")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def acknowledge_decision(subject_id: uuid.UUID, decision_id: int) -> Response:
    """Takes a decline or a withdrawal from the worklist. Nothing else changes."""
    subject = current.subject(subject_id)
    consent_decisions.acknowledge(db_session(), access.actor(), subject, decision_id, now=clock.now())
    commit()
    flash(_("Seen. It is no longer on the worklist."))
    return redirect(url_for("staff.consent", subject_id=subject_id), 303)


def _record(subject: Subject, form: ConsentRecordForm, now: datetime) -> None:
    facts = form.facts(subject.language)
    visit_id = consent_states.visit_for_copy(db_session(), subject, facts.mode, now=now)
    consent_decisions.record(db_session(), access.actor(), subject, replace(facts, visit_id=visit_id), now=now)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """Returns the page; `failed` holds the form that was sent."""
    subject = current.subject(subject_id)
    known = consent_states.of_subject(db_session(), subject)
    return current.show(
        "staff/consent.html",
        subject,
        known=known,
        form=failed.get("form") or ConsentRecordForm(known.versions, formdata=None),
        remove_form=failed.get("remove_form") or RemoveConsentForm(formdata=None, prefix=REMOVE),
    )
