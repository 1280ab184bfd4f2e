"""Text in another language than its page carries `lang`: here all that is not translated into a language just added.

The installation has a catalogue and messages in Portuguese, and no more: questions, answers, names of events and the
crisis line stay in English. What the catalogue translates has a mark, or real words.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import languages
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.site import Site
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.instruments import data_files, instrument_catalog
from tests.conftest import Clock
from tests.support import third_language
from tests.support.battery import PLAN, asking_at_baseline, changed_protocol
from tests.support.patient_browser import N_ITEMS, Patient, add_patient, answer, begin, get, open_link, post
from tests.support.second_study import forget_files, shipped
from tests.support.staff_browser import add_account, sign_in

pytestmark = pytest.mark.dialects("sqlite")
WITHOUT_END = {"area", "br", "hr", "img", "input", "link", "meta", "circle", "line", "polyline"}
PAGES = ("item/1", f"item/{N_ITEMS}", "review", "preferences", "snooze", "results", "privacy", "accessibility")
NOT_SHOWN = ("title", "desc", "script")  # a title cannot hold another element


class ByLanguage(HTMLParser):
    """Collects (language, text) of each piece of text on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.found: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in WITHOUT_END:
            inherited = self.open[-1][1] if self.open else ""
            self.open.append((tag, dict(attrs).get("lang") or inherited))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self.open and self.open[-1][0] not in NOT_SHOWN:
            self.found.append((self.open[-1][1], text))


def english_words() -> set[str]:
    """Returns texts that are written in English alone here: wording of questions, and names of events."""
    found = {title for event in shipped()["events"] for title in [event["titles"]["en"]]}
    for pack in instrument_catalog.text_packs():
        if pack.language == languages.SOURCE:
            labels = [label for set_ in pack.options.values() for label in set_.values()]
            found |= {pack.title, pack.instruction, *pack.items.values(), *pack.scales.values(), *labels}
    return {text for text in found if len(text) > 3}


def unmarked(page: str, language: str) -> list[str]:
    """Returns each text of the page in another language that is not marked with its own."""
    english = english_words()
    return [text for marked, text in ByLanguage(page).found if marked == language and _has(text, english)]


def _has(text: str, english: set[str]) -> bool:
    parts = {text, *text.split(" · ")}
    return not parts.isdisjoint(english)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    third_language.add(folder)
    for path in (folder / "text_packs").iterdir():
        path.unlink()
    forget_files()
    yield folder
    data_files.set_data_folder(None)
    forget_files()


@pytest.fixture
def environment(environment: dict[str, str], folder: Path) -> dict[str, str]:
    return {**environment, "PRO_TRACKER_DATA_FOLDER": str(folder)}


@pytest.fixture(autouse=True)
def protocol_with_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"results": ["promis-fatigue-8a.total", "pain-intensity-nrs.total"]}

    with changed_protocol(tmp_path, monkeypatch, change):
        questionnaires.questionnaire.cache_clear()
        yield


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    """A patient who reads Portuguese; the site has a crisis line in English and Spanish."""
    patient = add_patient(session, clock.now, language=third_language.CODE)
    site = yaml.safe_load(Path("config/sites.yaml").read_text(encoding="utf-8"))["sites"][0]
    line = site["crisis_line"]
    session.scalars(select(Site)).one().crisis_line = {**line["words"], "number": line["number"]}
    session.commit()
    return patient


def test_each_page_of_a_visit_marks_what_is_in_english(client: FlaskClient, patient: Patient) -> None:
    assert unmarked(open_link(client, patient).text, "pt") == []
    answer(client, begin(client, patient), 1)
    for name in PAGES:
        page = get(client, patient, name)
        assert page.status_code == 200, name
        assert '<html lang="pt"' in page.text, name
        assert unmarked(page.text, "pt") == [], name


def test_the_questions_and_the_event_are_marked_as_english(client: FlaskClient, patient: Patient) -> None:
    found = ByLanguage(begin(client, patient).text).found
    assert ("en", "Baseline") in found
    assert [text for language, text in found if language == "en" and text.endswith("?")]


def test_own_results_mark_the_name_of_the_scale_and_what_people_answer(client: FlaskClient, patient: Patient) -> None:
    page = begin(client, patient)
    for _position in range(N_ITEMS):
        page = answer(client, page, 2)
    sent = post(client, page, {})
    assert unmarked(sent.text, "pt") == []
    assert ("en", "Fatigue") in ByLanguage(sent.text).found


def test_the_crisis_line_is_marked_where_it_has_no_words_in_the_language(
    client: FlaskClient, patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asks").mkdir()
    with asking_at_baseline(tmp_path / "asks", monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        begin(client, patient)
        found = ByLanguage(get(client, patient, "item/9").text).found
    assert [language for language, text in found if "harming yourself, you can call" in text] == ["en"]


def test_the_first_page_names_each_other_language_in_its_own_words(client: FlaskClient, patient: Patient) -> None:
    found = ByLanguage(open_link(client, patient).text).found
    assert {("en", "English"), ("es", "Español")} <= set(found)


@pytest.mark.parametrize("preferred", ["es", "pt", "fr"])
def test_pages_of_staff_are_english_whatever_their_browser_prefers(
    client: FlaskClient, session: Session, patient: Patient, preferred: str
) -> None:
    sign_in(client, add_account(session, Role.COORDINATOR, "north"))
    page = client.get(f"/subjects/{patient.visit.subject_id}", headers={"Accept-Language": preferred})
    assert page.status_code == 200
    assert '<html lang="en">' in page.text
    assert "[pt]" not in page.text


def test_previews_of_messages_are_marked_with_their_language(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    sign_in(client, add_account(session, Role.COORDINATOR, "north"))
    page = client.get("/messages?language=pt").text
    subject = "North Clinic: perguntas para você"
    assert ("pt", subject) in ByLanguage(page).found
    assert [
        language for language, text in ByLanguage(page).found if "perguntas para você" in text and language != "pt"
    ] == []


def test_a_text_that_is_not_marked_is_found() -> None:
    page = '<html lang="pt"><p>North Clinic · Baseline · 04</p><p lang="en">Baseline</p></html>'
    assert unmarked(page, "pt") == ["North Clinic · Baseline · 04"]
