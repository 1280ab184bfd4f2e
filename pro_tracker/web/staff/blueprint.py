"""The blueprint of the staff's pages, and the words and dates all their templates use."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from flask import Blueprint
from flask_babel import format_date, format_time

from pro_tracker.models.course import Course
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.web import labels, navigation
from pro_tracker.web.staff import chart, trend_wording

blueprint = Blueprint("staff", __name__)


@blueprint.app_template_filter("day")
def day(on: date | None) -> str:
    """A date: "Mar 2, 2026"; a dash for none."""
    return "–" if on is None else str(format_date(on, "medium"))


@blueprint.app_template_filter("short_day")
def short_day(on: date) -> str:
    """A date as narrow as an axis wants it: "3/2/26"."""
    return str(format_date(on, "short"))


@blueprint.app_template_filter("weekday")
def weekday(on: date) -> str:
    """A date with its day of the week: "Mon, Mar 2, 2026"."""
    return f"{format_date(on, 'EEE')}, {day(on)}"


@blueprint.app_template_filter("iso_day")
def iso_day(text: str) -> str:
    """A stored ISO date as people read it."""
    return day(date.fromisoformat(text))


@blueprint.app_template_filter("local_day")
def local_day(moment: datetime, time_zone: str) -> str:
    """The date of a moment where the subject is."""
    return day(moment.astimezone(ZoneInfo(time_zone)).date())


@blueprint.app_template_filter("local_moment")
def local_moment(moment: datetime, time_zone: str) -> str:
    """Date and time of a moment where the subject is: "Mar 2, 2026, 3:00 PM"."""
    there = moment.astimezone(ZoneInfo(time_zone))
    return f"{day(there.date())}, {format_time(there.time(), 'short', rebase=False)}"


@blueprint.app_template_filter("wall_time")
def wall_time(at: time) -> str:
    """A time of day as the reader writes it: "9:00 AM"."""
    return str(format_time(at, "short", rebase=False))


@blueprint.app_template_filter("local_time")
def local_time(moment: datetime, time_zone: str) -> str:
    """The time of day of a moment where the subject is: "3:00 PM"."""
    return str(format_time(moment.astimezone(ZoneInfo(time_zone)).time(), "short", rebase=False))


def event_title(visit: Visit, course: Course) -> str:
    """The name of a visit's study event in its course's protocol."""
    return protocol_catalog.protocol(course.protocol_code, course.protocol_version).event(visit.event_code).title


@blueprint.context_processor
def _labels() -> dict[str, object]:
    may = navigation.may_use
    return {"event_title": event_title, "may": may, "plot": chart, "trend_wording": trend_wording, "labels": labels}
