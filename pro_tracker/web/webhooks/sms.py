"""Reports about text messages and incoming texts, from a gateway; twilio.py takes those from Twilio."""

from datetime import datetime

from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.web.session import db_session

PROVIDER = "gateway"
SECRET = "sms_gateway_secret"  # nosec B105  the name of a setting


def reply(reported: ReportedEvent, *, now: datetime) -> str | None:
    """Returns the reply to STOP, START, HELP and other words; None for other events."""
    return delivery_reports.reply(db_session(), reported, now=now)
