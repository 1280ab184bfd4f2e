"""Celery's settings and beat's schedule, each with its reason. The database, not the queue, says what is to be done."""

from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging, worker_process_init
from kombu import Queue

from config import logging as logs
from config.settings import SERVICE_SETTINGS, load_settings, settings_or_exit
from pro_tracker import db
from pro_tracker.services.clinic import channels_in_service
from pro_tracker.services.instruments import data_files
from worker import redis_queue

TASK_SECONDS = 600  # a batch of the slowest mails takes less; a task that hangs is killed and its lease expires

BROKER_OPTIONS = {
    "socket_timeout": 5,  # publishing to a frozen Redis hung for 45 s without it
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,  # detects connections that a firewall dropped without a reset
    "visibility_timeout": 900,  # a dead worker's tasks are redelivered after this; more than any task may take
    "unacked_restore_interval": 5,  # how often redelivery is checked ...
    "unacked_restore_throttle": 1,  # ... on every check; by default on every tenth
    "queue_order_strategy": "sorted",  # by name, which is the order of QUEUES
}

# Strict priority: a worker empties the first queue before it looks at the next. Waiting mails must not delay the
# heartbeat or the recovery of a dead worker's claims. Round-robin let the first queue grow without limit: two short
# tasks arrived for each one taken. Long work comes last, in small portions.
QUEUES = HOUSEKEEPING, SENDING, SLOW = "housekeeping", "sending", "slow"

# `expires` is a little shorter than the interval: after a worker outage one task of each kind waits, not hundreds.
BEAT: dict[str, dict[str, Any]] = {
    "sweep": {"task": "outbox.sweep", "schedule": 60, "options": {"expires": 55}},
    "recover expired": {"task": "outbox.recover_expired", "schedule": 30, "options": {"expires": 25}},
    "heartbeat": {"task": "heartbeat.beat", "schedule": 60, "options": {"expires": 55}},
    "delivery reports": {"task": "delivery_reports.process", "schedule": 60, "options": {"expires": 55}},
    "calls": {"task": "calls.open_due", "schedule": 300, "options": {"expires": 290}},
    "missed visits": {"task": "visits.record_missed", "schedule": 300, "options": {"expires": 290}},
    "aggregates": {"task": "aggregates.refresh", "schedule": 15, "options": {"expires": 14}},
    "all aggregates": {
        "task": "aggregates.rebuild",
        "schedule": crontab(hour=3, minute=10),  # UTC; corrects what an incremental refresh missed
        "options": {"expires": 6 * 3600},
    },
    "re-scoring": {"task": "scores.resume", "schedule": 60, "options": {"expires": 55}},
    "idle courses": {"task": "visits.plan_idle", "schedule": 3600, "options": {"expires": 3500}},
}


def _settings() -> dict[str, Any]:
    """Returns Celery's settings. Celery calls this on first use, so importing this module needs no environment."""
    return {
        "broker_url": settings_or_exit().text("broker_url"),
        "broker_transport_options": BROKER_OPTIONS,
        "broker_connection_retry_on_startup": True,  # after a power cut Redis may come up later than the worker ...
        "broker_connection_max_retries": None,  # ... or much later: by default a worker exits after 100 tries
        "beat_schedule": BEAT,
        "beat_scheduler": "worker.scheduler:SharedScheduler",
        "timezone": "UTC",
        "task_queues": [Queue(name, routing_key=name) for name in QUEUES],
        "task_default_queue": HOUSEKEEPING,
        "task_routes": {"outbox.deliver": {"queue": SENDING}, "scores.rescore": {"queue": SLOW}},
        "accept_content": ["json"],  # unpickling runs code from the queue
        "task_ignore_result": True,  # outcomes are in the database
        # A task whose process died is redelivered at once (test_queue_settings.py). It cannot loop: a message that
        # kills its sender already has an open attempt and is isolated (test_worker_crashes.py).
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # A lost broker connection must not kill a sender between SMTP's final dot and the recorded outcome: with True,
        # three restarts of Redis left 4 of 60 mails uncertain (test_services_restart.py). False needs redis_queue.py.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_time_limit": TASK_SECONDS,
        "task_publish_retry": False,  # the next sweep publishes again
        "worker_prefetch_multiplier": 1,  # a batch waits in Redis for a free worker, not behind a busy one
    }


redis_queue.install()
app = Celery("pro_tracker", include=["worker.tasks"])
app.add_defaults(_settings)


def connect(**_: object) -> None:
    """Opens the process's own database engine after the fork: a socket shared by two processes breaks both."""
    settings = load_settings(*SERVICE_SETTINGS)
    db.connect(settings.text("database_url"), settings.key_ring())
    data_files.set_data_folder(settings.data_folder)
    channels_in_service.set_channels_in_service(settings.channels_in_service)


def _log(**_: object) -> None:
    """Configures our log format. A connected `setup_logging` signal keeps Celery from configuring its own."""
    logs.configure(load_settings().log_level)


worker_process_init.connect(connect)
setup_logging.connect(_log)
