"""The pages that merge a record with another one of the same person, and separate them again."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import MergedRecord
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.enrolment import merges
from pro_tracker.services.enrolment.merges import MergedRecordEntry, MergeFacts
from pro_tracker.services.planning import joint_preview
from pro_tracker.services.planning.joint_preview import SubjectIds
from pro_tracker.services.planning.plan_preview import PlanDifference
from pro_tracker.services.record import subject_lists
from pro_tracker.services.record.subject_lists import SubjectFilters
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, form_summary, preview
from pro_tracker.web.staff.blueprint import blueprint, day
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.merge_forms import FindRecordForm, MergeForm, SeparationForm
from pro_tracker.web.staff.preview import BACK, SEEN, Comparison

URL = "/subjects/<uuid:subject_id>/merge"
SEPARATION_URL = "/subjects/<uuid:subject_id>/merges/<int:merge_id>/separate"
FIND = "find"  # name of the button that looks for the record to keep


class RecordChange(NamedTuple):
    """A change to preview: what it does, whose plans to compare before and after, and what it says once saved."""

    apply: Callable[[datetime], object]
    people: tuple[SubjectIds, SubjectIds]
    success_message: str
    warnings: Sequence[str] = ()


@blueprint.errorhandler(MergedRecord)
def lead_to_kept_record(error: MergedRecord) -> Response:
    """Every page of a merged record leads to the kept one, from links and bookmarks, too."""
    flash(str(error))
    return redirect(url_for("staff.subject", subject_id=error.person_id), 303)


@blueprint.get(URL)
@access.staff(Role.COORDINATOR)
def merge(subject_id: uuid.UUID) -> Page:
    subject = current.subject(subject_id)
    form = FindRecordForm(formdata=None)
    return _find_page(subject, form)


@blueprint.post(URL)
@access.staff(Role.COORDINATOR)
def merge_records(subject_id: uuid.UUID) -> Page | Response:
    other = current.subject(subject_id)
    search = FindRecordForm()
    kept = _found(search, other) if search.validate() else None
    if kept is None:
        return _find_page(other, search)
    if FIND in request.form:
        return _merge_page(other, kept, _form(other, formdata=None))
    return _preview_or_merge(other, kept)


def _preview_or_merge(other: Subject, kept: Subject) -> Page | Response:
    form = _form(other)
    change = _change(other, kept, form)
    return _save(kept.id, form, change, lambda: _merge_page(_again(other), _again(kept), form))


def _change(other: Subject, kept: Subject, form: MergeForm) -> RecordChange:
    return RecordChange(
        lambda now: _merge(other, kept, form, now),
        ((other.id, kept.id), (kept.id,)),
        _("%(other)s is now part of %(kept)s.", other=other.study_code, kept=kept.study_code),
        _warnings(other, kept),
    )


@blueprint.get(SEPARATION_URL)
@access.staff(Role.COORDINATOR)
def separation(subject_id: uuid.UUID, merge_id: int) -> Page:
    subject = current.subject(subject_id)
    part = _part(subject, merge_id)
    form = SeparationForm(formdata=None)
    return _separation_page(subject, part, form)


@blueprint.post(SEPARATION_URL)
@access.staff(Role.COORDINATOR)
def separate(subject_id: uuid.UUID, merge_id: int) -> Page | Response:
    kept = current.subject(subject_id)
    record = _part(kept, merge_id).record
    form = SeparationForm()
    change = RecordChange(
        lambda now: _separate(record, form, now),
        ((kept.id,), (kept.id, record.id)),
        _("%(code)s is a record of its own again.", code=record.study_code),
    )
    return _save(kept.id, form, change, lambda: _separation_page(_again(kept), _part(kept, merge_id), form))


def _found(search: FindRecordForm, other: Subject) -> Subject | None:
    """Returns the record that the text names; None, with an error in the form, if the account may not see one."""
    filters = SubjectFilters(search.kept.data)
    found = subject_lists.page(db_session(), access.account(), filters, now=clock.now())
    if found.total != 1:
        current.add_error(search, "kept", _("No patient at your clinics has this record number or study code."))
        return None
    if found.subjects[0].id == other.id:
        current.add_error(search, "kept", _("This is the same record. Name the other one."))
        return None
    return found.subjects[0]


def _again(subject: Subject) -> Subject:
    """Returns the subject as stored, after a rollback."""
    return current.subject(subject.id)


def _form(other: Subject, **options: Any) -> MergeForm:
    courses = merges.courses_of(db_session(), other)
    choices = [(str(course.id), _course_label(course)) for course in courses]
    return MergeForm(choices, **options)


def _course_labels(record: Subject) -> list[str]:
    courses = merges.courses_of(db_session(), record)
    return [_course_label(course) for course in courses]


def _course_label(course: Course) -> str:
    given = [infusion.given_on for infusion in course.infusions]
    if given:
        dates = _("%(n)s infusions, %(first)s – %(last)s", n=len(given), first=day(min(given)), last=day(max(given)))
    elif course.planned_start_on:
        dates = _("planned from %(day)s", day=day(course.planned_start_on))
    else:
        dates = _("no date yet")
    return str(_("Course %(number)s: %(dates)s", number=course.number, dates=dates))


def _merge(other: Subject, kept: Subject, form: MergeForm, now: datetime) -> object:
    chosen = form.duplicates.data or ()
    duplicates = frozenset(map(int, chosen))
    facts = MergeFacts(kept, duplicates, form.reason.data)
    return merges.merge(
        db_session(),
        access.actor(),
        other,
        facts,
        now=now,
    )


def _separate(record: Subject, form: SeparationForm, now: datetime) -> object:
    return merges.separate(
        db_session(),
        access.actor(),
        record,
        reason=form.reason.data,
        now=now,
    )


def _part(kept: Subject, merge_id: int) -> MergedRecordEntry:
    return merges.find(db_session(), kept, merge_id)


def _save(kept_id: uuid.UUID, form: FlaskForm, change: RecordChange, show_form: Callable[[], Page]) -> Page | Response:
    """Saves after the effects on the plans of both records were shown, and redirects to the kept record."""
    if BACK in request.form or not form.validate():
        return show_form()
    now = clock.now()

    def preview_or_save() -> PlanDifference:
        return joint_preview.preview(db_session(), change.people, lambda: change.apply(now), now=now, keep=_was_seen)

    difference = current.submit(form, preview_or_save)
    if difference is None:
        return show_form()
    if not _was_seen(difference):
        return _preview_page(current.subject(kept_id), form, difference, change)
    flash(change.success_message)
    return redirect(url_for("staff.subject", subject_id=kept_id), 303)


def _was_seen(difference: PlanDifference) -> bool:
    """Returns whether the page showed this difference: a merge is previewed also if it moves nothing."""
    return request.form.get(SEEN) == difference.fingerprint


def _preview_page(kept: Subject, form: FlaskForm, difference: PlanDifference, change: RecordChange) -> Page:
    return current.show(
        "staff/preview.html",
        kept,
        success_message=change.success_message,
        warnings=change.warnings,
        entries=form_summary.entries(form),
        difference=difference,
        visits=Comparison.of(difference.visits),
        messages=Comparison.of(difference.messages),
        carried=preview.submitted_entries(),
        changed_since=SEEN in request.form,
        seen=SEEN,
        back=BACK,
    )


def _find_page(subject: Subject, form: FindRecordForm) -> Page:
    return current.show("staff/merge_find.html", subject, form=form, find=FIND)


def _merge_page(other: Subject, kept: Subject, form: MergeForm) -> Page:
    """Returns the page with both records side by side; the view of the other one is recorded, too."""
    detail: audit.Detail = {"page": "staff/merge.html"}
    audit.record(db_session(), access.actor(), "subject.view", now=clock.now(), subject_id=kept.id, detail=detail)
    form.kept.data = kept.study_code
    return current.show(
        "staff/merge.html",
        other,
        form=form,
        kept=kept,
        courses=[_course_labels(other), _course_labels(kept)],
        warnings=_warnings(other, kept),
    )


def _warnings(other: Subject, kept: Subject) -> Sequence[str]:
    """Returns what to check: where the two records differ in what counts from now on."""
    found = [*_state_warnings(other, kept)]
    if other.identity.birth_date != kept.identity.birth_date:
        found.append(_("The dates of birth differ. Is this the same person?"))
    if other.site_id != kept.site_id:
        found.append(_("The records are of two clinics: messages name that of the record to keep."))
    return found


def _state_warnings(other: Subject, kept: Subject) -> Iterator[str]:
    """Yields what the state of the kept record means for the other one."""
    if _only(kept.withdrawn_at, other.withdrawn_at):
        yield _("The record to keep has withdrawn: nothing more is asked for either record.")
    if _only(other.withdrawn_at, kept.withdrawn_at):
        yield _("The other record has withdrawn, the record to keep has not: the patient will be asked again.")
    if _only(kept.death_recorded_at, other.death_recorded_at):
        yield _("A death is recorded for the record to keep: nothing more is asked for either record.")
    if _only(other.death_recorded_at, kept.death_recorded_at):
        yield _("A death is recorded for the other record only: the patient will be asked again. Is this right?")


def _only(first: datetime | None, second: datetime | None) -> bool:
    return first is not None and second is None


def _separation_page(kept: Subject, part: MergedRecordEntry, form: SeparationForm) -> Page:
    return current.show("staff/separate.html", kept, form=form, part=part)
