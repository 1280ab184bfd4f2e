"""The blueprint of the patient's pages, and what all their templates may use."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, g
from flask_babel import format_date, format_time

from pro_tracker.services.answering.visit_context import VisitContext

blueprint = Blueprint("patient", __name__)


@blueprint.url_value_preprocessor
def _skip_account_lookup(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Patients have no account, so none is looked for; else every answer would also set a cookie about it."""
    current_app.login_manager._update_request_context_with_user()  # type: ignore[attr-defined]


@blueprint.context_processor
def _clinic() -> dict[str, str]:
    visit: VisitContext | None = g.get("visit")
    return {"clinic_name": visit.clinic_name, "clinic_phone": visit.clinic_phone} if visit else {}


@blueprint.app_template_filter("local_date")
def local_date(moment: datetime, time_zone: str) -> str:
    """A moment as a date where the subject is: "2 March 2026"."""
    return long_date(moment.astimezone(ZoneInfo(time_zone)).date())


@blueprint.app_template_filter("local_clock")
def local_clock(moment: datetime, time_zone: str) -> str:
    """A moment as the time of day where the subject is: "9:00 AM"."""
    return str(format_time(moment.astimezone(ZoneInfo(time_zone)).time(), "short", rebase=False))


@blueprint.app_template_filter("long_date")
def long_date(on: date) -> str:
    """A date in words: "2 March 2026"."""
    return str(format_date(on, "long"))
