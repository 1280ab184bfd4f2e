"""The trend of a subject on its page: charts, sentences and tables, and their queries."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.study_days import date_of, study_day
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.services.record import trends
from pro_tracker.services.record.subject_records import courses_of
from pro_tracker.services.record.trends import ScaleTrend
from pro_tracker.services.treatment import courses
from pro_tracker.services.wording import text_pack_loading
from pro_tracker.services.wording.text_pack_loading import TextPackFacts
from pro_tracker.web.staff import chart
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_course, add_subject, infusion, visits_of
from tests.support.history_builder import FATIGUE, NRS, PCS, PGIC, PI, ROLES, answer_visit, course_of, treated, visit_of
from tests.support.staff_browser import add_account, sign_in
from tests.support.wording_file_builder import filled, write_csv

FIRST_ON = date(2026, 3, 2)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def answer(
    session: Session, subject: Subject, event_code: str, on: date, values: dict[str, int | list[int | None]]
) -> None:
    answer_visit(session, visit_of(session, subject, event_code), noon(on), values)


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject with a baseline a week before five infusions, a missed visit, and better answers at three months."""
    subject = add_subject(session, noon(date(2026, 2, 20)), planned_start_on=FIRST_ON, enrolled_on=date(2026, 2, 20))
    answer(session, subject, "baseline", date(2026, 2, 23), {PI: 4, FATIGUE: 3, PCS: 2, ROLES: 2, NRS: 7})
    course = course_of(session, subject)
    for day in range(5):
        on = FIRST_ON + timedelta(days=day)
        courses.record_infusion(session, COORDINATOR, course, infusion(on), now=noon(on))
    answer(session, subject, "3-months", date(2026, 6, 4), {PI: 3, FATIGUE: 3, PCS: 1, ROLES: 2, NRS: 6, PGIC: 2})
    clock.set(noon(date(2026, 6, 10)))
    return subject


def read(session: Session, subject: Subject) -> dict[str, ScaleTrend]:
    visits = [visit for course in courses_of(session, subject.id) for visit in visits_of(session, course).values()]
    trend = trends.subject_trend(session, subject, courses_of(session, subject.id), visits)
    assert trend
    return {f"{each.instrument.code}.{each.scale.code}": each for each in trend.scales}


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        statements.append(statement)

    engine = db.Session.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def open_page(client: FlaskClient, session: Session, subject: Subject) -> str:
    sign_in(client, add_account(session, "clinician"))
    page = client.get(f"/subjects/{subject.id}")
    assert page.status_code == 200
    return page.text


def row_of(page: str, scale: str) -> list[str]:
    """Returns the cells of the row of a scale in the summary table."""
    table = page.split("Each scale at baseline and now</caption>")[1].split("</table>", maxsplit=1)[0]
    row = next(row for row in table.split("<tr>") if f">{scale}<" in row)
    return [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]


def test_study_days_have_no_day_zero() -> None:
    assert [study_day(FIRST_ON + timedelta(days=days), FIRST_ON) for days in (-1, 0, 1)] == [-1, 1, 2]
    assert [date_of(day, FIRST_ON) for day in (-1, 1, 2)] == [FIRST_ON + timedelta(days=days) for days in (-1, 0, 1)]


def test_the_summary_table_shows_the_current_value_of_each_scale(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    page = open_page(client, session, subject)
    # T of raw 32 and 24 in the published table of the form; 61.5 - 66.9 beyond 1.96 x sqrt(1.3^2 + 1.3^2) = 3.6 and 5.
    assert row_of(page, "Pain interference") == [
        "Pain interference T-score", "Better", "−5.4", "66.9", "61.5 moderate", "3 months",
    ]  # fmt: skip
    assert row_of(page, "Fatigue")[1:3] == ["Within error", "±0.0"]
    assert row_of(page, "Pain catastrophizing")[1:] == ["Better", "−13", "26", "13", "3 months"]
    assert row_of(page, "Pain intensity")[1:3] == ["Too small to matter", "−1"]
    assert row_of(page, "Impression of change")[1:] == ["Much better", "–", "–", "2", "3 months"]


def test_each_chart_has_its_sentence(client: FlaskClient, session: Session, subject: Subject) -> None:
    page = open_page(client, session, subject)
    for sentence in (
        "3 months: Pain interference fell 5.4 points since baseline, beyond measurement error: better.",
        "3 months: Fatigue is the same as at baseline: no change.",
        "3 months: Pain catastrophizing fell 13 points since baseline, at least the 8 points that matter: better.",
        "3 months: Pain intensity fell 1 point since baseline, less than the 2 points that matter: no change that "
        "matters.",
        "3 months: the patient&#39;s own rating is “Much better” (2 on a scale from 1 to 7).",
    ):
        assert f'<p class="reading">{sentence}</p>' in page
        assert f"{sentence} The table below holds the numbers.</desc>" in page


def test_a_rating_is_shown_in_the_current_wording(
    client: FlaskClient, session: Session, subject: Subject, tmp_path: Path, clock: Clock
) -> None:
    path = write_csv(tmp_path / "pgic.csv", filled(PGIC))
    facts = TextPackFacts(version="2.0", validated=True, licence_holder="H", permission_reference="P")
    text_pack_loading.load(session, COORDINATOR, [path], facts, now=clock.now)
    assert row_of(open_page(client, session, subject), "Impression of change")[1].startswith("licensed option")


def test_a_change_within_the_error_is_called_neither_better_nor_worse(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = treated(session, date(2026, 2, 24), clock.now - timedelta(days=2))
    visit = visit_of(session, subject, "baseline")
    session.refresh(visit)
    answer_visit(session, visit, noon(date(2026, 2, 23)), {ROLES: 2, PI: 3})
    values: dict[str, int | list[int | None]] = {ROLES: [3, 3, 2, 2], PI: [3, 3, 3, 3, 3, 3, 3, 2]}
    answer(session, subject, "last-infusion", date(2026, 3, 1), values)
    page = open_page(client, session, subject)
    assert row_of(page, "Satisfaction with social roles")[1] == "Within error"
    assert row_of(page, "Pain interference")[1] == "Within error"
    assert "within measurement error: no clear change." in page
    assert "tag--safety" not in page


def test_the_table_below_each_chart_has_date_day_band_and_change(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    page = open_page(client, session, subject)
    table = page.split("Pain interference in numbers</caption>")[1].split("</table>")[0]
    rows = [
        [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in table.split("<tr>")[2:]
    ]
    assert rows == [
        ["Baseline *", "Feb 23, 2026 day −7", "32", "66.9", "1.3", "moderate", "–", "baseline"],
        ["Last infusion", "due Mar 7, 2026", "–", "–", "–", "–", "–", "Missed"],
        ["3 months *", "Jun 4, 2026 day 95", "24", "61.5", "1.3", "moderate", "−5.4", "Better"],
        ["6 months", "due Sep 2, 2026", "–", "–", "–", "–", "–", "Planned"],
    ]
    assert "* Given to wording that is not validated." in page
    assert "Wording not validated" in page


def test_a_missed_visit_breaks_the_line_and_is_marked(session: Session, subject: Subject) -> None:
    pain = read(session, subject)[f"{PI}.total"]
    missed = visit_of(session, subject, "last-infusion").id
    drawing = draw(session, subject, pain, missed={missed})
    assert drawing.lines == ()
    assert len(drawing.missed) == 1
    assert [mark.point.event_title for mark in drawing.marks] == ["Baseline", "3 months"]


def draw(session: Session, subject: Subject, scale: ScaleTrend, missed: set[int] | None = None) -> chart.Chart:
    visits = [visit for course in courses_of(session, subject.id) for visit in visits_of(session, course).values()]
    trend = trends.subject_trend(session, subject, courses_of(session, subject.id), visits)
    assert trend
    same = next(each for each in trend.scales if each.title == scale.title)
    return chart.draw(trend, same, missed=missed or set())


def test_neighbouring_scores_are_joined(session: Session, subject: Subject) -> None:
    answer(session, subject, "6-months", date(2026, 9, 3), {PI: 2})
    drawing = draw(session, subject, read(session, subject)[f"{PI}.total"])
    assert len(drawing.lines) == 1
    assert len(drawing.lines[0].split()) == 2


def test_the_chart_is_to_scale(session: Session, subject: Subject) -> None:
    drawing = draw(session, subject, read(session, subject)[f"{PI}.total"])
    first, second = drawing.marks
    assert len(drawing.infusions) == 5
    assert list(drawing.infusions) == sorted(drawing.infusions)
    assert first.x < drawing.infusions[0] < drawing.infusions[-1] < second.x
    # Time is linear: 94 days from the first infusion to the second score, 7 from the first score to the infusion.
    assert (second.x - drawing.infusions[0]) / (drawing.infusions[0] - first.x) == pytest.approx(94 / 7, rel=0.02)
    assert second.y > first.y, "less pain is drawn lower"
    assert first.low is not None
    assert first.high is not None
    per_point = (second.y - first.y) / 5.4
    assert (first.low - first.high) / 2 == pytest.approx(1.96 * 1.3 * per_point, rel=0.02)
    (corridor,) = drawing.no_change_ranges
    assert corridor.y + corridor.height / 2 == pytest.approx(first.y, abs=0.2)
    assert corridor.height / 2 == pytest.approx(5 * per_point, rel=0.02)
    assert [(band.code, band.kind) for band in drawing.bands] == [
        ("severe", 4),
        ("moderate", 3),
        ("mild", 2),
        ("none", 1),
    ]
    assert all(chart.TOP <= mark.y <= chart.BOTTOM and chart.LEFT <= mark.x <= chart.RIGHT for mark in drawing.marks)


def test_a_scale_where_more_is_better_has_its_worst_band_below(session: Session, subject: Subject) -> None:
    drawing = draw(session, subject, read(session, subject)[f"{ROLES}.total"])
    severe = next(band for band in drawing.bands if band.code == "severe")
    normal = next(band for band in drawing.bands if band.code == "none")
    assert severe.y > normal.y
    assert severe.kind == 4


def test_a_second_course_is_judged_from_its_own_baseline(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    second_on = date(2026, 7, 6)
    clock.set(noon(date(2026, 7, 15)))
    course = add_course(session, subject, noon(date(2026, 6, 25)), planned_start_on=second_on)
    answer(session, subject, "baseline", date(2026, 7, 1), {PI: 5, PCS: 3})
    for day in range(5):
        on = second_on + timedelta(days=day)
        courses.record_infusion(session, COORDINATOR, course, infusion(on), now=noon(on))
    answer(session, subject, "last-infusion", date(2026, 7, 11), {PI: 4, PCS: 3})
    pain = read(session, subject)[f"{PI}.total"]
    assert [series.course_number for series in pain.series] == [1, 2]
    assert pain.current.course_number == 2
    page = open_page(client, session, subject)
    assert row_of(page, "Pain interference")[1:] == [
        "Better",
        "−10.1",
        "77.0",
        "66.9 moderate",
        "Last infusion, course 2",
    ]
    drawing = draw(session, subject, pain)
    assert [tick.value for tick in drawing.starts] == [1, 2]
    assert {mark.shape for mark in drawing.marks} == {1, 2}
    assert len(drawing.no_change_ranges) == 2
    assert all(line.count(" ") == 1 for line in drawing.lines), "no line leads from one course to the next"


def test_a_form_with_a_missing_item_shows_why_it_has_no_score(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    answer(session, subject, "6-months", date(2026, 9, 3), {PI: [3, None, 3, 3, 3, 3, 3, 3], PCS: [1] * 12 + [None]})
    point = read(session, subject)[f"{PI}.total"].series[0].points[-1]
    assert point.answered
    assert point.value is None
    assert point.reason
    page = open_page(client, session, subject)
    assert page.count(f'<span class="quiet">{point.reason}</span>') >= 1
    assert row_of(page, "Pain interference")[5] == "3 months", "the newest score, not the newest visit"


def packs_in_use(session: Session, subject: Subject, event_code: str, **text_pack: str) -> None:
    """Changes the stored text pack of the responses of that visit."""
    visit = visit_of(session, subject, event_code)
    for response in session.query(QuestionnaireResponse).filter_by(visit_id=visit.id):
        for column, value in text_pack.items():
            setattr(response, column, value)
    session.flush()


@pytest.mark.parametrize("text_pack", [{"language": "es"}, {"text_pack_version": "2.0"}])
def test_answers_to_another_text_pack_are_shown_and_not_compared(
    client: FlaskClient, session: Session, subject: Subject, text_pack: dict[str, str]
) -> None:
    packs_in_use(session, subject, "3-months", **text_pack)
    page = open_page(client, session, subject)
    assert row_of(page, "Pain interference")[1:] == ["Not comparable", "–", "66.9", "61.5 moderate", "3 months"]
    assert "3 months: Pain interference is 61.5; not comparable with the baseline: another text pack." in page
    assert row_of(page, "Impression of change")[1] == "Much better", "it asks about change itself"


def test_a_line_and_the_corridor_end_where_scores_stop_being_comparable(session: Session, subject: Subject) -> None:
    answer(session, subject, "6-months", date(2026, 9, 3), {PI: 2})
    before = draw(session, subject, read(session, subject)[f"{PI}.total"])
    packs_in_use(session, subject, "6-months", text_pack_version="2.0")
    after = draw(session, subject, read(session, subject)[f"{PI}.total"])
    assert (len(before.lines), len(after.lines)) == (1, 0)
    assert before.no_change_ranges[0].width > after.no_change_ranges[0].width
    assert after.no_change_ranges[0].x + after.no_change_ranges[0].width == pytest.approx(after.marks[-1].x)


def test_a_score_under_another_scoring_version_is_not_compared(session: Session, subject: Subject) -> None:
    visit = visit_of(session, subject, "3-months")
    for score in session.query(Score).join(QuestionnaireResponse).filter_by(visit_id=visit.id):
        score.scoring_version = "2.0"
    session.flush()
    latest = read(session, subject)[f"{PI}.total"].series[0].latest
    assert latest
    assert latest.change
    assert (latest.change.verdict, latest.change.obstacle) == ("not-comparable", "different-form")


@pytest.mark.dialects("sqlite")
def test_the_sentence_says_why_a_baseline_has_no_score(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 10))
    answer(session, subject, "baseline", date(2026, 3, 2), {PI: [3, None, 3, 3, 3, 3, 3, 3]})
    page = open_page(client, session, subject)
    assert "Baseline: Pain interference has no score: 7 of 8 items answered, all 8 are needed." in page


def test_a_rescored_response_counts_with_its_newest_score(session: Session, subject: Subject) -> None:
    visit = visit_of(session, subject, "3-months")
    of_visit = session.query(Score).join(QuestionnaireResponse).filter_by(visit_id=visit.id)
    old = of_visit.filter(Score.instrument_code == PI).one()
    columns = {column.key: getattr(old, column.key) for column in Score.__table__.columns if column.key != "id"}
    session.add(Score(**{**columns, "scoring_version": "9.9", "t_score": 50.0}))
    session.flush()
    assert read(session, subject)[f"{PI}.total"].series[0].points[2].value == 50.0


def test_answers_entered_in_error_are_not_shown(session: Session, subject: Subject) -> None:
    visit = visit_of(session, subject, "3-months")
    for response in session.query(QuestionnaireResponse).filter_by(visit_id=visit.id):
        response.status = ResponseStatus.ENTERED_IN_ERROR
    session.flush()
    assert read(session, subject)[f"{PI}.total"].series[0].latest is None


@pytest.mark.dialects("sqlite")
def test_the_page_says_that_there_are_no_answers_yet(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 10))
    page = open_page(client, session, subject)
    assert "No answers yet." in page
    assert "<svg" not in page


@pytest.mark.dialects("sqlite")
def test_after_the_baseline_alone_there_is_nothing_to_compare(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 10))
    answer(session, subject, "baseline", date(2026, 3, 2), {PI: 4})
    page = open_page(client, session, subject)
    assert "Pain interference is 66.9 at baseline; nothing to compare it with yet." in page
    assert row_of(page, "Pain interference")[1:] == ["–", "–", "66.9", "–", "–"]


def test_the_page_takes_at_most_twenty_one_statements_however_long_the_history(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    for number in range(2, 5):
        first_on = date(2026, 6, 15) + timedelta(days=40 * number)
        course = add_course(session, subject, noon(first_on - timedelta(days=9)), planned_start_on=first_on)
        answer_visit(session, visits_of(session, course)["baseline"], noon(first_on - timedelta(days=3)), {PI: 3})
        courses.record_infusion(session, COORDINATOR, course, infusion(first_on), now=noon(first_on))
    sign_in(client, add_account(session, "clinician"))
    path = f"/subjects/{subject.id}"  # loads the subject before the statements are counted
    with counted_statements() as statements:
        page = client.get(path)
    assert page.text.count("Course 4") > 1
    asked = [each for each in statements if not each.startswith(("BEGIN", "PRAGMA", "SELECT pg_catalog", "SET"))]
    assert len(asked) <= 21, "\n".join(asked)
