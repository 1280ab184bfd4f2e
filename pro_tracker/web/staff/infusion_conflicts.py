"""Edit conflicts of infusions: a user corrects or removes one that another user corrected or removed first."""

from pro_tracker.domain.errors import ChangedSince
from pro_tracker.models.course import Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.treatment import infusion_corrections
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import edit_conflicts
from pro_tracker.web.staff.blueprint import local_moment
from pro_tracker.web.staff.edit_conflicts import RowChange
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
    before, after = _filled(shown, rows), _filled(newest, rows) if newest else None
    raise ChangedSince(edit_conflicts.conflict_text(_last_change(subject, shown), before, after))


def merged_form(form: InfusionCorrectionForm, shown: Infusion, newest: Infusion) -> InfusionCorrectionForm:
    """Returns the submitted form for the row that is recorded now: what was typed, and the rest as recorded now."""
    rows = max(form.row_count, len(newest.adverse_events))
    data = edit_conflicts.merged(form, _filled(shown, rows), _filled(newest, rows))
    merged = with_rows(rows, InfusionCorrectionForm)(formdata=data)
    merged.form_errors = list(form.form_errors)
    return merged


def as_new(form: InfusionCorrectionForm) -> InfusionForm:
    """Returns the submitted form as that of a new infusion, in place of one that was removed."""
    new = with_rows(form.row_count, InfusionForm)()
    new.form_errors = list(form.form_errors)
    return new


def _filled(infusion: Infusion, rows: int) -> InfusionCorrectionForm:
    return with_rows(max(rows, len(infusion.adverse_events)), InfusionCorrectionForm)(
        formdata=None, data=as_recorded(infusion)
    )


def _last_change(subject: Subject, shown: Infusion) -> RowChange:
    session = db_session()
    voided = infusion_corrections.last_voided(session, shown)
    if voided.voided_at is None:
        raise ValueError("the infusion is in effect")
    by = editors.name_at(session, subject.id, VOIDING, voided.voided_at)
    return RowChange(by, local_moment(voided.voided_at, subject.time_zone), voided.void_reason or "")
