"""Unsubscribing from e-mail: one-click requests of mail clients (RFC 8058), and a page for patients."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.services.answering import links
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.web import access
from pro_tracker.web.patient import current, entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import UnsubscribeForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.post("/v/<token>/stop/<tag>")
@access.patient
def one_click_unsubscribe(token: str, tag: str) -> str:
    """Handles the POST of a mail client's unsubscribe button. It has no cookie, and the one form field of RFC 8058.

    Its token authorises it: it comes from no form of ours.
    """
    if request.form.get("List-Unsubscribe") != "One-Click":
        raise InvalidInput("This address is for mailboxes. Open it in a browser to end our e-mails.")
    unsubscribing.unsubscribe(db_session(), links.find(db_session(), token), tag, now=clock.now())
    commit()
    return ""


@blueprint.get("/v/<token>/stop/<tag>")
@access.patient
def open_unsubscribe(token: str, tag: str) -> Response:
    """Stores the link in the cookie of its visit and redirects, as `open_link` does. Changes no data."""
    return entry.remember_link(token, "patient.confirm_unsubscribe", tag=tag)


@blueprint.get("/visit/<visit>/stop/<tag>")
@access.patient
def confirm_unsubscribe(tag: str) -> str:
    """Shows the form without asking for the birth date: no more than the address may be required (16 CFR 316.5)."""
    current.visit(clock.now())
    return _page(UnsubscribeForm())


@blueprint.post("/visit/<visit>/stop/<tag>")
@access.patient
def unsubscribe(tag: str) -> Page:
    visit = current.visit(clock.now())
    form = UnsubscribeForm()
    if not form.validate():
        return _page(form), 422
    assert visit.link_id is not None  # it was reached by one
    unsubscribing.unsubscribe(db_session(), visit.link_id, tag, now=clock.now())
    commit()
    return redirect(url_for("patient.unsubscribed"), 303)


@blueprint.get("/visit/<visit>/stopped")
@access.patient
def unsubscribed() -> str:
    """Shows the same text in every case, so that it does not disclose which contacts are on file."""
    current.visit(clock.now())
    return render_template("patient/unsubscribed.html")


def _page(form: UnsubscribeForm) -> str:
    return render_template("patient/unsubscribe.html", form=form)
