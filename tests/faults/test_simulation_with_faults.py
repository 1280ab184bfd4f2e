"""A simulation of several months with fault injection, verified independently. `make faults` runs 1,000 patients."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.keyring import KeyRing
from pro_tracker.ledger_check.checker import run_checks
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.simulation.runner import FaultSettings, SimulationSettings, run_simulation
from tests.conftest import FIELD_KEYS
from tests.support.consent_fixtures import shipped_with_form
from tests.support.staff_browser import add_site

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
SUBJECTS, KILLS, DIALECTS = (1000, 200, ["postgresql"]) if FULL else (12, 4, ["sqlite", "postgresql"])
UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)

ANSWERING = (
    "languages changed on the way",
    "visits begun and not sent",
    "older answers that arrived later",
    "answers after sending",
    "answers corrected by staff",
)

HELPERS = ("helpers named", "helpers removed", "messages to helpers")
MISSED_DAYS = ("missed days", "missed days voided")
CONSENTS = ("consents given", "consents declined", "answered")
ALONGSIDE = ("other treatments", "liver tests")

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects(*DIALECTS)]


def test_a_simulation_with_faults_loses_duplicates_and_misplaces_no_message(
    database: str, session: Session, tmp_path: Path, shipped_protocols: Path
) -> None:
    log_path = tmp_path / "events.jsonl"
    counts = _simulate(partial(_connect, database, shipped_protocols), session, log_path)
    # The last kills may be due after the last message, and few messages leave a busy machine few moments for a kill.
    assert counts["workers killed"] >= (KILLS // 2 if FULL else 1)
    assert counts["provider outages"] > 100
    # With few patients, five messages seldom fail in one outage.
    assert not FULL or counts["circuit breakers opened"] > 0
    assert not FULL or counts["helpers who stopped the mails"] > 0
    assert counts["answers concurrent with sending"] > 0
    for event in (*ANSWERING, *HELPERS, *MISSED_DAYS, *ALONGSIDE):
        assert counts[event] > 0, event
    if database.startswith("postgresql"):  # SQLite has one sender
        assert counts["batches split between workers"] > 0
        assert counts["batches delivered to all workers"] > 0
    results = run_checks(session.connection(), log_path, [shipped_protocols])
    assert {result.check: result.findings for result in results if result.findings} == {}
    required_messages = results[0].examined
    assert required_messages > 4 * SUBJECTS


def test_a_study_with_a_consent_form_asks_and_writes_to_none_who_declined(
    database: str, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_path = tmp_path / "events.jsonl"
    with shipped_with_form(tmp_path, monkeypatch) as protocols:
        counts = _simulate(partial(_connect, database, protocols), session, log_path)
    results = run_checks(session.connection(), log_path, [protocols])
    assert {result.check: result.findings for result in results if result.findings} == {}
    for event in CONSENTS:
        assert counts[event] > 0, event
    examined = {result.check: result.examined for result in results}
    assert examined["answer without consent"] > SUBJECTS
    versions = set(session.scalars(select(ConsentDecision.version)))
    copies = session.scalars(select(Message.state).where(Message.kind == "consent-copy")).all()
    assert versions
    assert versions <= {"1", "2"}
    assert not FULL or (versions, "sent" in copies) == ({"1", "2"}, True)  # few patients may all sign the newest


def _simulate(connect: Callable[[], None], session: Session, log_path: Path) -> Counter[str]:
    add_site(session, "north")
    add_site(session, "south", time_zone="America/Chicago")
    session.commit()
    faults = FaultSettings(KILLS, log_path, connect)
    settings = SimulationSettings("ketamine-5day", SUBJECTS, 1, UNTIL, faults)
    return run_simulation(session, settings, lambda _share, _now: None)


def _connect(database: str, protocols: Path) -> None:
    """Opens the database in a worker process, which reads the protocols that are shipped."""
    protocol_catalog.PROTOCOLS = protocols
    db.connect(database, KeyRing.parse(FIELD_KEYS))
