"""The page that enrols a patient."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.account import Account
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import visibility
from pro_tracker.services.enrolment import enrolment
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.enrolment_form import EnrolmentForm


@blueprint.get("/subjects/new")
@access.staff(Role.COORDINATOR)
def new_subject() -> Page:
    account = access.account()
    form = EnrolmentForm(visibility.sites(account), data=_defaults(account))
    return _page(form)


@blueprint.post("/subjects/new")
@access.staff(Role.COORDINATOR)
def enrol() -> Page | Response:
    form = EnrolmentForm(visibility.sites(access.account()))
    if not _is_valid(form):
        return _page(form)
    subject = current.submit(form, lambda: _enrol(form))
    if subject is None:
        return _page(form)
    flash(_("%(code)s is enrolled.", code=subject.study_code))
    return redirect(url_for("staff.subject", subject_id=subject.id), 303)


def _enrol(form: EnrolmentForm) -> Subject:
    return enrolment.enrol(
        db_session(),
        access.actor(),
        form.facts(),
        now=clock.now(),
    )


def _is_valid(form: EnrolmentForm) -> bool:
    """Returns whether form and service accept every field; adds all errors at once, so that one correction suffices."""
    valid = form.validate()
    sites = [site.code for site in visibility.sites(access.account())]
    for problem in enrolment.check(form.facts(), sites=sites, now=clock.now()):
        if not form[problem.field].errors:
            current.add_error(form, problem.field, problem.reason)
            valid = False
    return valid


def _page(form: EnrolmentForm) -> Page:
    status = 422 if form.errors else 200
    return render_template("staff/enrol.html", form=form), status


def _defaults(account: Account) -> dict[str, object]:
    """Returns the values that the empty form starts with; the site only if the account has a single one."""
    sites = visibility.sites(account)
    zone = sites[0].time_zone if sites else "UTC"
    return {
        "site_code": sites[0].code if len(sites) == 1 else None,
        "preferred_channel": "",
        "language": "en",
        "time_zone": zone,
        "enrolled_on": local_date(clock.now(), zone),
    }
