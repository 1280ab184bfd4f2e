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
from pro_tracker.web.patient.forms import StopForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response


@blueprint.post("/v/<token>/stop/<mark>")
@access.patient
def one_click(token: str, mark: str) -> str:
    """What a mailbox sends when its reader presses its button: no cookie, no form of ours, the one line of RFC 8058."""
    if request.form.get("List-Unsubscribe") != "One-Click":
        raise InvalidInput("This address is for mailboxes. Open it in a browser to end our e-mails.")
    unsubscribing.stop_mails(db_session(), links.find(db_session(), token), mark, now=clock.now())
    commit()
    return ""


@blueprint.record_once
def _exempt(state: BlueprintSetupState) -> None:
    """A mailbox has no form of ours. The token says whose mail it was, and nothing else can be done with it here."""
    state.app.extensions["csrf"].exempt(one_click)


@blueprint.get("/v/<token>/stop/<mark>")
@access.patient
def open_stop(token: str, mark: str) -> Response:
    """Changes nothing, as every link in a mail; the token leaves the address bar."""
    current.remember_link(links.find(db_session(), token))
    return redirect(url_for("patient.stop", mark=mark))


@blueprint.get("/visit/stop/<mark>")
@access.patient
def stop(mark: str) -> str:
    """No birth date is asked for: who wants no mails must not have to prove anything (RFC 8058, 1; 16 CFR 316.5)."""
    current.sheet()
    return _page(StopForm())


@blueprint.post("/visit/stop/<mark>")
@access.patient
def stop_mails(mark: str) -> Page:
    sheet = current.sheet()
    form = StopForm()
    if not form.validate():
        return _page(form), 422
    assert sheet.link_id is not None  # it was reached by one
    unsubscribing.stop_mails(db_session(), sheet.link_id, mark, now=clock.now())
    commit()
    return redirect(url_for("patient.stopped"), 303)


@blueprint.get("/visit/stopped")
@access.patient
def stopped() -> str:
    """The same words whatever was on file: they must not tell which contacts there are."""
    current.sheet()
    return render_template("patient/stopped.html")


def _page(form: StopForm) -> str:
    return render_template("patient/stop.html", form=form)
