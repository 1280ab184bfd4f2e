"""Reports about mail, from a mail service or a script that reads bounces; they arrive at /webhooks/gateway."""

from datetime import datetime

from pro_tracker.services.sending.delivery_reports import ReportedEvent

PROVIDER = "mail"
SECRET = "mail_webhook_secret"  # nosec B105  the name of a setting


def reply(_reported: ReportedEvent, *, now: datetime) -> str | None:
    """Returns None: reports about mail get no reply text."""
    return None
