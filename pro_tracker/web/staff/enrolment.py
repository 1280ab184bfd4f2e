"""The page that enrols a patient."""

from collections.abc import Sequence

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.account import Account
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import visibility
from pro_tracker.services.enrolment import enrolment, identity_hashes, possible_duplicates
from pro_tracker.services.enrolment.possible_duplicates import PossibleDuplicate
from pro_tracker.services.protocols import protocol_catalog, protocol_choice
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
    form = EnrolmentForm(visibility.sites_of(account), protocol_catalog.protocols(), data=_defaults(account))
    return _page(form)


@blueprint.post("/subjects/new")
@access.staff(Role.COORDINATOR)
def enrol() -> Page | Response:
    form = EnrolmentForm(visibility.sites_of(access.account()), protocol_catalog.protocols())
    if not _is_valid(form):
        return _page(form)
    found = _found(form)
    if found and not _is_answered(form, found):
        return _page(form, found)
    answered = possible_duplicates.fingerprint(found)
    subject = current.submit(form, lambda: _enrol(form, answered))
    if subject is None:
        return _page(form, _found(form))
    flash(_("%(code)s is enrolled.", code=subject.study_code))
    return redirect(url_for("staff.subject", subject_id=subject.id), 303)


def _found(form: EnrolmentForm) -> Sequence[PossibleDuplicate]:
    return possible_duplicates.find(db_session(), form.facts())


def _enrol(form: EnrolmentForm, answered: str) -> Subject:
    return possible_duplicates.enrol(
        db_session(),
        access.actor(),
        form.facts(),
        answered=answered,
        now=clock.now(),
    )


def _is_answered(form: EnrolmentForm, found: Sequence[PossibleDuplicate]) -> bool:
    """Returns whether staff said that it is none of these records; adds the error of the missing answer.

    Ticking the box answers for the records that the page showed, not for one that was enrolled since.
    """
    shown = form.duplicates_shown.data
    if form.another_person.data and shown == possible_duplicates.fingerprint(found):
        return True
    form.another_person.data = False
    current.add_error(
        form, "another_person", _("This person may be enrolled already. Say whether it is one of these records.")
    )
    return False


def _is_valid(form: EnrolmentForm) -> bool:
    """Returns whether form and service accept every field; adds all errors at once, so that one correction suffices."""
    valid = form.validate()
    sites = {site.code: identity_hashes.rules_of(site) for site in visibility.sites_of(access.account())}
    for problem in enrolment.check(form.facts(), sites=sites, now=clock.now()):
        if not form[problem.field].errors:
            current.add_error(form, problem.field, problem.reason)
            valid = False
    return valid


def _page(form: EnrolmentForm, found: Sequence[PossibleDuplicate] = ()) -> Page:
    status = 422 if form.errors else 200
    shown = possible_duplicates.visible(found, access.account())
    form.duplicates_shown.data = possible_duplicates.fingerprint(found)
    return render_template("staff/enrol.html", form=form, shown=shown, n_elsewhere=len(found) - len(shown)), status


def _default_protocol(sites: list[Site]) -> str | None:
    """Returns the default protocol that all of the sites have in common; None where staff have to choose."""
    codes = [protocol_choice.default_code(site.protocol_code) for site in sites]
    if not codes:
        return None
    first = codes[0]
    is_common = all(code == first for code in codes)
    return first if is_common and first else None


def _defaults(account: Account) -> dict[str, object]:
    """Returns the values that the empty form starts with; the site only if the account has a single one."""
    sites = visibility.sites_of(account)
    zone = sites[0].time_zone if sites else "UTC"
    return {
        "site_code": sites[0].code if len(sites) == 1 else None,
        "protocol": _default_protocol(sites),
        "preferred_channel": "",
        "language": "en",
        "time_zone": zone,
        "enrolled_on": local_date(clock.now(), zone),
    }
