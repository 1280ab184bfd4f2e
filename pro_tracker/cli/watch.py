"""`pro-tracker watch`: alerts the operator by mail when messages are not sent. Runs outside of the workers."""

import sys
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

import click
from sqlalchemy.exc import SQLAlchemyError

from config.settings import DATABASE_SETTINGS, Settings, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.operations import incidents
from pro_tracker.services.operations.incidents import OperatorAlert

EVERY_SECONDS = 60
UNAVAILABLE_FOR = timedelta(minutes=2)  # shorter outages, such as a restart of the database, are no incident
DATABASE_UNAVAILABLE = OperatorAlert(
    "The database cannot be reached", "Nothing can be answered or sent until it is back."
)


@dataclass
class Watch:
    """One watcher. It keeps the state of a database outage itself, since the database cannot store it then."""

    settings: Settings
    began_at: datetime
    unavailable_since: datetime | None = None
    notified_unavailable: bool = False

    def check(self, *, now: datetime, watching_since: datetime | None = None) -> list[str]:
        """Checks once and mails new alerts and all-clears. Returns one sentence for each incident that is open.

        `watching_since`: when this watcher started, so that the service has time to start; None: no grace period.
        """
        try:
            detected = self._check(now, watching_since)
        except SQLAlchemyError:
            self.unavailable_since = self.unavailable_since or now
            is_incident = now - self.unavailable_since >= UNAVAILABLE_FOR
            if is_incident and not self.notified_unavailable:
                self.notified_unavailable = self._send(DATABASE_UNAVAILABLE)
            return [f"{DATABASE_UNAVAILABLE.title}."]
        self.unavailable_since, self.notified_unavailable = None, False
        return detected

    def _check(self, now: datetime, watching_since: datetime | None) -> list[str]:
        with db.Session() as session:
            detected = incidents.detect(session, now=now, watching_since=watching_since)
            incidents.record(session, detected, now=now)
            session.commit()
            for incident in incidents.pending_notifications(session):
                alert = incidents.alert_for(incident, detected)
                session.commit()  # no transaction stays open while the mail is sent
                if self._send(alert):
                    incidents.mark_notified(incident, now=now)
                    session.commit()
        return list(detected.values())

    def _send(self, alert: OperatorAlert) -> bool:
        """Mails the alert. Returns whether the mail server accepted it."""
        text = f"{alert.text}\n\n{self.settings.text('base_url')}\n"
        mail = OutgoingMessage(
            key=uuid.uuid4(),
            to=self.settings.text("operator_mail"),
            subject=f"PRO Tracker: {alert.title}",
            text=text,
            html=f'<p style="white-space: pre-line">{escape(text)}</p>',
            language="en",
            written_at=clock.now(),
        )
        provider = SmtpProvider(self.settings.text("smtp_url"), self.settings.sender, self.settings.ca_file)
        try:
            result = provider.send(mail)
        finally:
            provider.close()
        click.echo(f"{alert.title}: {result.outcome.value}", err=True)
        return result.outcome is SendOutcome.ACCEPTED


@click.command(
    epilog="""\b
Examples:
  PRO_TRACKER_OPERATOR_MAIL=it@clinic.example pro-tracker watch
  pro-tracker watch --once || echo "look at /readyz"
"""
)
@click.option(
    "--once", is_flag=True, help="Look once, report what is new, and exit with status 1 if anything is wrong."
)
def watch(once: bool) -> None:
    """Mail PRO_TRACKER_OPERATOR_MAIL when nothing swept for five minutes or a message is late by ten.

    Also when a provider or the database is down; once when it begins and once when it is over. Looks every minute
    until it is stopped. Alerts hold numbers and moments only.
    """
    settings = load_settings(*DATABASE_SETTINGS, "smtp_url", "base_url", "operator_mail")
    connect(settings)
    watcher = Watch(settings, clock.now())
    if once:
        detected = watcher.check(now=clock.now())
        for sentence in detected or ["All is well."]:
            click.echo(sentence)
        sys.exit(1 if detected else 0)
    while True:
        watcher.check(now=clock.now(), watching_since=watcher.began_at)
        time.sleep(EVERY_SECONDS)
