"""Ending the messages to a helper: a page for helpers, and the one-click requests of mail clients (RFC 8058).

The code in the URL authorises it. It leads to no visit, and the pages say nothing about anybody.
"""

from flask import g, render_template, request

from pro_tracker import clock
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.web import access
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import commit, db_session


@blueprint.get("/helper/<code>/stop")
@access.patient
def confirm_stop(code: str) -> str:
    contact = unsubscribing.by_helper_code(db_session(), code)
    return _page("patient/helper_stop.html", contact)


@blueprint.post("/helper/<code>/stop")
@access.patient
def stop_helper(code: str) -> str:
    """Closes the address, for the button of the page and for that of a mail client, which has no cookie."""
    contact = unsubscribing.by_helper_code(db_session(), code)
    if contact is not None:
        unsubscribing.unsubscribe_helper(db_session(), contact, now=clock.now())
        commit()
    if "List-Unsubscribe" in request.form:
        return ""
    return _page("patient/helper_stopped.html", contact)


def _page(template: str, contact: Contact | None) -> str:
    """Returns the page in the language of the mail. An unknown code gets the same page, without the clinic."""
    site = None
    if contact is not None:
        subject = db_session().get_one(Subject, contact.subject_id)
        site = db_session().get_one(Site, subject.site_id)
        g.language = subject.language
    return render_template(template, site=site)
