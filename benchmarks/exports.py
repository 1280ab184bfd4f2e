"""Measures exports: time at N subjects, peak memory at N and 4 N. Run: python -m benchmarks exports --subjects 1000

On PostgreSQL, through the command itself (start of Python included) and through the service alone.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.seeded_cohort import NOW, seed
from pro_tracker import db, migrate
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import KINDS, Extent, Kind
from tests.servers.postgresql import make_server

GROWTH = 4  # the peak memory is measured again with this many times as many subjects
ROUNDS = 5
KEYS = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# `pro-tracker export KIND --out FILE`. REPORT_PEAK adds a line with the peak memory in KB: VmHWM, because
# ru_maxrss of getrusage includes the peak of the parent that started the process.
COMMAND = """
import sys
from pro_tracker.cli import group
group(["export", sys.argv[1], "--out", sys.argv[2]], standalone_mode=False)
"""
REPORT_PEAK = """
from pathlib import Path
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def main(subjects: int) -> None:
    """Prints the table for this number of subjects."""
    server = make_server()
    folder = Path(tempfile.mkdtemp(prefix="pro-tracker-exports-"))
    try:
        url = server.url("postgres")
        migrate.upgrade(db.connect(url))
        _grow(subjects, first=0)
        small = {kind: _measured(kind, url, folder) for kind in KINDS}
        _grow(GROWTH * subjects, first=subjects)
        large = {kind: _peak_mb(kind, url, folder) for kind in KINDS}
        _print(subjects, small, large)
    finally:
        server.stop()
        shutil.rmtree(folder)
        shutil.rmtree(server.folder)


def _grow(total: int, *, first: int) -> None:
    """Adds subjects numbered from `first`, up to `total` subjects."""
    with db.Session() as session:
        seed(session, total - first, first=first)


@dataclass
class Measured:
    """Wall and CPU seconds of the service alone (without the database), wall seconds and peak MB of the command."""

    service: list[float]
    cpu: list[float]
    command: list[float]
    peak_mb: float


def _measured(kind: Kind, url: str, folder: Path) -> Measured:
    _service_seconds(kind, folder)  # warm-up
    alone = [_service_seconds(kind, folder) for _ in range(ROUNDS)]
    commands = [_timed_command(kind, url, folder) for _ in range(ROUNDS)]
    wall, cpu = [each[0] for each in alone], [each[1] for each in alone]
    return Measured(wall, cpu, commands, _peak_mb(kind, url, folder))


def _service_seconds(kind: Kind, folder: Path) -> tuple[float, float]:
    """Returns the wall and CPU seconds of one export in this process."""
    began = time.perf_counter()
    cpu_before = time.process_time()
    with db.Session() as session, (folder / f"{kind}.csv").open("w", newline="", encoding="utf-8") as out:
        exports.write(session, kind, out, Extent(NOW))
    return time.perf_counter() - began, time.process_time() - cpu_before


def _timed_command(kind: Kind, url: str, folder: Path) -> float:
    began = time.perf_counter()
    _run([sys.executable, "-c", COMMAND, kind, str(folder / "out.csv")], url)
    return time.perf_counter() - began


def _peak_mb(kind: Kind, url: str, folder: Path) -> float:
    kilobytes = _run([sys.executable, "-c", COMMAND + REPORT_PEAK, kind, str(folder / "out.csv")], url)
    return float(kilobytes) / 1024


def _run(command: list[str], url: str) -> str:
    """Runs the command as an installation would. Returns the last line of its output."""
    settings = {"PRO_TRACKER_DATABASE_URL": url, "PRO_TRACKER_FIELD_KEYS": KEYS}
    environment = {**os.environ, **settings}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed service has its byte code
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def _print(subjects: int, small: dict[Kind, Measured], large: dict[Kind, float]) -> None:
    print(f"Export of {subjects:,} subjects, seconds: median (fastest to slowest of {ROUNDS})")
    print(f"  aim at 1,000 subjects: under 2 s; {machine()}")
    titles = ("service alone", "its CPU", "whole command")
    peaks = f"{f'peak MB at {subjects}':>18}{f'at {GROWTH * subjects}':>10}"
    print(" " * 10 + "".join(f"{title:>24}" for title in titles) + peaks)
    for kind, each in small.items():
        times = "".join(f"{_spread(seconds):>24}" for seconds in (each.service, each.cpu, each.command))
        print(f"{kind:10}{times}{each.peak_mb:>18.0f}{large[kind]:>10.0f}")


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
