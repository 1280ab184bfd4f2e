"""Error pages for patients: each reason why answering is not possible has a page with a next step. Views only raise."""

from flask import g, redirect, render_template, request, url_for
from sqlalchemy import select

from pro_tracker import clock
from pro_tracker.domain.errors import (
    AlreadyAnswered,
    HeldAfterInfusion,
    IdentityNotConfirmed,
    NoLongerAsked,
    UnusableLink,
    WindowClosed,
)
from pro_tracker.domain.visit_windows import visit_status
from pro_tracker.models.site import Site
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web.answering import Page, continue_to
from pro_tracker.web.patient import entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import BirthDateForm
from pro_tracker.web.session import db_session


@blueprint.errorhandler(IdentityNotConfirmed)
def ask_birth_date(_error: IdentityNotConfirmed) -> Page:
    """Asks for the birth date. A form that was sent without an access waits in that page, so that nothing is lost."""
    if request.method == "POST":
        return entry.start_page(g.visit, BirthDateForm(g.visit.time_zone, formdata=None)), 403
    return redirect(url_for("patient.start"), 303)


@blueprint.errorhandler(AlreadyAnswered)
def already_answered(_error: AlreadyAnswered) -> Page:
    """A second "Send", such as one pressed twice or sent again by a browser, gets the thank-you page of the first."""
    if request.endpoint == "patient.send":
        return continue_to(url_for("patient.sent"))
    return render_template("patient/already_answered.html", visit=g.visit), 409


@blueprint.errorhandler(WindowClosed)
def closed(_error: WindowClosed) -> tuple[str, int]:
    visit: VisitContext = g.visit
    status = visit_status(visit, clock.now())
    return render_template("patient/closed.html", visit=visit, status=status), 410


@blueprint.errorhandler(HeldAfterInfusion)
def held(_error: HeldAfterInfusion) -> tuple[str, int]:
    return render_template("patient/held.html", visit=g.visit), 403


@blueprint.errorhandler(NoLongerAsked)
def no_longer_asked(_error: NoLongerAsked) -> tuple[str, int]:
    """Says that nothing more is asked, to a relative, or to the person themselves after a wrong record."""
    return render_template("patient/no_longer_asked.html", whose=g.visit.clinic_name), 410


@blueprint.errorhandler(UnusableLink)
def unusable_link(_error: UnusableLink) -> tuple[str, int]:
    """Offers a fresh link for a replaced one; for an unknown link shows the telephone numbers of all clinics."""
    known = g.get("visit") is not None
    clinics = [] if known else db_session().scalars(select(Site).order_by(Site.name)).all()
    without_cookie = "visit_url_part" in g and not request.cookies
    return render_template(
        "patient/unusable_link.html", known=known, clinics=clinics, without_cookie=without_cookie
    ), 410
