"""Marks a browser on which a patient answers at the clinic, until a member of staff signs in there again.

A cookie for all addresses, because the end of a session of staff is not enough: a response to another tab that is still
on its way would set the session cookie again. Signing in ends the patient's access, whose secret the cookie holds.
"""

from flask import after_this_request, current_app, request
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.services.answering import visit_accesses
from pro_tracker.web.session import db_session

NAME = "clinic-device"


def mark(response: Response, secret: str) -> None:
    """Marks the browser that gets this response; `secret` is that of the patient's access."""
    _set(response, secret, max_age=int(current_app.permanent_session_lifetime.total_seconds()))


def is_marked() -> bool:
    """Returns whether this browser is with a patient, so that no page of staff may be shown."""
    return _name() in request.cookies


def unmark() -> None:
    """Ends the patient's access and removes the mark with the response to this request; the caller commits."""
    secret = request.cookies.get(_name())
    if secret is None:
        return
    visit_accesses.end(db_session(), secret, now=clock.now())

    @after_this_request
    def remove(response: Response) -> Response:
        _set(response, "", max_age=0)
        return response


def _set(response: Response, value: str, max_age: int) -> None:
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    response.set_cookie(_name(), value, max_age=max_age, secure=secure, httponly=True, samesite="Lax")


def _name() -> str:
    prefix = "__Host-" if current_app.config["SESSION_COOKIE_SECURE"] else ""
    return f"{prefix}{NAME}"
