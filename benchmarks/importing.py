"""Measures the import of a roster: the check of the whole file, and its portions. On PostgreSQL.

Run: python -m benchmarks importing --people 20000
"""

import csv
import io
import shutil
import statistics
import time
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from benchmarks.measure import machine
from pro_tracker import db, migrate
from pro_tracker.domain import roster_file
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.keyring import KeyRing
from pro_tracker.services.audit import Actor
from pro_tracker.services.rosters import roster_loading, roster_review, roster_staging
from pro_tracker.services.rosters.roster_result import ImportResult
from tests.conftest import FIELD_KEYS
from tests.enrolment.test_roster_import import ROW
from tests.servers.postgresql import make_server
from tests.support.staff_browser import add_site

IMPORT = Actor(ActorKind.COMMAND, "import")
NOW = datetime.fromisoformat("2026-09-01T12:00:00+00:00")
INFUSIONS = 5  # of each person, on consecutive days
FIRST_ON = date(2026, 3, 2)
FIRST_BORN = date(1940, 1, 1)
BIRTH_DATES = 22_000  # days of sixty years: a birth date is shared by few, as among real people


def main(people: int) -> None:
    """Prints the table."""
    print(f"Import of {people:,} people with {people * INFUSIONS:,} infusions: PostgreSQL, durable\n  {machine()}")
    server = make_server(durable=True)
    try:
        url = server.new_database()
        migrate.upgrade(db.make_engine(url))
        db.connect(url, KeyRing.parse(FIELD_KEYS))
        with db.Session() as session:
            add_site(session, "north")
            session.commit()
            _measure(session, roster_file.parse(_roster(people)))
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def _roster(people: int) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(ROW))
    writer.writeheader()
    for number in range(people):
        born_on = FIRST_BORN + timedelta(days=number % BIRTH_DATES)
        person = {"record_number": f"N-{number}", "given_name": f"P{number}", "mobile": "", "birth_date": str(born_on)}
        for day in range(INFUSIONS):
            given_on = FIRST_ON + timedelta(days=day)
            email = f"p{number}@patients.example"
            writer.writerow({**ROW, **person, "email": email, "infusion_on": given_on.isoformat()})
    return out.getvalue()


def _measure(session: Session, contents: RosterFile) -> None:
    started = time.perf_counter()
    outcome = roster_review.review(session, IMPORT, contents, now=NOW)
    checked = time.perf_counter()
    if outcome.rejected:
        raise RuntimeError(f"{len(outcome.rejected)} rows were rejected, the first in line {min(outcome.rejected)}")
    portions = _load(session, outcome)
    _line("check of the whole file", checked - started, "s")
    _line("loading in portions", sum(portions), "s")
    _line("  of these the longest", max(portions), "s")
    _line("  the median", statistics.median(portions), "s")
    _line("people a second, in all", len(outcome.to_load) / (time.perf_counter() - started), "/s")


def _load(session: Session, outcome: ImportResult) -> list[float]:
    """Returns the seconds of each portion."""
    running = roster_staging.stage(session, outcome, now=NOW)
    session.commit()
    portions: list[float] = []
    goes_on = True
    while goes_on:
        started = time.perf_counter()
        goes_on = roster_loading.load_portion(session, IMPORT, running, outcome, now=NOW)
        session.commit()
        portions.append(time.perf_counter() - started)
    return portions


def _line(name: str, value: float, unit: str) -> None:
    print(f"  {name:<66} {value:10,.2f} {unit}")
