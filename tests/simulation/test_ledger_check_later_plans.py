"""`pro-tracker check-ledger` knows what a plan that is made or changed later does to messages and windows."""

import shutil
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import course_plans, courses, protocol_moves
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from tests.support.history_builder import PATIENT
from tests.support.ledger_fixture import LedgerFixture, at
from tests.support.second_study import FIRST, SECOND, shipped, write_protocol

MISSING = "missing, or more than one hour late"
SAME_DAY = "second reminder on one day"
WRONG_DATES = "visit on the wrong dates"

pytestmark = pytest.mark.dialects("sqlite")


@pytest.fixture
def protocols(ledger: LedgerFixture, data_folder: Path) -> Path:
    """A folder with a newer version that has an earlier baseline, too, open since February."""
    newer = shipped() | {"code": SECOND, "version": "2"}
    earlier = {"code": "second-baseline", "window": {"opens": -28, "due": -21, "closes": -8}, "optional": True}
    newer["events"].append(deepcopy(newer["events"][0]) | earlier)
    path = write_protocol(data_folder, newer)
    shutil.copy(protocol_catalog.PROTOCOLS / f"{FIRST}.yaml", path.parent)
    return path.parent


def move(ledger: LedgerFixture, subject: Subject, when: datetime) -> None:
    """Moves the course to the newer version; the baseline is open since the 6th."""
    course = courses.current_course(ledger.session, subject)
    assert course is not None
    facts = ProtocolMoveFacts(protocol_moves.protocol_named(SECOND), "amendment 2")
    protocol_moves.move(ledger.session, PATIENT, course, facts, now=when)
    ledger.log(when, "protocol-moved", subject=subject.id, course=course.id)


def plan(ledger: LedgerFixture, subject: Subject, start_on: date, when: datetime) -> None:
    """Plans the course for another day."""
    course = courses.current_course(ledger.session, subject)
    assert course is not None
    course_plans.change_plan(ledger.session, PATIENT, course, CoursePlanFacts(start_on, 5), now=when)
    ledger.log(when, "course", subject=subject.id, course=course.id, number=1, start_on=start_on, planned=5)


def visit_of(ledger: LedgerFixture, event_code: str) -> Visit:
    query = select(Visit).where(Visit.subject_id == ledger.subject.id, Visit.event_code == event_code)
    return ledger.session.scalars(query).one()


def answer_baseline(ledger: LedgerFixture, when: datetime) -> None:
    baseline = visit_of(ledger, "baseline")
    baseline.started_at = baseline.completed_at = when
    ledger.session.flush()
    ledger.log(when, "answered", visit=baseline.id)


def leave_out_reminder(ledger: LedgerFixture) -> None:
    """Makes the reminder of the 9th one that was not sent."""
    ledger.entries.remove(ledger.accepted(1))
    reminder = ledger.message(1)
    reminder.state, reminder.sent_at, reminder.end_reason = MessageState.ENDED, None, EndReason.RE_PLANNED


def test_nothing_is_missing_while_a_newer_visit_is_open(ledger: LedgerFixture, tmp_path: Path, protocols: Path) -> None:
    move(ledger, ledger.subject, at(7, 12))
    assert visit_of(ledger, "second-baseline").planned_at == at(7, 12)
    assert ledger.findings(tmp_path, protocols) == {}


def test_a_day_after_the_newer_visit_ended_the_waiting_one_is_required(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path
) -> None:
    move(ledger, ledger.subject, at(7, 12))
    leave_out_reminder(ledger)
    answer_baseline(ledger, at(7, 13))
    ledger.end_log(at(8, 12))
    assert ledger.findings(tmp_path, protocols) == {}
    ledger.end_log(at(9, 12))
    assert ledger.findings(tmp_path, protocols) == {MISSING: 1}


@pytest.mark.parametrize(("moved", "found"), [(at(9, 11), {}), (at(8, 11), {SAME_DAY: 1})])
def test_a_message_about_a_visit_planned_after_the_first_of_the_day_is_no_second_one(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path, moved: datetime, found: dict[str, int]
) -> None:
    """The reminder of the baseline is sent on the 9th at 9."""
    move(ledger, ledger.subject, moved)
    answer_baseline(ledger, at(9, 10, 30))
    visit = visit_of(ledger, "second-baseline")
    invitation = ledger.add_copy(ledger.message(0), visit_id=visit.id, state=MessageState.PLANNED)
    ledger.send(invitation, at(9, 11, 30))
    assert ledger.findings(tmp_path, protocols) == found


def test_a_visit_that_opened_before_a_move_keeps_its_dates(
    ledger: LedgerFixture, tmp_path: Path, protocols: Path
) -> None:
    """No message about it was sent, so that it followed its course until then."""
    ledger.log(at(2, 11), "paused", subject=ledger.waiting.id, pause=1, from_on=date(2026, 3, 1), until_on=None)
    plan(ledger, ledger.waiting, date(2026, 3, 18), at(2, 12))
    move(ledger, ledger.waiting, at(7, 12))
    plan(ledger, ledger.waiting, date(2026, 3, 25), at(8, 12))
    assert ledger.findings(tmp_path, protocols) == {}
    ledger.remove_entries("protocol-moved")
    assert ledger.findings(tmp_path, protocols) == {WRONG_DATES: 1}


def test_an_infusion_that_ends_a_window_changes_no_earlier_reminder(ledger: LedgerFixture, tmp_path: Path) -> None:
    """The reminder is counted from the 19th, on which the answers were due: it would have come on the 17th."""
    file: dict[str, Any] = yaml.safe_load((protocol_catalog.PROTOCOLS / f"{FIRST}.yaml").read_text(encoding="utf-8"))
    file["messages"]["steps"][1] |= {"day": -2, "from": "due"}
    (tmp_path / f"{FIRST}.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    leave_out_reminder(ledger)
    visit = visit_of(ledger, "baseline")
    visit.due_at = visit.closes_at = at(9, 17)
    facts = {"course": visit.course_id, "infusion": 1, "from": "2026-03-09 17:00:00", "zone": "America/New_York"}
    ledger.log(at(9, 17), "infusion-recorded", **facts)
    assert ledger.findings(tmp_path, tmp_path) == {}
