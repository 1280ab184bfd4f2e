"""`pro-tracker demo`: one command starts the whole service, and one signal ends all its processes."""

import os
import re
import signal
import socket
import sqlite3
import stat
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from pro_tracker.cli.demo import demo
from pro_tracker.demo import ports
from pro_tracker.demo.installation import PROTOCOL, SECOND_PROTOCOL, AlreadyRunning, DemoInstallation, clear, lock
from pro_tracker.services.protocols import protocol_catalog
from tests.servers.process import end, start, wait_until

RUNNING = "PRO Tracker is running."


def test_a_port_in_use_is_skipped():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]

        assert ports.choose(taken) != taken
        assert not ports.is_free(taken)


def test_two_servers_of_one_demonstration_never_share_a_port():
    first = ports.choose(20_000)

    assert ports.choose(20_000, taken=[first]) > first


def test_secrets_are_generated_once_are_private_and_differ_between_machines(tmp_path):
    one, same, other = (_installation(tmp_path / name) for name in ("one", "one", "other"))

    assert one.environment() == same.environment()
    assert one.password == same.password
    assert one.environment()["PRO_TRACKER_SECRET_KEY"] != other.environment()["PRO_TRACKER_SECRET_KEY"]
    assert one.password != other.password
    assert stat.S_IMODE((one.folder / "secrets.env").stat().st_mode) == 0o600


def test_a_negative_number_of_patients_is_rejected_before_any_file_is_created(tmp_path):
    result = CliRunner().invoke(demo, ["--subjects", "-3", "--folder", str(tmp_path / "demo")])
    assert "-3 is not in the range" in result.output
    assert not (tmp_path / "demo").exists()


def test_a_folder_runs_one_demonstration_at_a_time(tmp_path):
    with lock(tmp_path), pytest.raises(AlreadyRunning), lock(tmp_path):
        pass


def test_starting_over_removes_everything_but_the_lock(tmp_path):
    installation = _installation(tmp_path / "demo")
    installation.mark_filled()
    (installation.folder / "mail").mkdir()
    with lock(installation.folder):
        clear(installation.folder)

        assert [path.name for path in installation.folder.iterdir()] == ["lock"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for remaining processes in /proc")
def test_one_command_starts_all_processes_and_one_signal_ends_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PRO_TRACKER_DATA_FOLDER", str(_own_data_folder(tmp_path / "own")))
    with _demo(tmp_path / "demo", tmp_path / "first.log", "--subjects", "4") as (process, output):
        addresses = dict(re.findall(r"^(Staff pages|A patient's link|Mails sent) +(http\S+)$", output(), re.MULTILINE))
        pages = {name: _get(address) for name, address in addresses.items()}
        assert {name: status for name, (status, _) in pages.items()} == dict.fromkeys(
            ["Staff pages", "A patient's link", "Mails sent"], 200
        )
        assert "birth date" in output()
        assert re.search(r"^  Alert, open +north-\d+  http\S+/calls/\d+$", output(), re.MULTILINE)
        assert len(_processes(tmp_path)) >= 5

        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0
        assert _processes(tmp_path) == {}
    assert {"our-own-study", PROTOCOL, SECOND_PROTOCOL} <= _released_protocols(tmp_path / "demo")

    with _demo(tmp_path / "demo", tmp_path / "second.log") as (process, output):
        assert "Simulating nine months" not in output()

        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 0
        assert _processes(tmp_path) == {}


@contextmanager
def _demo(folder: Path, log: Path, *options: str):
    command = [
        sys.executable,
        "-c",
        "from pro_tracker.cli import main; main()",
        "demo",
        "--folder",
        str(folder),
        *options,
    ]
    process = start(command, log=log)
    try:
        wait_until(
            lambda: RUNNING in log.read_text() or process.poll() is not None,
            what=f"the demonstration, see {log}",
            seconds=120,
        )
        assert process.poll() is None, log.read_text()
        yield process, log.read_text
    finally:
        end(process)


def _own_data_folder(folder: Path) -> Path:
    """Returns a data folder of the user with one protocol, our-own-study."""
    shipped = (protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8")
    (folder / "protocols").mkdir(parents=True)
    own = shipped.replace("code: ketamine-5day", "code: our-own-study")
    (folder / "protocols" / "our-own-study.yaml").write_text(own, encoding="utf-8")
    return folder


def _released_protocols(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "pro-tracker.sqlite3")) as database:
        rows = database.execute("SELECT code FROM definition WHERE kind = 'protocol'").fetchall()
    return {code for (code,) in rows}


def _installation(folder: Path) -> DemoInstallation:
    folder.mkdir(exist_ok=True)
    return DemoInstallation(folder, folder / "broker.sock", 8000, 8025, 1025)


def _get(address: str) -> tuple[int, str]:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(address, timeout=10) as answer:
        return answer.status, answer.read().decode()


def _processes(folder: Path) -> dict[int, str]:
    """Returns the processes of the demonstration: their environment or command line contains the folder."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            about = path.joinpath("environ").read_bytes() + path.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in about and int(path.name) != os.getpid():
            found[int(path.name)] = path.joinpath("cmdline").read_bytes().decode(errors="replace")
    return found
