"""A patient's own results: the clinician's verdict in the patient's words, for the confirmed person alone."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.typical_answer import typical_option
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.response import Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR, add_subject, infusion
from tests.support.history_builder import FATIGUE, NRS, PCS, PGIC, PI, ROLES, answer_visit, course_of, visit_of
from tests.support.patient_browser import Patient, answer, begin, get, heading, open_link, place, post
from tests.support.staff_browser import add_account, sign_in

FIRST_ON = date(2026, 3, 2)
SHOWN = [f"{PI}.total", f"{FATIGUE}.total", f"{NRS}.total", f"{ROLES}.total", f"{PCS}.total"]
Values = dict[str, int | list[int | None]]
MEANING = {  # of the clinician's page -> of the patient's
    "Better": "Better than before",
    "Worse": "Worse than before",
    "Within error": "About the same as before",
    "Too small to matter": "About the same as before",
    "Not comparable": "Not compared this time",
}


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


@pytest.fixture(autouse=True)
def protocol_with_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"results": SHOWN}

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject with a baseline, five infusions, and an open visit at three months."""
    subject = add_subject(session, noon(date(2026, 2, 20)), planned_start_on=FIRST_ON, enrolled_on=date(2026, 2, 20))
    values: Values = {PI: 4, FATIGUE: 3, PCS: 2, ROLES: 2, NRS: 5}
    answer_visit(session, visit_of(session, subject, "baseline"), noon(date(2026, 2, 23)), values)
    for day in range(5):
        on = FIRST_ON + timedelta(days=day)
        courses.record_infusion(session, COORDINATOR, course_of(session, subject), infusion(on), now=noon(on))
    clock.set(noon(date(2026, 6, 4)))
    return subject


LATER: Values = {PI: 3, FATIGUE: [None, *[3] * 7], PCS: 4, ROLES: 2, NRS: 4, PGIC: 2}


def at_three_months(session: Session, subject: Subject, clock: Clock) -> Patient:
    """Returns the visit at three months with a link that was just opened."""
    visit = visit_of(session, subject, "3-months")
    token = links.issue(session, visit.id, now=clock.now)
    session.commit()
    return Patient(visit, token, links.find(session, token))


def send_all(client: FlaskClient, session: Session, subject: Subject, clock: Clock, values: Values) -> str:
    """Answers the visit at three months but for its last item, which the patient sends; returns the page after it."""
    patient = at_three_months(session, subject, clock)
    begin(client, patient)
    for instrument in (PI, FATIGUE, PCS, ROLES, NRS, PGIC):
        n_items = len(instrument_catalog.instrument(instrument).items)
        given = values[instrument]
        for value in given if isinstance(given, list) else [given] * n_items:
            page = get(client, patient, "")
            page = client.get(page.location or page.request.path)
            page = post(client, page, {"skip": "yes"}) if value is None else answer(client, page, value)
    thanks = post(client, get(client, patient, "review"), {})
    assert place(thanks) == "sent"
    return thanks.text


def own_meaning(page: str) -> dict[str, str | None]:
    """Returns what the patient's page says of each scale that it shows; None where it compares nothing."""
    cards = page.split('<section class="card own-result"')[1:]
    found: dict[str, str | None] = {}
    for card in cards:
        title = re.search(r"<h[23][^>]*>(.*?)</h[23]>", card)
        verdict = re.search(r'<p class="own-verdict">(.*?)</p>', card)
        assert title
        found[title[1]] = verdict[1] if verdict else None
    return found


def clinical_meaning(page: str) -> dict[str, str]:
    """Returns the meaning in the clinician's table of changes, by scale."""
    table = page.split("Each scale at baseline and now</caption>")[1].split("</table>", maxsplit=1)[0]
    rows = re.findall(r"<tr>\s*<th scope=\"row\"><a[^>]*>(.*?)</a>.*?<td>(.*?)</td>", table, re.DOTALL)
    return {title: re.sub("<[^>]+>", "", cell).strip() for title, cell in rows}


def test_the_patient_reads_the_clinicians_verdict(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    values: Values = {**LATER, FATIGUE: 3}
    answer_visit(session, visit_of(session, subject, "3-months"), clock.now, values)
    # A score under another scoring version is compared with none.
    roles = select(Score).where(Score.instrument_code == ROLES).order_by(Score.id.desc())
    session.scalars(roles).first().scoring_version = "another"  # type: ignore[union-attr]
    later = visit_of(session, subject, "6-months")
    later.opens_at = clock.now
    patient = Patient(later, links.issue(session, later.id, now=clock.now), 0)
    session.commit()
    begin(client, patient)
    own = own_meaning(get(client, patient, "results").text)
    sign_in(client, add_account(session, "clinician"))
    clinical = clinical_meaning(client.get(f"/subjects/{subject.id}").text)
    assert own == {title: MEANING[clinical[title]] for title in own}
    assert own == {
        "Pain interference": "Better than before",
        "Fatigue": "About the same as before",
        "Pain intensity": "About the same as before",
        "Satisfaction with social roles": "Not compared this time",
        "Pain catastrophizing": "Worse than before",
    }


def test_the_page_after_sending_shows_line_direction_numbers_and_a_typical_answer(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    page = send_all(client, session, subject, clock, LATER)
    pain = page.split('id="result-1"')[1].split("</section>")[0]
    for words in (
        "Better than before",
        "It is good to see this. Before means February 23, 2026.",
        "Higher means more pain interference. Lower is better.",
        "People with this result mostly answer “Somewhat”. This is only a rough guide.",
        "Pain interference over time</title>",
        "February 23, 2026: 67. June 4, 2026: 62.",
        '<th scope="row">3 months</th><td>Jun 4, 2026</td><td>62</td>',
    ):
        assert words in pain
    assert pain.count("<circle") == 2
    assert pain.count("<polyline") == 1
    assert "error" not in pain


def test_too_few_answers_give_no_verdict_and_no_blame(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    page = send_all(client, session, subject, clock, LATER)
    assert own_meaning(page)["Fatigue"] is None
    fatigue = page.split(">Fatigue</h3>")[1].split("</section>")[0]
    assert "This time too few questions were answered for a result. That is fine." in fatigue
    assert "<td>too few answers</td>" in fatigue


def test_the_first_page_of_a_later_visit_leads_to_the_results_after_the_birth_date(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = at_three_months(session, subject, clock)
    first = open_link(client, patient)
    assert "See my results so far" in first.text
    birth_date = {"birth_date-month": "3", "birth_date-day": "27", "birth_date-year": "1975"}
    page = post(client, first, {**birth_date, "results": "yes"})
    assert place(page) == "results"
    assert heading(page) == "Your results so far"
    assert "This is your first result." in page.text
    assert "Go on with the questions" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    viewed = select(AuditEvent).where(AuditEvent.action == "results.view")
    assert [event.actor_kind for event in session.scalars(viewed)] == ["patient"]


def test_without_the_birth_date_no_result_is_shown(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = at_three_months(session, subject, clock)
    open_link(client, patient)
    assert place(client.get(get(client, patient, "results").location or "")) == ""
    answer_visit(session, patient.visit, clock.now, LATER)
    session.commit()
    assert "Your results" not in get(client, patient, "sent").text


def test_nothing_is_shown_once_the_patient_is_finished_on_this_device(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    send_all(client, session, subject, clock, LATER)
    patient = Patient(session.scalars(select(Visit).where(Visit.event_code == "3-months")).one(), "", 0)
    thanks = get(client, patient, "sent")
    token = re.findall(r'name="csrf_token" value="([^"]+)"', thanks.text)[-1]
    client.post(thanks.request.path.replace("/sent", "/finish"), data={"csrf_token": token})
    for page in ("sent", "results"):
        assert "own-result" not in get(client, patient, page).text


def test_a_protocol_without_results_shows_none(
    client: FlaskClient,
    session: Session,
    subject: Subject,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "without"
    folder.mkdir()
    with changed_protocol(folder, monkeypatch, lambda _data: None):
        page = send_all(client, session, subject, clock, LATER)
    assert "own-result" not in page


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (["phq-9.total"], "no event asks phq-9"),
        ([f"{PI}.physical"], "has no scale 'physical'"),
        ([f"{PGIC}.total"], "own rating of change"),
        ([f"{PI}.total"] * 2, "twice"),
    ],
)
def test_a_protocol_can_show_only_scales_that_it_asks_and_that_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: list[str], reason: str
) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()

    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"results": named}

    with changed_protocol(folder, monkeypatch, change):
        problems = protocol_catalog.problems(folder / "ketamine-5day.yaml")
    assert [problem.key.startswith("for_patients.results") for problem in problems] == [True]
    assert reason in str(problems[0])


def test_a_scale_whose_instrument_alerts_is_explained_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "alerting"
    folder.mkdir()

    def change(data: dict[str, Any]) -> None:
        data["events"][0]["battery"].append("phq-9")
        data["response_plans"] = {"phq-9": {"who": "A nurse", "within_hours": 4, "telephone": "1"}}
        data["for_patients"] = {"results": ["phq-9.total"]}

    with changed_protocol(folder, monkeypatch, change):
        problems = protocol_catalog.problems(folder / "ketamine-5day.yaml")
    assert ["explained by a person" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize(
    ("code", "value", "option"),
    [
        (PI, 40.7, 1),  # raw 8 of 8 items
        (PI, 61.5, 3),  # raw 24
        (PI, 66.9, 4),  # raw 32
        (PI, 77.0, 5),
        (PCS, 13, 1),  # a sum without T-scores
    ],
)
def test_the_typical_answer_is_the_option_nearest_to_the_raw_score_of_an_item(
    code: str, value: float, option: int
) -> None:
    instrument = instrument_catalog.instrument(code)
    found = typical_option(instrument, instrument.scale("total"), value)
    assert found is not None
    assert found[1] == option


def test_a_score_of_one_item_or_of_unlike_items_has_no_typical_answer() -> None:
    for code, scale_code in ((NRS, "total"), ("promis-global-health", "physical")):
        instrument = instrument_catalog.instrument(code)
        scale = instrument.scale(scale_code)
        assert typical_option(instrument, scale, scale.value_range[1]) is None
