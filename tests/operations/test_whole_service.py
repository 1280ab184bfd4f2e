"""The whole service: web, worker and beat in separate processes on PostgreSQL and Redis."""

import json
import signal
import sys
import urllib.error
import urllib.request

import pytest

from tests.servers.process import answers, free_port, wait_until

CELERY = [sys.executable, "-m", "celery", "--app", "worker.celery_app:app"]
WEB = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]

pytestmark = [pytest.mark.slow, pytest.mark.dialects("postgresql")]


@pytest.fixture
def web(processes, environment):
    """The address of a running web server."""
    port = free_port()
    environment |= {"PRO_TRACKER_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    processes("web", WEB)
    wait_until(lambda: answers(port) and _get(f"http://127.0.0.1:{port}/healthz"), what="the web server")
    return f"http://127.0.0.1:{port}"


def test_the_service_is_ready_once_worker_and_beat_have_worked(database, broker, web, processes, tmp_path):
    alone = _ready(web)
    assert (alone["database"], alone["migrations"], alone["broker"]) == (True, True, True)
    assert (alone["worker"], alone["beat"]) == (False, False)

    worker = processes("worker", [*CELERY, "worker", "--concurrency", "1", "--loglevel", "warning"])
    beat = processes("beat", [*CELERY, "beat", "--schedule", str(tmp_path / "beat"), "--pidfile", ""])
    wait_until(lambda: all(_ready(web).values()), what=f"everything to be ready, see {tmp_path}", seconds=60)

    for process in (beat, worker):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_without_its_broker_the_service_reports_it_and_still_answers(database, broker, web):
    broker.stop()

    parts = _ready(web)
    broker.start()

    assert parts["broker"] is False
    assert parts["database"] is True
    assert _get(f"{web}/healthz")[0] == 200


def _ready(web):
    status, body = _get(f"{web}/readyz")
    answer = json.loads(body)
    assert status == (200 if answer["ready"] else 503)
    return {name: part["ok"] for name, part in answer["parts"].items()}


def _get(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()
