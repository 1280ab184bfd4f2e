"""Error pages: maps every error to a status and a page, once for all views. Views raise and do not catch."""

import logging

from flask import Flask, Response, current_app, make_response, redirect, render_template, request
from flask_babel import get_locale, gettext, gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, SecurityError

from pro_tracker.domain import errors
from pro_tracker.languages import SOURCE
from pro_tracker.services.fhir.server import operation_outcome
from pro_tracker.web import redirects
from pro_tracker.web.fhir import fhir_json

log = logging.getLogger(__name__)
STATUS = {
    errors.NotFound: 404,
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.InvalidInput: 422,
    errors.WindowClosed: 410,
    errors.AlreadyAnswered: 409,
    errors.UnusableLink: 410,
    errors.IdentityNotConfirmed: 403,
    errors.ConsentNeeded: 403,
}


def init_app(app: Flask) -> None:
    """Registers the error handlers of all pages; the patient blueprint has more specific ones for its pages."""
    app.register_error_handler(errors.ProTrackerError, _expected)
    app.register_error_handler(CSRFError, _form_expired)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(SecurityError, _other_host)
    app.register_error_handler(OperationalError, _unavailable)
    app.register_error_handler(Exception, _unexpected)


def _expected(error: errors.ProTrackerError) -> Response:
    status = _status(error)
    return _page(status, _title(status), _shown(str(error), status))


def _shown(sentence: str, status: int) -> str:
    """Returns the sentence of an error in the language of a patient's page; general advice if it is not translated."""
    if not is_patient_page() or str(get_locale()).startswith(SOURCE):
        return sentence
    translated = gettext(sentence)
    return _advice(status) if translated == sentence else translated


def _status(error: errors.ProTrackerError) -> int:
    for error_type, status in STATUS.items():
        if isinstance(error, error_type):
            return status
    return 400


def _form_expired(_error: CSRFError) -> Response:
    return _page(
        400,
        _("This page was open too long"),
        _(
            "This last step was not saved. What you saved before is safe."
            " Please go back, reload the page and try again."
        ),
    )


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    if code < 400:
        return make_response(error.get_response())
    # A reload or bookmark of an address that only takes a form leads to the nearest page above it.
    if code == 405 and request.method == "GET" and current_user.is_authenticated:
        nearest = redirects.nearest_page()
        if nearest != "/":
            return make_response(redirect(nearest, 303))
    return _page(code, _title(code), _advice(code))


def _other_host(_error: SecurityError) -> Response:
    """Refuses a request whose Host header names another host, with a page that needs no URL of this request.

    Its log line is the one place where an operator sees that the base URL or a reverse proxy is set up wrongly.
    """
    log.warning("request.refused reason=other-host")
    page = render_template(
        "error_other_host.html",
        title=_("This is not our address"),
        text=_("The request was made for another host name, so nothing was done. Use this address instead:"),
        base_url=current_app.config["BASE_URL"],
    )
    return make_response(page, 400)


def _unavailable(error: OperationalError) -> Response:
    log.error("database.unavailable kind=%s", type(error.orig).__name__)
    return _page(503, _("We cannot reach our records right now"), _("Nothing was lost. Please try again in a minute."))


def _unexpected(error: Exception) -> Response:
    # The log gets the traceback without its message (config/logging.py), since messages can hold personal data. The
    # page shows nothing of it.
    log.exception("request.failed endpoint=%s kind=%s", request.endpoint, type(error).__name__)
    return _page(500, _title(500), _advice(500))


def _title(code: int) -> str:
    titles = {
        403: _("You cannot use this page"),
        404: _("This page does not exist"),
        409: _("This is already done"),
        410: _("This can no longer be used"),
        413: _("That was too much at once"),
        422: _("Please check what you entered"),
        429: _("Too many tries"),
    }
    return titles.get(code, _("Something went wrong"))


def _advice(code: int) -> str:
    advice = {
        404: _("Check the address, or go back to where you came from."),
        413: _("Nothing was saved. Send less at once."),
        429: _("Wait a few minutes, then try again."),
    }
    if is_patient_page():
        return advice.get(code, _("Nothing was lost. Please try again; if it happens again, call the clinic."))
    return advice.get(code, _("Nothing was saved. Try again; if it happens again, tell whoever runs this service."))


def is_patient_page() -> bool:
    """Returns whether the address is one of those that patients and their helpers open."""
    return request.path.startswith(("/v/", "/visit", "/helper", "/code"))


def _page(code: int, title: str, text: str) -> Response:
    if request.path.startswith("/fhir/"):
        return fhir_json(operation_outcome(code, text), code)
    template = "error_patient.html" if is_patient_page() else "error_staff.html"
    return make_response(render_template(template, title=title, text=text, code=code), code)
