"""What is reported about mails: by a mail service, or a script that reads bounces, through /webhooks/gateway."""

from datetime import datetime

from pro_tracker.services.sending.delivery_reports import ReportedEvent

PROVIDER = "mail"
SECRET = "mail_webhook_secret"  # nosec B105  the name of a setting


def reply(_reported: ReportedEvent, *, now: datetime) -> str | None:
    """Nothing: nobody reads replies to mails."""
    return None
