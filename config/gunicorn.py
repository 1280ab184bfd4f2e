"""Settings of the web server: gunicorn --config python:config.gunicorn 'pro_tracker.app:create_app()'

Threads rather than an event loop: pages wait for nothing but the database, and workers write the large exports.
"""

import os
from pathlib import Path
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from config.logging import PrivateFormatter
from config.settings import settings_or_exit
from pro_tracker.web import assets

bind = os.environ.get("PRO_TRACKER_BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8
# Seconds that an idle connection stays open. Slow phones reuse one; a reverse proxy has its own limit.
keepalive = 15
timeout = 60
graceful_timeout = 20
# Each worker restarts after this many requests, with jitter so that not all do at once: no slow leak is an outage.
max_requests = 10_000
max_requests_jitter = 1_000
# gunicorn's heartbeat file on a memory disk: on a busy disk, live workers missed their heartbeat and were killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nosec B108  gunicorn makes an unnamed file there
# Request paths hold link tokens, so requests are not logged, and PrivateLogger removes tokens from errors.
accesslog = None
errorlog = "-"
loglevel = "info"
control_socket_disable = True


class PrivateLogger(Logger):  # type: ignore[misc]
    """gunicorn's log without tokens: it names the address of a request that failed or cannot be read."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(PrivateFormatter(self.error_fmt, self.datefmt))


logger_class = PrivateLogger


def on_starting(_server: Any) -> None:
    """Checks settings and built files once in the master process, so that a missing one is reported once."""
    settings_or_exit()
    try:
        assets.require_built()
    except assets.MissingAssets as error:
        raise SystemExit(f"pro-tracker: {error}") from None


def post_worker_init(worker: Any) -> None:
    """Logs that pages are served: the port is open some seconds before the application has loaded."""
    worker.log.info("Ready to answer")
