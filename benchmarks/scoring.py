"""Measures scoring: singly, in bulk, and as the whole re-scoring job. Run: python -m benchmarks scoring

The job is the command itself, on PostgreSQL with durable commits; responses of eight items, two for each visit.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from sqlalchemy import text

from benchmarks.measure import machine
from pro_tracker import clock, db, migrate
from pro_tracker.domain import scoring
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.rescoring.bulk_scoring import MISSING, BulkScorer
from pro_tracker.services.results import aggregates
from tests.servers.postgresql import PostgresqlServer, make_server

FORMS = ("promis-pain-interference-8a", "promis-fatigue-8a")
ONE_BY_ONE, AT_ONCE, ROUNDS = 20_000, 1_000_000, 7
SHARE_SKIPPED = 0.02  # of the answers
KEYS = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
TICKS = os.sysconf("SC_CLK_TCK")

# `pro-tracker rescore` with the instruments of a folder, and a last line with this process's CPU seconds and peak KB.
# VmHWM counts from the start of the program; ru_maxrss would include the benchmark that started it.
COMMAND = """
import re, sys, time
from pathlib import Path
from pro_tracker.services.instruments import instrument_catalog
instrument_catalog.INSTRUMENTS = Path(sys.argv[1])
from pro_tracker.cli import group
group(["rescore"], standalone_mode=False)
print(time.process_time(), re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def main(responses: int) -> None:
    print(f"Scoring\n  {machine()}")
    _scorers(instrument_catalog.instrument(FORMS[0]))
    server, folder = make_server(durable=True), Path(tempfile.mkdtemp(prefix="pro-tracker-scoring-"))
    try:
        _seed(server, responses)
        print(f"  The whole job, {responses} responses{'':<16} seconds  rows/s  its CPU  database CPU  peak MB")
        _show("first scores", responses, _job(server, instrument_catalog.INSTRUMENTS))
        _show("scores under a new version", responses, _job(server, _new_scoring(folder / "instruments")))
        _show("once more, nothing to add", responses, _job(server, folder / "instruments"))
        print(f"    {'of the first two, the cohort figures alone':<44} {_seconds_of_figures():>8.1f}")
    finally:
        server.stop()
        shutil.rmtree(folder)
        shutil.rmtree(server.folder)


def _scorers(instrument: Instrument) -> None:
    """Prints responses per CPU second of this process, singly and in bulk. One response in twenty misses an answer."""
    chance = np.random.default_rng(1)
    answers = chance.integers(1, 6, (AT_ONCE, len(instrument.items)), dtype=np.int8)
    answers[::20, 3] = MISSING
    link_ids = [item.link_id for item in instrument.items]
    rows = answers[:ONE_BY_ONE].tolist()
    given = [{key: code for key, code in zip(link_ids, row, strict=True) if code != MISSING} for row in rows]
    alone = _rates(lambda: [scoring.score(instrument, each) for each in given], ONE_BY_ONE)
    print(f"  {'one response after the other, rows/s':<46} {_spread(alone)}")
    many = _rates(lambda: _all_columns(instrument, answers), AT_ONCE)
    print(f"  {'many at once, rows/s':<46} {_spread(many)}")
    print(f"  {'many at once, items/s':<46} {_spread([rate * len(link_ids) for rate in many])}")


def _all_columns(instrument: Instrument, answers: np.ndarray) -> None:
    (scores,) = BulkScorer(instrument).score(answers)
    for name in ("raw_score", "t_score", "standard_error", "n_answered", "scored"):
        assert len(getattr(scores, name)) == len(answers)


def _rates(work: Callable[[], object], rows: int) -> list[float]:
    work()  # warm-up
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        rates.append(rows / (time.process_time() - began))
    return rates


def _spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):>13,.0f}  ({min(rates):,.0f} to {max(rates):,.0f})"


def _seed(server: PostgresqlServer, responses: int) -> None:
    """Inserts courses of the first protocol with every visit answered and no scores, by SQL for speed."""
    migrate.upgrade(db.connect(server.url("postgres")))
    protocol = protocol_catalog.protocols()[0]
    known: dict[str, object] = {"code": protocol.code, "version": protocol.version, "events": len(protocol.events)}
    known["event_codes"] = [event.code for event in protocol.events]
    known["visits"] = responses // len(FORMS)
    known["courses"] = 1 + responses // len(FORMS) // len(protocol.events)
    with db.Session() as session:
        for statement in (*SEED, *map(_responses, FORMS)):
            given = {name: value for name, value in known.items() if f":{name}" in statement}
            session.execute(text(statement), given)
        session.commit()
    server.execute("VACUUM ANALYZE")


SEED = (
    "SELECT setseed(0.5)",
    """INSERT INTO site (id, code, name, time_zone, phone, last_subject_number)
    VALUES (1, 'bench', 'bench', 'America/New_York', '-', 0)""",
    """INSERT INTO subject (id, site_id, study_code, enrolled_on, sex, age_years, language, time_zone,
        preferred_channel, created_at)
    SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), 1, 'bench-' || n, '2025-01-06', 'female', 50, 'en',
        'America/New_York', 'email', '2025-01-06' FROM generate_series(1, :courses) AS n""",
    """INSERT INTO course (id, subject_id, site_id, number, protocol_code, protocol_version, planned_infusions,
        created_at)
    SELECT n, CAST(lpad(to_hex(n), 32, '0') AS uuid), 1, 1, CAST(:code AS text), CAST(:version AS text), 5, '2025-01-06'
    FROM generate_series(1, :courses) AS n""",
    """INSERT INTO visit (id, protocol_code, protocol_version, course_id, subject_id, event_code, visit_number,
        anchor_on, opens_at, due_at, closes_at, planned_at, completed_at, failed_checks)
    SELECT n, CAST(:code AS text), CAST(:version AS text), 1 + n / :events,
        CAST(lpad(to_hex(1 + n / :events), 32, '0') AS uuid),
        (CAST(:event_codes AS text[]))[1 + n % :events], 1 + n % :events, '2025-01-06', '2025-01-06', '2025-01-07',
        '2025-01-08', '2025-01-06', '2025-01-06', 0
    FROM generate_series(0, :visits - 1) AS n""",
)


def _responses(code: str) -> str:
    instrument = instrument_catalog.instrument(code)
    pack = instrument_catalog.text_pack(code, "en")
    answer = f"CASE WHEN random() < {SHARE_SKIPPED} THEN NULL ELSE 1 + floor(random() * 5) END"
    answers = ", ".join(f"'{item.link_id}', CAST({answer} AS int)" for item in instrument.items)
    return f"""
    INSERT INTO questionnaire_response (visit_id, subject_id, instrument_code, instrument_version, language,
        text_pack_version, text_pack_validated, status, answers, mode, authored_at)
    SELECT id, subject_id, '{code}', '{instrument.version}', 'en', '{pack.version}', false, 'completed',
        jsonb_build_object({answers}), 'self-web', opens_at FROM visit ORDER BY id"""


def _new_scoring(folder: Path) -> Path:
    """Returns a folder of the shipped instruments, with a new scoring version of FORMS that raises T-scores by 0.5."""
    shutil.copytree(instrument_catalog.INSTRUMENTS, folder, ignore=shutil.ignore_patterns("text_packs"))
    for code in FORMS:
        path = folder / f"{code}.yaml"
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.rename(folder / f"{code}@{file['version']}.yaml")
        for row in file["scales"][0]["score_table"]["rows"]:
            row[1] = round(row[1] + 0.5, 1)
        path.write_text(yaml.safe_dump(file | {"version": "99", "scoring_version": "99"}), encoding="utf-8")
    return folder


def _seconds_of_figures() -> float:
    began = time.perf_counter()
    with db.Session() as session:
        aggregates.rebuild(session, now=clock.now())
        session.commit()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Job:
    """Wall seconds, CPU seconds of the command and of PostgreSQL, and peak memory of the command."""

    seconds: float
    cpu: float
    database_cpu: float
    peak_mb: float


def _job(server: PostgresqlServer, instruments: Path) -> Job:
    assert server.process is not None
    settings = {"PRO_TRACKER_DATABASE_URL": server.url("postgres"), "PRO_TRACKER_FIELD_KEYS": KEYS}
    began, cpu_before = time.perf_counter(), _cpu_of_all(server.process.pid)
    command = [sys.executable, "-c", COMMAND, str(instruments)]
    done = subprocess.run(command, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE, text=True)
    seconds, database_cpu = time.perf_counter() - began, _cpu_of_all(server.process.pid) - cpu_before
    cpu, peak = done.stdout.splitlines()[-1].split()
    return Job(seconds, float(cpu), database_cpu, float(peak) / 1024)


def _cpu_of_all(pid: int) -> float:
    """Returns the CPU seconds of a server and of its children, ended ones included.

    A child that ends while this reads is counted by its parent, which is read last.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return sum(_cpu_of(process) for process in (*children, str(pid)))


def _cpu_of(pid: str) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15])) / TICKS  # user and system time, of itself and of ended children


def _show(name: str, responses: int, job: Job) -> None:
    figures = f"{job.seconds:>8.1f}{responses / job.seconds:>8,.0f}{job.cpu:>9.1f}{job.database_cpu:>14.1f}"
    print(f"    {name:<44} {figures}{job.peak_mb:>9.0f}", flush=True)
