"""Whose visit this browser is answering: the link's id, and the birth date's confirmation, in the signed session."""

from datetime import datetime, timedelta

from flask import g, request, session as cookie

from pro_tracker.domain.errors import IdentityNotConfirmed, UnusableLink
from pro_tracker.services.answering import visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web.session import commit_each_statement, db_session

CONFIRMED_FOR = timedelta(hours=4)  # a rest between questions, not a phone handed on the next day


def remember_link(link_id: int) -> None:
    """From now on this browser answers the link's visit. A birth date confirmed for another link counts no more."""
    if cookie.get("link_id") != link_id:
        cookie.pop("confirmed_until", None)
    cookie["link_id"] = link_id


def remember_confirmation(now: datetime) -> None:
    """The right birth date was given for the link just now."""
    cookie["confirmed_until"] = int((now + CONFIRMED_FOR).timestamp())


def is_confirmed(now: datetime) -> bool:
    """Whether the birth date was given in this browser, for this link, not too long ago."""
    until: int = cookie.get("confirmed_until", 0)
    return now.timestamp() < until


def visit() -> VisitContext:
    """The visit of this browser's link, open or not. Sets the page's language. Raises UnusableLink."""
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
    """The visit of somebody who gave the birth date, open or not. Raises UnusableLink, IdentityNotConfirmed."""
    found = visit()
    if found.revoked_at is not None:
        raise UnusableLink("This link was replaced. Use the link in the newest message, or ask for a fresh one.")
    _require_confirmation(now)
    return found


def open_visit(now: datetime) -> VisitContext:
    """The visit to be answered now by somebody who gave the birth date. What the request writes is one statement.

    Raises UnusableLink, AlreadyAnswered, WindowClosed, IdentityNotConfirmed.
    """
    commit_each_statement()
    found = _read()
    found.require_open(now)
    _require_confirmation(now)
    return found


def _require_confirmation(now: datetime) -> None:
    if not is_confirmed(now):
        raise IdentityNotConfirmed("Give the birth date first.")
