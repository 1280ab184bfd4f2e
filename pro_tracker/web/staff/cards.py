"""The printed card of a visit: the clinic and a short code that the patient types, and ending codes that were lost."""

import uuid

import segno
from flask import current_app, flash, redirect, render_template, url_for
from flask_babel import force_locale, gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import WindowClosed
from pro_tracker.domain.visit_windows import is_open
from pro_tracker.languages import locale
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links, short_codes, visit_context
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page


@blueprint.get("/subjects/<uuid:subject_id>/visits/<int:visit_id>/card")
@access.staff(Role.COORDINATOR)
def card(subject_id: uuid.UUID, visit_id: int) -> Page:
    """Says what a card is. A code is made by the button only, since each is shown once."""
    return _page(*_open_visit(subject_id, visit_id))


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/card")
@access.staff(Role.COORDINATOR)
def make_card(subject_id: uuid.UUID, visit_id: int) -> Page:
    subject, visit = _open_visit(subject_id, visit_id)
    now = clock.now()
    token = links.issue(db_session(), visit.id, now=now)
    code = short_codes.issue(db_session(), access.actor(), visit, now=now)
    return _page(subject, visit, printed=_card(subject, visit, code, token))


@blueprint.post("/subjects/<uuid:subject_id>/visits/<int:visit_id>/card/end")
@access.staff(Role.COORDINATOR)
def end_links(subject_id: uuid.UUID, visit_id: int) -> Response:
    """Ends every code and link of the visit, after a card was lost or a message reached another person."""
    _subject, visit = _open_visit(subject_id, visit_id)
    links.revoke(db_session(), access.actor(), visit.id, now=clock.now())
    commit()
    flash(_("All codes and links of these questions have ended. The next message or card has a new one."))
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _open_visit(subject_id: uuid.UUID, visit_id: int) -> tuple[Subject, Visit]:
    """Returns a visit that can be answered now. Raises NotFound, and what `require_open` raises."""
    now = clock.now()
    subject = current.subject(subject_id)
    visit = visibility.find_visit(db_session(), subject, visit_id)
    if not is_open(visit, now):
        raise WindowClosed("These questions cannot be answered now: they were answered, or their time is over.")
    visit_context.by_visit(db_session(), visit.id).require_living()
    return subject, visit


def _card(subject: Subject, visit: Visit, code: str, token: str) -> Markup:
    """Returns the card in the patient's language. It names no patient, and not what is asked."""
    base_url = current_app.config["BASE_URL"]
    with force_locale(locale(subject.language)):
        page = render_template(
            "patient/_card.html",
            subject=subject,
            visit=visit,
            code=code,
            address=f"{base_url.partition('://')[2]}/code",
            picture=_picture(f"{base_url}/v/{token}"),
        )
    return Markup(page)  # nosec B704  a template, which escapes


def _picture(address: str) -> Markup:
    """Returns the QR code of an address as SVG, dark on white in every appearance of the page."""
    drawn = segno.make_qr(address, error="m").svg_inline(scale=4, border=4, dark="#000000", light="#ffffff")
    return Markup(drawn)  # nosec B704  made of an address of ours


def _page(subject: Subject, visit: Visit, printed: Markup | None = None) -> Page:
    course = db_session().get_one(Course, visit.course_id)
    return current.show("staff/card.html", subject, visit=visit, course=course, printed=printed)
