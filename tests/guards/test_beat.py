"""Tasks of beat's schedule exist, take no arguments, and do not accumulate while no worker runs."""

import json
import os
import subprocess
import sys

import pytest

from worker.celery_app import BEAT

# In a separate process: Celery reads the environment only once.
PRINT_TASKS = """
import inspect, json
import worker.tasks
from worker.celery_app import app
ours = {name: task.run for name, task in app.tasks.items() if not name.startswith("celery.")}
about = {name: [inspect.getdoc(run) or "", list(inspect.signature(run).parameters)] for name, run in ours.items()}
print(json.dumps(about))
"""
LOAD_SCHEDULER = """
from kombu.utils.imports import symbol_by_name
from worker.celery_app import app
print(symbol_by_name(app.conf.beat_scheduler).__name__)
"""


@pytest.fixture
def tasks(environment):
    """Returns task name -> its docstring and the names of its parameters."""
    return json.loads(_output(PRINT_TASKS, environment))


def _output(program, environment):
    environment = {**os.environ, **environment}
    run = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    return run.stdout


def test_every_beat_entry_names_a_task_that_needs_no_argument(tasks):
    queued = {entry["task"] for entry in BEAT.values()}

    assert queued - set(tasks) == set()
    assert {name: tasks[name][1] for name in queued if tasks[name][1]} == {}


def test_tasks_are_named_noun_dot_verb_and_have_docstrings(tasks):
    assert [name for name in tasks if name.count(".") != 1] == []
    assert [name for name, (about, _) in tasks.items() if not about] == []


def test_the_setting_of_beats_scheduler_names_a_class_that_exists(environment):
    assert _output(LOAD_SCHEDULER, environment) == "SharedScheduler\n"


def test_every_beat_entry_expires_before_the_next_one_is_queued():
    seconds = {name: entry["schedule"] for name, entry in BEAT.items() if isinstance(entry["schedule"], int)}

    assert [name for name, entry in BEAT.items() if "expires" not in entry["options"]] == []
    assert [name for name, every in seconds.items() if not 0 < BEAT[name]["options"]["expires"] < every] == []
