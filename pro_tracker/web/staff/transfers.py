"""The page that transfers a patient to another clinic, and what the former clinic may read afterwards."""

import uuid
from collections.abc import Iterator
from datetime import datetime

from flask import render_template, url_for
from flask_babel import gettext as _, ngettext
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.services import audit
from pro_tracker.services.clinic import visibility
from pro_tracker.services.enrolment import transfers
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.record import subject_records, transferred_subjects, trends
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, edit_conflicts, fact_preview, subjects
from pro_tracker.web.staff.blueprint import blueprint, weekday
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer, RecordedValues
from pro_tracker.web.staff.fact_preview import FactChange, FactLine, Saving
from pro_tracker.web.staff.forms.transfer_form import TransferForm


@blueprint.get("/subjects/<uuid:subject_id>/transfer", endpoint="transfer")
@access.staff(Role.COORDINATOR)
def transfer_page(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/transfer")
@access.staff(Role.COORDINATOR)
def transfer_subject(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = TransferForm(transfers.targets(db_session(), subject))
    saving = Saving(
        success_message=_("%(code)s is transferred.", code=subject.study_code),
        next_url=lambda: _next_url(subject_id, form),
        show_form=lambda: _page(subject_id, form),
    )
    return fact_preview.save(
        subject,
        form,
        lambda now: _transfer(subject, form, now),
        saving,
    )


@blueprint.get("/transferred")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def transferred() -> str:
    """Lists the patients who went to another clinic, by study code."""
    listed = transferred_subjects.listed(db_session(), access.account())
    detail: audit.Detail = {"subjects": len(listed)}
    audit.record(db_session(), access.actor(), "subjects.list", now=clock.now(), detail=detail)
    commit()
    return render_template("staff/transferred.html", listed=listed)


@blueprint.get("/transferred/<uuid:subject_id>")
@access.staff(Role.COORDINATOR, Role.CLINICIAN)
def transferred_subject(subject_id: uuid.UUID) -> Page:
    """Shows the courses that were begun at the account's clinics, to be read only."""
    session, now = db_session(), clock.now()
    record = transferred_subjects.load(session, access.account(), subject_id)
    trend = trends.subject_trend(session, record.subject, record.courses, record.visits)
    missed = {visit.id for visit in record.visits if visit_status(visit, now) is VisitStatus.MISSED}
    return current.show(
        "staff/transferred_subject.html",
        record.subject,
        record=record,
        charts=subjects.charts(trend, missed),
        states=subjects.state_labels(record.visits, now),
    )


def _transfer(subject: Subject, form: TransferForm, now: datetime) -> FactChange:
    session = db_session()
    subject_lock.lock(session, subject)
    # Read again: a colleague may have transferred the patient to a clinic that this account does not see.
    visibility.find_subject(session, access.account(), subject.id)
    before = subject.site
    after = next(site for site in transfers.targets(session, subject) if site.code == form.site_code.data)
    changer = Changer(subject.id, subject.time_zone, ("subject.transfer",))
    edit_conflicts.reject_stale(form, _values(before), _values(after), changer)
    done = transfers.transfer(
        session,
        access.actor(),
        subject,
        form.facts(),
        now=now,
    )
    lines = _lines(before, after, done)
    effects = _effects(subject, before, after)
    return FactChange(list(lines), list(effects))


def _values(site: Site) -> RecordedValues:
    return {_("clinic"): site.name}


def _lines(before: Site, after: Site, done: Transfer) -> Iterator[FactLine]:
    yield FactLine(_("clinic"), before.name, after.name)
    if before.phone != after.phone:
        yield FactLine(_("telephone in messages"), before.phone, after.phone)
    yield FactLine(_("day of the transfer"), "–", weekday(done.transferred_on))


def _effects(subject: Subject, before: Site, after: Site) -> Iterator[str]:
    session = db_session()
    calls = subject_records.open_calls(session, subject.id)
    if calls:
        yield ngettext(
            "One open call goes to the call list of %(clinic)s.",
            "%(num)s open calls go to the call list of %(clinic)s.",
            calls,
            clinic=after.name,
        )
    yield _(
        "From now on %(clinic)s works with the patient: calls, worklist, alerts, and new courses.", clinic=after.name
    )
    yield _("Courses so far stay with %(clinic)s in results and files. The study code stays.", clinic=before.name)
    if after.code not in _own_codes():
        yield _("You will read the courses at your clinics, without the name, under “Transferred to another clinic”.")


def _own_codes() -> set[str]:
    return {site.code for site in access.account().sites}


def _next_url(subject_id: uuid.UUID, form: TransferForm) -> str:
    """Returns the URL of the patient's page, or of what is left of it for the former clinic."""
    is_own = form.site_code.data in _own_codes()
    endpoint = "staff.subject" if is_own else "staff.transferred_subject"
    return url_for(endpoint, subject_id=subject_id)


def _page(subject_id: uuid.UUID, form: TransferForm | None = None) -> Page:
    subject = current.subject(subject_id)
    if form is None:
        form = _fresh_form(subject)
    return current.show("staff/transfer.html", subject, form=form)


def _fresh_form(subject: Subject) -> TransferForm:
    sites = transfers.targets(db_session(), subject)
    today = local_date(clock.now(), subject.time_zone)
    form = TransferForm(sites, formdata=None, data={"transferred_on": today})
    edit_conflicts.remember(form, _values(subject.site))
    return form
