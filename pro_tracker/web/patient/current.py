"""The visit that this browser answers: the id of the link and the identity confirmation, in the signed cookie."""

from datetime import datetime, timedelta

from flask import g, request, session as cookie

from pro_tracker.domain.errors import IdentityNotConfirmed, UnusableLink
from pro_tracker.services.answering import visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web.session import commit_each_statement, db_session

CONFIRMED_FOR = timedelta(hours=4)  # allows a break, but not another person on the same phone the next day


def remember_link(link_id: int) -> None:
    """Stores the link in the cookie, and removes a confirmation that was given for another link."""
    if cookie.get("link_id") != link_id:
        cookie.pop("confirmed_until", None)
    cookie["link_id"] = link_id


def remember_confirmation(now: datetime) -> None:
    """Stores that the patient has just entered the right birth date for the link."""
    cookie["confirmed_until"] = int((now + CONFIRMED_FOR).timestamp())


def is_confirmed(now: datetime) -> bool:
    """Returns whether the birth date was entered in this browser for this link within the last four hours."""
    until: int = cookie.get("confirmed_until", 0)
    return now.timestamp() < until


def visit() -> VisitContext:
    """Returns the visit of this browser's link, open or not, and sets the language of the page. Raises UnusableLink."""
    if request.method == "GET":
        commit_each_statement()
    return _read()


def _read() -> VisitContext:
    link_id: int | None = cookie.get("link_id")
    if link_id is None:
        raise UnusableLink("This browser has not opened a link. Open the link in your message again.")
    found = visit_context.by_link(db_session(), link_id)
    g.visit, g.language = found, found.language
    return found


def confirmed_visit(now: datetime) -> VisitContext:
    """Returns the visit after identity confirmation, open or not. Raises UnusableLink, IdentityNotConfirmed."""
    found = visit()
    if found.revoked_at is not None:
        raise UnusableLink("This link was replaced. Use the link in the newest message, or ask for a fresh one.")
    _require_confirmation(now)
    return found


def open_visit(now: datetime) -> VisitContext:
    """Returns the visit if the patient may answer it now.

    Raises UnusableLink, AlreadyAnswered, WindowClosed, IdentityNotConfirmed. The request may write a single statement
    only, since each one is committed by itself.
    """
    commit_each_statement()
    found = _read()
    found.require_open(now)
    _require_confirmation(now)
    return found


def _require_confirmation(now: datetime) -> None:
    if not is_confirmed(now):
        raise IdentityNotConfirmed("Give the birth date first.")
