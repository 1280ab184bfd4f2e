"""The page that corrects who a patient is: name, birth date, record number, sex and the newest consent."""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import date, datetime

from flask import url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.subject_codes import IdentityField, Sex
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import identity_corrections
from pro_tracker.services.enrolment.identity_corrections import IdentityFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, fact_preview
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer, RecordedValues
from pro_tracker.web.staff.fact_preview import FactChange, FactLine, Saving
from pro_tracker.web.staff.forms.identity_form import IdentityForm


@blueprint.get("/subjects/<uuid:subject_id>/identity")
@access.staff(Role.COORDINATOR)
def identity(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/identity")
@access.staff(Role.COORDINATOR)
def correct_identity(subject_id: uuid.UUID) -> Page | Response:
    form = IdentityForm()
    subject = current.subject(subject_id)
    saving = Saving(
        success_message=_("The identity is corrected."),
        next_url=lambda: url_for("staff.subject", subject_id=subject_id),
        show_form=lambda: _page(subject_id, form),
    )
    return fact_preview.save(subject, form, lambda now: _correct(subject, form, now), saving)


def _correct(subject: Subject, form: IdentityForm, now: datetime) -> FactChange:
    session = db_session()
    subject_lock.lock(session, subject)
    before = _values(identity_corrections.recorded(session, subject))
    correction = form.correction()
    requested = _values(correction.facts)
    changer = Changer(subject.id, subject.time_zone, ("subject.correct-identity",))
    edit_conflicts.reject_stale(form, before, requested, changer)
    changed = identity_corrections.correct(
        session,
        access.actor(),
        subject,
        correction,
        now=now,
    )
    after = _values(identity_corrections.recorded(session, subject))
    lines = _lines(changed, before, after)
    effects = _effects(changed)
    return FactChange(list(lines), list(effects))


def _lines(
    changed: Collection[IdentityField],
    before: RecordedValues,
    after: RecordedValues,
) -> Iterator[FactLine]:
    for field in changed:
        label = str(labels.IDENTITY_FIELDS[field])
        yield FactLine(label, before[label], after[label])


def _effects(changed: Collection[IdentityField]) -> Iterator[str]:
    if IdentityField.BIRTH_DATE in changed:
        yield _("The patient's pages ask for the new date of birth at once. Wrong tries are forgotten.")
        yield _("Links that wrong tries ended work again. The age at enrollment follows in files.")
    yield _("Study code, links and answers stay as they are. The former values are kept, encrypted.")


def _values(facts: IdentityFacts) -> RecordedValues:
    """Returns every field in words, by its label."""
    values: dict[str, str] = {}
    for field, label in labels.IDENTITY_FIELDS.items():
        value = getattr(facts, field.attribute)
        values[str(label)] = _text(value)
    return values


def _text(value: str | date | None) -> str:
    if isinstance(value, Sex):
        return str(labels.SEXES[value])
    if isinstance(value, str):
        return value or "–"
    return day(value)


def _page(subject_id: uuid.UUID, form: IdentityForm | None = None) -> Page:
    subject = current.subject(subject_id)
    if form is None:
        form = _fresh_form(subject)
    return current.show("staff/identity.html", subject, form=form)


def _fresh_form(subject: Subject) -> IdentityForm:
    recorded = identity_corrections.recorded(db_session(), subject)
    form = IdentityForm(formdata=None, data=asdict(recorded))
    edit_conflicts.remember(form, _values(recorded))
    return form
