"""The page that records a death, corrects its date, and reverts it."""

import uuid
from datetime import date, datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.course_forms import RevertReasonForm
from pro_tracker.web.staff.forms.death_form import DeathForm

REVERT = "revert"  # prefix of field names, since the page has two forms once a death is recorded
ACTIONS = ("death.record", "death.correct", "death.revert")


@blueprint.get("/subjects/<uuid:subject_id>/death")
@access.staff(Role.COORDINATOR)
def death(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/death")
@access.staff(Role.COORDINATOR)
def record_death(subject_id: uuid.UUID) -> Page | Response:
    """Records the death, or corrects its date if it is recorded already."""
    subject = current.subject(subject_id)
    form = DeathForm(is_correction=subject.death_recorded_at is not None)
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("The death is recorded. Nobody is written to or called any more."),
        show_form=lambda: _page(subject_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/death/revert")
@access.staff(Role.COORDINATOR)
def revert_death(subject_id: uuid.UUID) -> Page | Response:
    form = RevertReasonForm(prefix=REVERT)
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: deaths.revert(db_session(), access.actor(), subject, reason=form.reason.data, now=now),
        success_message=_("The record of the death is reverted."),
        show_form=lambda: _page(subject_id, revert_form=form),
    )


def _record(subject: Subject, form: DeathForm, now: datetime) -> None:
    session = db_session()
    subject_lock.lock(session, subject)
    facts = form.facts()
    changer = Changer(subject.id, subject.time_zone, ACTIONS)
    edit_conflicts.reject_stale(form, _recorded(subject), _values(facts.died_on, facts.precision), changer)
    save = deaths.record if subject.death_recorded_at is None else deaths.correct
    save(session, access.actor(), subject, facts, now=now)


def _recorded(subject: Subject) -> edit_conflicts.RecordedValues:
    return _values(subject.died_on, subject.died_on_precision)


def _values(died_on: date | None, precision: DeathDatePrecision | None) -> edit_conflicts.RecordedValues:
    return {
        _("date of death"): day(died_on) if died_on else "–",
        _("certainty"): str(labels.DEATH_DATE_PRECISIONS[precision]) if precision else _("no death"),
    }


def _fresh_form(subject: Subject) -> DeathForm:
    data = {"died_on": subject.died_on, "precision": subject.died_on_precision}
    form = DeathForm(is_correction=subject.death_recorded_at is not None, formdata=None, data=data)
    edit_conflicts.remember(form, _recorded(subject))
    return form


def _page(subject_id: uuid.UUID, *, form: DeathForm | None = None, revert_form: RevertReasonForm | None = None) -> Page:
    subject = current.subject(subject_id)
    last = editors.last_change(db_session(), subject.id, ACTIONS)
    return current.show(
        "staff/death.html",
        subject,
        form=form or _fresh_form(subject),
        revert_form=revert_form or RevertReasonForm(formdata=None, prefix=REVERT),
        recorded_by=last.by if last else "",
    )
