"""How gunicorn serves the application: gunicorn --config python:config.gunicorn 'pro_tracker.app:create_app()'

Threads rather than an event loop: pages wait for the database and nothing else; large exports are files of the worker.
"""

import os
from pathlib import Path
from typing import Any

from config.settings import settings_or_exit

bind = os.environ.get("PRO_TRACKER_BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8
# A thread waits at most this long for a slow phone's next request; behind a proxy that keeps connections open itself.
keepalive = 15
timeout = 60
graceful_timeout = 20
# Each worker starts anew after a while, not all in the same minute, so that no slow leak becomes an outage.
max_requests = 10_000
max_requests_jitter = 1_000
# The heartbeat file on a memory disk: on a busy disk workers were taken for dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nosec B108  gunicorn makes an unnamed file there
# Addresses of requests hold personal links, so they are never written to a log.
accesslog = None
errorlog = "-"
loglevel = "info"
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Look at the environment once, before each process would complain of it."""
    settings_or_exit()


def post_worker_init(worker: Any) -> None:
    """Say when pages are answered: the address is listened at some seconds before the application is loaded."""
    worker.log.info("Ready to answer")
