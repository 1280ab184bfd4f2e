"""The page about a planned infusion that was not given: why, and when the next one is planned."""

import uuid
from datetime import date, datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import ChangedSince, InvalidInput
from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services.treatment import courses, missed_infusions
from pro_tracker.services.treatment.missed_infusions import MissedInfusionFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.course_forms import RemovalForm
from pro_tracker.web.staff.forms.missed_infusion_form import MissedInfusionForm

REMOVE = "remove"  # prefix of field names, since the page has two kinds of forms


@blueprint.get("/subjects/<uuid:subject_id>/missed-infusion")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def missed_infusion(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/missed-infusion")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def record_missed_infusion(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = MissedInfusionForm()
    return preview.save(
        subject,
        form,
        lambda now: _record(subject, form, now),
        success_message=_("It is recorded."),
        show_form=lambda: _page(subject_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/missed-infusion/<int:missed_id>/remove")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def remove_missed_infusion(subject_id: uuid.UUID, missed_id: int) -> Page | Response:
    subject = current.subject(subject_id)
    form = RemovalForm(prefix=REMOVE)
    row = missed_infusions.find(db_session(), subject, missed_id)
    return preview.save(
        subject,
        form,
        lambda now: missed_infusions.remove(db_session(), access.actor(), row, reason=form.reason.data, now=now),
        success_message=_("The entry is removed."),
        show_form=lambda: _page(subject_id, remove=form),
    )


def _record(subject: Subject, form: MissedInfusionForm, now: datetime) -> None:
    course = _course(subject)
    if course is None:
        raise InvalidInput(_("This patient has no course yet. Start one first."))
    facts = MissedInfusionFacts(
        _planned_on(form),
        MissedInfusionKind(form.kind.data),
        form.next_on.data,
    )
    missed_infusions.record(db_session(), access.actor(), course, facts, now=now)


def _planned_on(form: MissedInfusionForm) -> date:
    """Returns the day that the page was about. Raises ChangedSince for one that no page has."""
    try:
        return date.fromisoformat(form.planned_on.data or "")
    except ValueError:
        raise ChangedSince(_("Another day is expected by now. Look at the patient's page again.")) from None


def _course(subject: Subject) -> Course | None:
    return courses.current_course(db_session(), subject)


def _page(subject_id: uuid.UUID, *, form: MissedInfusionForm | None = None, remove: RemovalForm | None = None) -> Page:
    """Returns the page about the day that is expected now, with the entries about the course so far."""
    subject = current.subject(subject_id)
    course = _course(subject)
    expected_on = missed_infusions.expected_on(db_session(), course, now=clock.now()) if course else None
    if form is None:
        form = MissedInfusionForm(formdata=None)
    form.planned_on.data = expected_on.isoformat() if expected_on else ""
    return current.show(
        "staff/missed_infusion.html",
        subject,
        course=course,
        expected_on=expected_on,
        form=form,
        missed=missed_infusions.for_course(db_session(), course) if course else [],
        remove=remove or RemovalForm(formdata=None, prefix=REMOVE),
    )
