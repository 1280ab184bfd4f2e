"""The blueprint of the patient pages, and the date formats and variables that their templates share."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, g
from flask_babel import format_date, format_time

from pro_tracker.services.answering.visit_context import VisitContext

blueprint = Blueprint("patient", __name__)


@blueprint.url_value_preprocessor
def _skip_account_lookup(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Sets Flask-Login's anonymous user without a lookup, which would set a cookie on every response.

    Patients have no account.
    """
    current_app.login_manager._update_request_context_with_user()  # type: ignore[attr-defined]


@blueprint.context_processor
def _clinic() -> dict[str, str]:
    visit: VisitContext | None = g.get("visit")
    return {"clinic_name": visit.clinic_name, "clinic_phone": visit.clinic_phone} if visit else {}


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
