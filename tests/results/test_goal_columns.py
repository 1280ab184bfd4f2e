"""Research files have the rating of a patient's own goal, and never its words."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.models.goal import Goal, GoalRating
from pro_tracker.models.subject import Subject
from pro_tracker.services.answer_corrections import goal_corrections
from pro_tracker.services.answer_corrections.goal_corrections import GoalCorrection, RatingCorrection
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.goal_builder import rate_goal, set_goal
from tests.support.history_builder import answer_visit, treated, visit_of

WORDS = "Walk to the lake with my dog Bello"
LAST_AT = datetime(2026, 2, 22, 15, tzinfo=UTC)
LATER_AT = datetime(2026, 5, 20, 15, tzinfo=UTC)


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject who set a goal after the last infusion, rated it at three months, and set another one."""
    subject = treated(session, date(2026, 2, 16), datetime(2026, 2, 20, 18, tzinfo=UTC))
    first, later = visit_of(session, subject, "last-infusion"), visit_of(session, subject, "3-months")
    answer_visit(session, first, LAST_AT, {})
    set_goal(session, first, WORDS, LAST_AT)
    answer_visit(session, later, LATER_AT, {})
    rate_goal(session, later, -1, LATER_AT)
    rate_goal(session, later, 1, LATER_AT)
    set_goal(session, later, "Sleep through", LATER_AT + timedelta(minutes=1))
    session.commit()
    clock.set(datetime(2026, 6, 1, tzinfo=UTC))
    return subject


def file(kind: Kind, now: datetime) -> str:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(now))
    return out.getvalue()


def ratings(kind: Kind, now: datetime) -> set[tuple[str, str, str]]:
    rows = csv.DictReader(io.StringIO(file(kind, now), newline=""))
    return {(row["VISIT"], row["GOALNO"], row["GOALRAT"]) for row in rows}


@pytest.mark.parametrize("kind", ["long", "wide"])
def test_the_rating_that_counts_is_in_both_files_and_no_words_are(kind: Kind, subject: Subject, clock: Clock) -> None:
    assert ratings(kind, clock.now) >= {("Last infusion", "", ""), ("3 months", "1", "1")}
    assert {row for row in ratings(kind, clock.now) if row[2]} == {("3 months", "1", "1")}
    assert "Bello" not in file(kind, clock.now)


def test_the_codebook_says_what_the_steps_mean(subject: Subject, clock: Clock) -> None:
    rows = csv.DictReader(io.StringIO(file("codebook", clock.now), newline=""))
    (row,) = (row for row in rows if (row["FILE"], row["COLUMN"]) == ("wide", "GOALRAT"))
    assert row["VALUES"].startswith("2 = much more than expected; 1 = ")


def test_what_was_in_error_is_in_no_file(session: Session, subject: Subject, clock: Clock) -> None:
    now = clock.now
    rating = session.scalars(select(GoalRating).where(GoalRating.voided_at.is_(None))).one()
    goal_corrections.correct_rating(
        session, COORDINATOR, rating, RatingCorrection(Attainment.MUCH_MORE, "wrong line"), now=now
    )
    session.commit()
    assert ("3 months", "1", "2") in ratings("wide", now)
    goal = session.scalars(select(Goal).order_by(Goal.set_at)).first()
    assert goal is not None
    goal_corrections.correct_goal(session, COORDINATOR, goal, GoalCorrection(None, "of another"), now=now)
    session.commit()
    assert ("3 months", "", "") in ratings("wide", now)
