"""The blueprint of the patient pages, and the date formats and variables that their templates share."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, g, request
from flask.blueprints import BlueprintSetupState
from flask_babel import format_date, format_time
from markupsafe import Markup

from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web.page_language import in_language
from pro_tracker.web.patient import visit_cookies

WHOSE = Markup("{} · {} · {}")  # clinic, event, label of the patient
blueprint = Blueprint("patient", __name__)


@blueprint.url_value_preprocessor
def _pop_visit_from_url(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Moves the part of the URL that names the visit to `g`, so that views and url_for() need not pass it."""
    if values and "visit" in values:
        g.visit_url_part = values.pop("visit")


@blueprint.url_defaults
def _add_visit_to_url(endpoint: str, values: dict[str, Any]) -> None:
    if "visit_url_part" in g and current_app.url_map.is_endpoint_expecting(endpoint, "visit"):
        values.setdefault("visit", g.visit_url_part)


@blueprint.url_value_preprocessor
def _skip_account_lookup(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Sets Flask-Login's anonymous user without a lookup, which would set a cookie on every response.

    Patients have no account.
    """
    current_app.login_manager._update_request_context_with_user()  # type: ignore[attr-defined]


@blueprint.context_processor
def _visit() -> dict[str, object]:
    """Names that each page of a visit uses. `form_token` goes into its forms."""
    visit: VisitContext | None = g.get("visit")
    if visit is None:
        return {}
    on_clinic_device = visit.mode == ResponseMode.CLINIC
    return {
        "clinic_name": visit.clinic_name,
        "clinic_phone": visit.clinic_phone,
        "emergency_number": visit.emergency_number,
        "whose": WHOSE.format(visit.clinic_name, in_language(visit.event_title, visit.event_language), visit.label),
        "form_token": visit_cookies.form_token(visit.visit_id),
        "visit_url_part": g.visit_url_part,
        "is_confirmed": g.is_confirmed,
        "on_clinic_device": on_clinic_device,
        "can_finish": g.is_confirmed or (on_clinic_device and request.endpoint != "patient.finish"),
    }


@blueprint.record_once
def _exempt(state: BlueprintSetupState) -> None:
    """Exempts the pages from the check of the token in the session cookie: current.py checks the visit's own token."""
    state.app.extensions["csrf"].exempt(blueprint)


@blueprint.app_template_filter("local_date")
def local_date(moment: datetime, time_zone: str) -> str:
    """Returns the date of a moment in the subject's time zone: "March 2, 2026"."""
    return long_date(moment.astimezone(ZoneInfo(time_zone)).date())


@blueprint.app_template_filter("local_clock")
def local_clock(moment: datetime, time_zone: str) -> str:
    """Returns the time of day of a moment in the subject's time zone: "9:00 AM"."""
    return str(format_time(moment.astimezone(ZoneInfo(time_zone)).time(), "short", rebase=False))


@blueprint.app_template_filter("long_date")
def long_date(on: date) -> str:
    """Returns a date with the name of its month: "March 2, 2026"."""
    return str(format_date(on, "long"))
