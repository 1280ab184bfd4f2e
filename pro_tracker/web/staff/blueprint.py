"""The blueprint of the staff pages, and the date formats and helpers that their templates share."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from flask import Blueprint
from flask_babel import format_date, format_time

from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.web import consent_labels, labels, navigation, other_treatment_labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import chart, trend_wording

blueprint = Blueprint("staff", __name__)


@blueprint.app_template_filter("day")
def day(on: date | None) -> str:
    """Returns a date such as "Mar 2, 2026"; a dash for None."""
    if on is None:
        return "–"
    return str(format_date(on, "medium"))


@blueprint.app_template_filter("short_day")
def short_day(on: date) -> str:
    """Returns a date in its shortest form, for the axis of a chart: "3/2/26"."""
    return str(format_date(on, "short"))


@blueprint.app_template_filter("weekday")
def weekday(on: date) -> str:
    """Returns a date with its day of the week: "Mon, Mar 2, 2026"."""
    name = format_date(on, "EEE")
    return f"{name}, {day(on)}"


@blueprint.app_template_filter("iso_day")
def iso_day(text: str) -> str:
    """Returns a date stored as ISO 8601 text in the format of `day`."""
    on = date.fromisoformat(text)
    return day(on)


@blueprint.app_template_filter("local_day")
def local_day(moment: datetime, time_zone: str) -> str:
    """Returns the date of a moment in the subject's time zone."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return day(local.date())


@blueprint.app_template_filter("local_moment")
def local_moment(moment: datetime, time_zone: str) -> str:
    """Returns date and time of a moment in the subject's time zone: "Mar 2, 2026, 3:00 PM"."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return f"{day(local.date())}, {wall_time(local.time())}"


@blueprint.app_template_filter("wall_time")
def wall_time(at: time) -> str:
    """Returns a time of day in the notation of the page's language: "9:00 AM"."""
    # rebase=False: the time is local already and must not be converted to Flask-Babel's time zone.
    return str(format_time(at, "short", rebase=False))


@blueprint.app_template_filter("local_time")
def local_time(moment: datetime, time_zone: str) -> str:
    """Returns the time of day of a moment in the subject's time zone: "3:00 PM"."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return wall_time(local.time())


def event_title(visit: Visit, _course: Course | None = None) -> str:
    """Returns the name of a visit: the title of its study event in its protocol version, and its infusion day."""
    event = protocol_catalog.bound_to(visit).event(visit.event_code)
    return event.name(visit.infusion_day)


def study(course: Course) -> Protocol | None:
    """Returns the protocol of a course where pages have to name it: where there are several; else None."""
    if len(protocol_catalog.codes()) < 2:
        return None
    return protocol_catalog.bound_to(course)


def study_of_subject(subject: Subject) -> Protocol | None:
    """Returns the protocol of the subject's newest course where there are several protocols; else None."""
    if len(protocol_catalog.codes()) < 2:
        return None
    newest = courses.current_course(db_session(), subject)
    return study(newest) if newest else None


@blueprint.context_processor
def _template_globals() -> dict[str, object]:
    return {
        "event_title": event_title,
        "labels": labels,
        "consent_labels": consent_labels,
        "other_treatment_labels": other_treatment_labels,
        "may": navigation.may_use,
        "plot": chart,
        "study": study,
        "study_of_subject": study_of_subject,
        "trend_wording": trend_wording,
    }
