"""Files and figures agree on corrected answers, also while the rest of a visit is still asked."""

import csv
import io
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.subject import Subject
from pro_tracker.services.answer_corrections import moves, voids
from pro_tracker.services.answer_corrections.moves import MoveFacts
from pro_tracker.services.calling import unanswered
from pro_tracker.services.results import aggregates, exports, unanswered_counts
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.answer_corrections import current
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import FATIGUE, NRS, PCS, PI, ROLES, answer_visit, visit_of

Rows = list[dict[str, str]]


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject who answered the baseline, which is open for days."""
    subject = add_subject(session, clock.now, planned_start_on=clock.now.date() + timedelta(days=7))
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {NRS: [8]})
    session.commit()
    clock.advance(minutes=20)
    return subject


@pytest.fixture
def other(session: Session, clock: Clock, subject: Subject) -> Subject:
    """Another subject, whose baseline is open and was not answered."""
    return add_subject(session, clock.now, planned_start_on=clock.now.date() + timedelta(days=7))


def exported(session: Session, clock: Clock, subject: Subject, kind: Kind = "long") -> Rows:
    """Returns the rows of one subject in a file."""
    session.commit()
    out = io.StringIO(newline="")
    exports.write(session, kind, out, Extent(clock.now))
    session.commit()
    rows = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    return [row for row in rows if row["USUBJID"] == subject.study_code]


def answered(session: Session, clock: Clock) -> dict[str, int]:
    """Returns instrument code -> subjects with a score at the baseline, in figures refreshed now."""
    aggregates.rebuild(session, now=clock.now)
    rows = select(Aggregate.instrument_code, Aggregate.n_answered).where(Aggregate.site_code == "*")
    return {code: n for code, n in session.execute(rows) if n}


def move_pain(session: Session, clock: Clock, subject: Subject, other: Subject) -> None:
    target = visit_of(session, other, "baseline")
    facts = MoveFacts(target, "the other patient's answer", confirmed=True)
    moves.move(session, COORDINATOR, [current(session, subject, NRS)], facts, now=clock.now)
    session.commit()


def test_what_stays_in_effect_is_in_the_files_while_the_rest_is_asked_again(
    session: Session, clock: Clock, subject: Subject
) -> None:
    voids.void(session, COORDINATOR, [current(session, subject, NRS)], reason="typed by a child", now=clock.now)
    long = exported(session, clock, subject)
    (wide,) = exported(session, clock, subject, "wide")
    assert {row["QSCAT"] for row in long if row["QSORRES"]} == {PI, FATIGUE, PCS, ROLES}
    assert [(row["QSTESTCD"], row["QSREASND"]) for row in long if row["QSCAT"] == NRS] == [
        ("QSALL", "entered-in-error")
    ]
    assert (wide["QSSTAT"], wide["QSREASND"], wide["RSPSTAT"]) == ("", "", "completed")
    assert set(answered(session, clock)) == {PI, FATIGUE, PCS, ROLES}


def test_an_answer_moved_to_a_visit_in_progress_is_in_the_files_and_what_is_still_asked_is_not(
    session: Session, clock: Clock, subject: Subject, other: Subject
) -> None:
    move_pain(session, clock, subject, other)
    assert {(row["QSCAT"], row["QSORRES"], row["QSSTAT"]) for row in exported(session, clock, other)} == {
        (NRS, "8", ""),
        (NRS, "8.0", ""),
    }
    assert answered(session, clock)[NRS] == 1


def test_a_visit_with_an_answer_moved_there_is_not_counted_among_those_without_answers(
    session: Session, clock: Clock, subject: Subject, other: Subject
) -> None:
    move_pain(session, clock, subject, other)
    clock.set(visit_of(session, other, "baseline").closes_at + timedelta(days=3))
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    rows = exported(session, clock, other)
    assert {row["QSREASND"] for row in rows if row["QSCAT"] != NRS} == {"no-reply"}
    assert {row["QSCAT"] for row in rows if row["QSORRES"]} == {NRS}
    assert answered(session, clock)[NRS] == 1
    assert unanswered_counts.by_event(session, ["north"], {}) == {}
