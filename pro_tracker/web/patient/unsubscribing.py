"""The way out of our mails: for a mailbox's own button in one request (RFC 8058), and for people on a page."""

from flask import redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.services.answering import links
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import UnsubscribeForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.post("/v/<token>/stop/<tag>")
@access.patient
def one_click_unsubscribe(token: str, tag: str) -> str:
    """What a mailbox sends when its reader presses its button: no cookie, no form of ours, the one line of RFC 8058."""
    if request.form.get("List-Unsubscribe") != "One-Click":
        raise InvalidInput("This address is for mailboxes. Open it in a browser to end our e-mails.")
    unsubscribing.unsubscribe(db_session(), links.find(db_session(), token), tag, now=clock.now())
    commit()
    return ""


@blueprint.record_once
def _exempt(state: BlueprintSetupState) -> None:
    """A mailbox has no form of ours. The token says whose mail it was, and nothing else can be done with it here."""
    state.app.extensions["csrf"].exempt(one_click_unsubscribe)


@blueprint.get("/v/<token>/stop/<tag>")
@access.patient
def open_unsubscribe(token: str, tag: str) -> Response:
    """Changes nothing, as every link in a mail; the token leaves the address bar."""
    current.remember_link(links.find(db_session(), token))
    return redirect(url_for("patient.confirm_unsubscribe", tag=tag))


@blueprint.get("/visit/stop/<tag>")
@access.patient
def confirm_unsubscribe(tag: str) -> str:
    """No birth date is asked for: who wants no mails must not have to prove anything (RFC 8058, 1; 16 CFR 316.5)."""
    current.visit()
    return _page(UnsubscribeForm())


@blueprint.post("/visit/stop/<tag>")
@access.patient
def unsubscribe(tag: str) -> Page:
    visit = current.visit()
    form = UnsubscribeForm()
    if not form.validate():
        return _page(form), 422
    assert visit.link_id is not None  # it was reached by one
    unsubscribing.unsubscribe(db_session(), visit.link_id, tag, now=clock.now())
    commit()
    return redirect(url_for("patient.unsubscribed"), 303)


@blueprint.get("/visit/stopped")
@access.patient
def unsubscribed() -> str:
    """The same words whatever was on file: they must not tell which contacts there are."""
    current.visit()
    return render_template("patient/unsubscribed.html")


def _page(form: UnsubscribeForm) -> str:
    return render_template("patient/unsubscribe.html", form=form)
