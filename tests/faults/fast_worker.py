"""The worker's Celery application with short intervals: seconds instead of minutes, and a beat tick every second."""

from datetime import timedelta

from pro_tracker.domain import reminder_times
from pro_tracker.providers import twilio_client
from pro_tracker.services.sending import attempts
from worker.celery_app import BEAT, app

reminder_times.FIRST_RETRY = timedelta(seconds=2)
reminder_times.RETRY_FACTOR = 2
attempts.ATTEMPT_LEASE = timedelta(seconds=8)
twilio_client.LISTED_WITHIN = timedelta(seconds=2)
for name in ("sweep", "recover expired"):
    BEAT[name]["schedule"] = 1

__all__ = ["app"]
