"""Edit conflicts of infusions: a user corrects or removes one that another user corrected or removed first."""

from pro_tracker.domain.errors import ChangedSince
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import infusion_corrections
from pro_tracker.web import labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import edit_conflicts
from pro_tracker.web.staff.blueprint import local_moment
from pro_tracker.web.staff.edit_conflicts import Changer, RowChange
from pro_tracker.web.staff.forms import infusion_lists
from pro_tracker.web.staff.forms.infusion_form import InfusionCorrectionForm, InfusionForm, as_recorded, with_rows

VOIDING = ("infusion.correct", "infusion.remove")


def reject_voided(subject: Subject, shown: Infusion, rows: int) -> None:
    """Raises ChangedSince, which says who changed what, if the infusion is not as the form showed it any more.

    Takes the subject's lock. `rows`: for adverse events, in the form.
    """
    session = db_session()
    subject_lock.lock(session, subject)
    if shown.voided_at is None:
        return
    newest = infusion_corrections.newest(session, shown)
    before, after = filled(shown, rows), filled(newest, rows) if newest else None
    raise ChangedSince(edit_conflicts.conflict_text(_last_change(subject, shown), before, after))


def reject_changed_events(subject: Subject, shown: Infusion, form: InfusionCorrectionForm) -> None:
    """Raises ChangedSince if an adverse event of the infusion was corrected on its own page since the form was filled.

    Sending the form again puts its own entries in place.
    """
    changer = Changer(subject.id, subject.time_zone, ("adverse-event.correct",))
    recorded = _recorded_events(shown)
    edit_conflicts.reject_stale(form, recorded, {}, changer)


def merged_form(form: InfusionCorrectionForm, shown: Infusion, newest: Infusion) -> InfusionCorrectionForm:
    """Returns the submitted form for the row that is recorded now: what was typed, and the rest as recorded now."""
    rows = form.row_count
    data = edit_conflicts.merged(form, filled(shown, rows), filled(newest, rows))
    merged = correction_form(newest, rows)(formdata=data)
    edit_conflicts.remember(merged, _recorded_events(newest))
    merged.form_errors = list(form.form_errors)
    return merged


def as_new(form: InfusionCorrectionForm) -> InfusionForm:
    """Returns the submitted form as that of a new infusion, in place of one that was removed."""
    new = with_rows(form.row_count, InfusionForm, form.lists)()
    new.form_errors = list(form.form_errors)
    return new


def correction_form(recorded: Infusion, rows: int) -> type[InfusionCorrectionForm]:
    """Returns the class of the form that corrects a recorded infusion, with so many rows for adverse events or more."""
    course = db_session().get_one(Course, recorded.course_id)
    plan = protocol_catalog.bound_to(course).treatment
    lists = infusion_lists.of_recorded(plan, recorded)
    others = [event for event in recorded.adverse_events if event.symptom_code is None]
    made = with_rows(max(rows, len(others)), InfusionCorrectionForm, lists)
    attributes = {"recorded": recorded}
    return type(made.__name__, (made,), attributes)


def filled(recorded: Infusion, rows: int) -> InfusionCorrectionForm:
    """Returns the form of a recorded infusion, filled with what is recorded."""
    form = _fresh(correction_form(recorded, rows), recorded)
    edit_conflicts.remember(form, _recorded_events(recorded))
    return form


def _fresh(made: type[InfusionCorrectionForm], recorded: Infusion) -> InfusionCorrectionForm:
    data = as_recorded(recorded, made.lists)
    return made(formdata=None, data=data)


def _recorded_events(infusion: Infusion) -> edit_conflicts.RecordedValues:
    """Returns the adverse events of an infusion in words; equal words mean that nothing was corrected."""
    found: dict[str, str] = {}
    for event in infusion.adverse_events:
        found[event.term] = labels.adverse_event(event)
    return found


def _last_change(subject: Subject, shown: Infusion) -> RowChange:
    session = db_session()
    voided = infusion_corrections.last_voided(session, shown)
    if voided.voided_at is None:
        raise ValueError("the infusion is in effect")
    by = editors.name_at(session, subject.id, VOIDING, voided.voided_at)
    return RowChange(by, local_moment(voided.voided_at, subject.time_zone), voided.void_reason or "")
