"""Error pages for patients: each reason why answering is not possible has a page with a next step. Views only raise."""

from flask import g, redirect, render_template, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import AlreadyAnswered, IdentityNotConfirmed, UnusableLink, WindowClosed
from pro_tracker.domain.visit_windows import visit_status
from pro_tracker.models.site import Site
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import db_session


@blueprint.errorhandler(IdentityNotConfirmed)
def ask_birth_date(_error: IdentityNotConfirmed) -> Response:
    return redirect(url_for("patient.start"), 303)


@blueprint.errorhandler(AlreadyAnswered)
def already_answered(_error: AlreadyAnswered) -> tuple[str, int]:
    return render_template("patient/already_answered.html", visit=g.visit), 409


@blueprint.errorhandler(WindowClosed)
def closed(_error: WindowClosed) -> tuple[str, int]:
    visit: VisitContext = g.visit
    status = visit_status(visit, clock.now())
    return render_template("patient/closed.html", visit=visit, status=status), 410


@blueprint.errorhandler(UnusableLink)
def unusable_link(_error: UnusableLink) -> tuple[str, int]:
    """Offers a fresh link for a replaced one; for an unknown link shows the telephone numbers of all clinics."""
    known = g.get("visit") is not None
    clinics = [] if known else db_session().scalars(select(Site).order_by(Site.name)).all()
    return render_template("patient/unusable_link.html", known=known, clinics=clinics), 410
