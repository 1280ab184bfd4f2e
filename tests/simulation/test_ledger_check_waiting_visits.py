"""`pro-tracker check-ledger` knows that a visit entered late waits while a newer one of its course is open."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from sqlalchemy import select

from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses, protocol_moves
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from tests.support.history_builder import PATIENT
from tests.support.ledger_fixture import LedgerFixture, at
from tests.support.second_study import FIRST, SECOND, shipped, write_protocol

MISSING = "missing, or more than one hour late"
MOVED = at(7, 12)  # the baseline is open since the 6th

pytestmark = pytest.mark.dialects("sqlite")


@pytest.fixture
def protocols(ledger: LedgerFixture, data_folder: Path) -> Path:
    """The folder of a version with an earlier baseline, to which the course moves when that one is open already."""
    newer = shipped() | {"code": SECOND, "version": "2"}
    baseline = newer["events"][0]
    earlier = {"code": "second-baseline", "window": {"opens": -28, "due": -21, "closes": -8}, "optional": True}
    newer["events"].append(deepcopy(baseline) | earlier)
    path = write_protocol(data_folder, newer)
    shutil.copy(protocol_catalog.PROTOCOLS / f"{FIRST}.yaml", path.parent)
    course = courses.current_course(ledger.session, ledger.subject)
    assert course is not None
    facts = ProtocolMoveFacts(protocol_moves.protocol_named(SECOND), "amendment 2")
    protocol_moves.move(ledger.session, PATIENT, course, facts, now=MOVED)
    return path.parent


def visit_of(ledger: LedgerFixture, event_code: str) -> Visit:
    query = select(Visit).where(Visit.subject_id == ledger.subject.id, Visit.event_code == event_code)
    return ledger.session.scalars(query).one()


def answer_baseline(ledger: LedgerFixture) -> None:
    """Answers the baseline an hour after the move, so that its reminder of the 9th is not sent."""
    baseline = visit_of(ledger, "baseline")
    baseline.started_at = baseline.completed_at = at(7, 13)
    ledger.entries.remove(ledger.accepted(1))
    reminder = ledger.message(1)
    reminder.state, reminder.sent_at, reminder.end_reason = MessageState.ENDED, None, EndReason.ANSWERED
    ledger.log(at(7, 13), "answered", visit=baseline.id)


def test_nothing_is_missing_while_a_newer_visit_is_open(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    assert visit_of(ledger, "second-baseline").planned_at == MOVED
    assert ledger.findings(tmp_path, protocols) == {}


def test_a_day_after_the_newer_visit_ended_the_waiting_one_is_required(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path
) -> None:
    answer_baseline(ledger)
    ledger.end_log(at(8, 12))
    assert ledger.findings(tmp_path, protocols) == {}
    ledger.end_log(at(9, 12))
    assert ledger.findings(tmp_path, protocols) == {MISSING: 1}
