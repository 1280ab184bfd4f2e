"""Months of made-up people with all that can go wrong, judged independently. `make faults` lives 1,000 of them."""

import os
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.keyring import KeyRing
from pro_tracker.ledger_check.judge import judge
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.simulation.run import Hardship, Setting, run
from tests.conftest import FIELD_KEYS
from tests.support.staff_browser import add_site

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
SUBJECTS, KILLS, DIALECTS = (1000, 200, ["postgresql"]) if FULL else (12, 4, ["sqlite", "postgresql"])
UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects(*DIALECTS)]


def test_no_message_is_lost_twice_or_misplaced_in_the_hardest_months(
    database: str, session: Session, tmp_path: Path
) -> None:
    counts = _live(database, session, tmp_path / "outside.jsonl")
    assert counts["workers killed"] >= KILLS // 2  # the last ones may fall after the last message
    assert counts["outages of a provider"] > 100
    assert not FULL or counts["circuits opened"] > 0  # a few people seldom have five messages fail in one outage
    assert counts["answers racing a message"] > 0
    if database.startswith("postgresql"):  # SQLite has one sender
        assert counts["minutes' work shared by workers"] > 0
        assert counts["minutes' work given twice"] > 0
    verdicts = judge(session.connection(), tmp_path / "outside.jsonl", [protocol_catalog.PROTOCOLS])
    assert {verdict.check: verdict.cases for verdict in verdicts if verdict.cases} == {}
    assert verdicts[0].of > 4 * SUBJECTS  # messages that had to go


def _live(database: str, session: Session, record: Path) -> Counter[str]:
    add_site(session, "north")
    add_site(session, "south", time_zone="America/Chicago")
    session.commit()
    hardship = Hardship(KILLS, record, partial(_connect, database))
    setting = Setting("ketamine-5day", SUBJECTS, 1, UNTIL, hardship)
    return run(session, setting, lambda _share, _now: None)


def _connect(database: str) -> None:
    """In the worker's process."""
    db.connect(database, KeyRing.parse(FIELD_KEYS))
