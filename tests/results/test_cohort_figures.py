"""Cohort figures equal an independent recomputation, and incremental refreshes equal a rebuild."""

import statistics
import threading
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.course import Course
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import aggregates
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts
from tests.support.course_builder import COORDINATOR, add_subject, record_infusions
from tests.support.history_builder import FATIGUE, NRS, PCS, PGIC, PI, ROLES, answer_visit, course_of, visit_of
from tests.support.staff_browser import add_site

FIRST_ON = date(2026, 1, 12)
ENROLLED_AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BASELINE_AT = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
TREATED_AT = datetime(2026, 1, 16, 23, 0, tzinfo=UTC)
LAST_AT = datetime(2026, 1, 17, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)
# Baseline and last-infusion answers (one number for all items of an instrument) of each subject; None: not answered.
ANSWERS: list[tuple[str, dict[str, int] | None, dict[str, int] | None]] = [
    ("north", {PI: 4, NRS: 8, PCS: 3}, {PI: 2, NRS: 3, PCS: 1, PGIC: 1}),
    ("north", {PI: 5, NRS: 5, PCS: 2}, {PI: 5, NRS: 4, PCS: 2, PGIC: 4}),
    ("north", {PI: 3, NRS: 6, PCS: 4}, None),
    ("north", None, {PI: 2, NRS: 2, PCS: 1, PGIC: 2}),
    ("south", {PI: 4, NRS: 9, PCS: 1}, {PI: 5, NRS: 9, PCS: 3, PGIC: 6}),
    ("south", {PI: 3, NRS: 2, PCS: 3}, {PI: 2, NRS: 1, PCS: 2, PGIC: 3}),
    ("south", None, None),
]


def add(session: Session, site: str, before: dict[str, int] | None, after: dict[str, int] | None) -> Subject:
    subject = enrol(session, site)
    answer(session, subject, "baseline", BASELINE_AT, before)
    treat(session, subject)
    answer(session, subject, "last-infusion", LAST_AT, after)
    return subject


def enrol(session: Session, site: str) -> Subject:
    add_site(session, site)
    facts: dict[str, Any] = {"enrolled_on": date(2026, 1, 5), "consent_on": date(2026, 1, 5), "site_code": site}
    return add_subject(session, ENROLLED_AT, planned_start_on=FIRST_ON, **facts)


def treat(session: Session, subject: Subject) -> None:
    record_infusions(
        session, course_of(session, subject), TREATED_AT, *(FIRST_ON + timedelta(days=day) for day in range(5))
    )


def answer(session: Session, subject: Subject, event: str, at: datetime, answers: dict[str, int] | None) -> None:
    if answers is not None:
        answer_visit(session, visit_of(session, subject, event), at, dict(answers))
    session.commit()


def add_cohort(session: Session) -> list[Subject]:
    return [add(session, *each) for each in ANSWERS]


def figures(session: Session, *, by_occurrence: bool = False) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Returns (site, event, instrument, scale) -> stored figures; the key ends with the occurrence where asked for."""
    left_out = ("id", "refreshed_at", "protocol_code", "visit_number")
    names = [column.name for column in Aggregate.__table__.columns if column.name not in left_out]
    rows = session.scalars(select(Aggregate).execution_options(populate_existing=True))
    found = {}
    for row in rows:
        values = {name: getattr(row, name) for name in names}
        key = (row.site_code, row.event_code, row.instrument_code, row.scale_code)
        found[(*key, row.occurrence) if by_occurrence else key] = values
    return found


def scored(session: Session) -> dict[tuple[str, str, str, str], dict[int, float]]:
    """Returns the same keys -> course -> value, read from the tables, for each site and for all sites ("*")."""
    rows = session.execute(
        select(Site.code, Visit.event_code, Visit.course_id, Score)
        .select_from(Score)
        .join(QuestionnaireResponse)
        .join(Visit)
        .join(Course, Course.id == Visit.course_id)
        .join(Site, Site.id == Course.site_id)
        .where(Score.status == "scored")
    )
    found: dict[tuple[str, str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        score = row.Score
        value = score.raw_score if score.t_score is None else score.t_score
        for site in (row.code, "*"):
            found[site, row.event_code, score.instrument_code, score.scale_code][row.course_id] = value
    return found


def test_every_figure_agrees_with_an_independent_recomputation(session: Session) -> None:
    add_cohort(session)
    aggregates.rebuild(session, now=NOW)
    session.commit()
    stored, values = figures(session), scored(session)
    expected = {("north", 4), ("south", 3), ("*", 7)}
    assert {(key[0], row["n_expected"]) for key, row in stored.items()} == expected
    assert {key[1] for key in stored} == {"baseline", "last-infusion"}
    assert {key[2] for key in stored if key[1] == "last-infusion"} == {PI, FATIGUE, PCS, ROLES, NRS, PGIC}
    for key, row in stored.items():
        answered = values[key]
        assert row["n_answered"] == len(answered)
        assert row["mean"] == pytest.approx(statistics.mean(answered.values()))
        assert row["sd"] == pytest.approx(statistics.stdev(answered.values()))
        first = {} if key[1] == "baseline" else values[key[0], "baseline", *key[2:]]
        changes = [value - first[course] for course, value in answered.items() if course in first]
        assert row["n_paired"] == len(changes)
        if changes:
            assert row["mean_change"] == pytest.approx(statistics.mean(changes))
            spread = statistics.stdev(changes) if len(changes) > 1 else None
            assert row["sd_change"] == (spread if spread is None else pytest.approx(spread))
        else:
            assert (row["mean_change"], row["sd_change"]) == (None, None)


def test_responders_follow_each_scales_own_rule(session: Session) -> None:
    """Expected counts follow from ANSWERS: 5 T points, 2 points or 30 % of pain, 8 or 11 PCS points, much improved."""
    add_cohort(session)
    aggregates.rebuild(session, now=NOW)
    stored = figures(session)

    def responders(site: str, instrument: str) -> tuple[int, int]:
        row = stored[site, "last-infusion", instrument, "total"]
        return row["n_responders"], row["n_paired_or_rated"]

    assert responders("north", NRS) == (1, 2)  # 8 to 3; 5 to 4 is neither 2 points nor 30 %
    assert responders("south", NRS) == (1, 2)  # 2 to 1 is 50 %
    assert responders("*", PI) == (2, 4)  # all items 4 to 2 and 3 to 2
    assert responders("*", PCS) == (2, 4)  # 39 to 13 and 39 to 26; 13 to 39 is worse
    assert responders("*", PGIC) == (2, 5)  # no baseline needed
    subscale = stored["*", "last-infusion", PCS, "rumination"]
    assert (subscale["n_responders"], subscale["n_paired_or_rated"]) == (0, 0)  # no agreed meaningful size


def test_answers_to_wording_that_is_not_validated_are_counted(session: Session) -> None:
    subjects = add_cohort(session)
    mine = QuestionnaireResponse.visit_id == visit_of(session, subjects[0], "last-infusion").id
    session.execute(update(QuestionnaireResponse).where(mine).values(text_pack_validated=True))
    aggregates.rebuild(session, now=NOW)
    stored = figures(session)
    counts = [stored[site, "last-infusion", PI, "total"] for site in ("north", "south", "*")]
    assert [(row["n_unvalidated"], row["n_answered"]) for row in counts] == [(2, 3), (2, 2), (4, 5)]


def test_changes_between_different_text_packs_are_left_out(session: Session) -> None:
    subjects = add_cohort(session)
    mine = QuestionnaireResponse.visit_id == visit_of(session, subjects[0], "last-infusion").id
    session.execute(update(QuestionnaireResponse).where(mine).values(text_pack_version="2.0"))
    aggregates.rebuild(session, now=NOW)
    row = figures(session)["north", "last-infusion", PI, "total"]
    assert (row["n_answered"], row["n_paired"], row["n_paired_or_rated"]) == (3, 1, 1)
    assert (row["mean_change"], row["n_responders"]) == (0, 0)  # the only pair has the same answer twice
    assert figures(session)["north", "last-infusion", PGIC, "total"]["n_paired_or_rated"] == 3


def test_refreshing_after_each_answer_gives_what_a_rebuild_gives(session: Session) -> None:
    subjects = [enrol(session, site) for site, _before, _after in ANSWERS]
    for number, (subject, (_site, before, _after)) in enumerate(zip(subjects, ANSWERS, strict=True)):
        at = BASELINE_AT + timedelta(minutes=number)
        answer(session, subject, "baseline", at, before)
        refresh(session, at)
    for subject in subjects:
        treat(session, subject)
    refresh(session, TREATED_AT)
    for number, (subject, (_site, _before, after)) in enumerate(zip(subjects, ANSWERS, strict=True)):
        at = LAST_AT + timedelta(minutes=number)
        answer(session, subject, "last-infusion", at, after)
        refresh(session, at)
    kept = figures(session)
    aggregates.rebuild(session, now=LAST_AT + timedelta(minutes=len(ANSWERS)))
    session.commit()
    rebuilt = figures(session)
    assert kept.keys() == rebuilt.keys()
    for key, row in rebuilt.items():
        assert kept[key] == {name: pytest.approx(value) for name, value in row.items()}, key


def refresh(session: Session, now: datetime) -> None:
    aggregates.refresh(session, now=now)
    session.commit()


def test_without_new_answers_nothing_is_recomputed(session: Session) -> None:
    add_cohort(session)
    assert aggregates.refresh(session, now=NOW) > 0
    session.commit()
    before = figures(session)
    assert aggregates.refresh(session, now=NOW + timedelta(hours=1)) == 0
    assert figures(session) == before


def test_an_answer_that_was_committed_late_is_not_missed(session: Session) -> None:
    subject = add(session, "north", {PI: 4}, None)
    answered_at = LAST_AT + timedelta(minutes=1)
    aggregates.refresh(session, now=answered_at + timedelta(seconds=30))
    session.commit()
    answer(session, subject, "last-infusion", answered_at, {PI: 2})  # stamped before that refresh, committed after it
    aggregates.refresh(session, now=answered_at + timedelta(minutes=1))
    assert figures(session)["*", "last-infusion", PI, "total"]["n_answered"] == 1


def test_a_window_that_opens_raises_the_expected_count(session: Session) -> None:
    add_cohort(session)
    aggregates.refresh(session, now=NOW)
    session.commit()
    assert not [key for key in figures(session) if key[1] == "3-months"]
    aggregates.refresh(session, now=NOW + timedelta(days=90))
    row = figures(session)["*", "3-months", PI, "total"]
    assert (row["n_expected"], row["n_answered"], row["mean"], row["sd"]) == (7, 0, None, None)


def test_a_withdrawn_subject_stays_in_the_denominators_of_later_events(session: Session) -> None:
    subjects = add_cohort(session)
    enrolment.withdraw(session, COORDINATOR, subjects[6], WithdrawalFacts("moved away"), now=NOW)
    session.commit()
    later = NOW + timedelta(days=90)
    aggregates.refresh(session, now=later)
    stored = figures(session)
    assert stored["south", "baseline", PI, "total"]["n_expected"] == 3
    months = stored["south", "3-months", PI, "total"]
    assert (months["n_expected"], months["n_open"]) == (3, 2)
    aggregates.rebuild(session, now=later)
    assert figures(session) == stored


def test_answers_entered_in_error_count_nowhere(session: Session) -> None:
    add_cohort(session)
    wrong = QuestionnaireResponse.instrument_code == PI
    session.execute(update(QuestionnaireResponse).where(wrong).values(status="entered-in-error"))
    aggregates.rebuild(session, now=NOW)
    row = figures(session)["*", "baseline", PI, "total"]
    assert (row["n_expected"], row["n_answered"], row["mean"]) == (7, 0, None)


def test_the_newest_score_of_a_rescored_answer_counts(session: Session) -> None:
    add(session, "north", {NRS: 8}, None)
    old = session.scalars(select(Score).where(Score.instrument_code == NRS)).one()
    kept = ("response_id", "instrument_code", "instrument_version", "scale_code", "status")
    values = {name: getattr(old, name) for name in (*kept, "n_answered", "n_items", "prorated")}
    session.add(Score(**values, scoring_version="2.0", raw_score=7.0, scored_at=NOW))
    session.commit()
    aggregates.rebuild(session, now=NOW)
    row = figures(session)["north", "baseline", NRS, "total"]
    assert (row["n_answered"], row["mean"]) == (1, 7.0)


def test_a_second_course_is_measured_from_its_own_baseline(session: Session) -> None:
    subject = add(session, "north", {NRS: 8}, {NRS: 3})
    second_on = date(2026, 6, 1)
    at = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
    protocol = protocol_catalog.protocol("ketamine-5day")
    courses.start_course(session, subject, CourseStartFacts(protocol, second_on), now=at)
    session.commit()
    answer(session, subject, "baseline", datetime(2026, 5, 30, 15, 0, tzinfo=UTC), {NRS: 6})
    given_at = datetime(2026, 6, 5, 23, 0, tzinfo=UTC)
    record_infusions(
        session, course_of(session, subject), given_at, *(second_on + timedelta(days=day) for day in range(5))
    )
    answer(session, subject, "last-infusion", datetime(2026, 6, 6, 15, 0, tzinfo=UTC), {NRS: 5})
    session.commit()
    assert session.scalar(select(func.count()).select_from(Course)) == 2
    aggregates.rebuild(session, now=datetime(2026, 6, 7, tzinfo=UTC))
    row = figures(session)["north", "last-infusion", NRS, "total"]
    assert (row["n_paired"], row["mean_change"]) == (2, -3.0)  # 3 - 8 and 5 - 6


@pytest.mark.dialects("postgresql")
def test_two_runs_at_once_leave_one_row_each(session: Session) -> None:
    add_cohort(session)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with db.Session() as own:
                aggregates.rebuild(own, now=NOW)
                own.commit()
        except BaseException as error:  # noqa: BLE001  (shown by the test)
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    aggregates.rebuild(session, now=NOW)
    once = figures(session)
    session.rollback()
    assert figures(session) == once
