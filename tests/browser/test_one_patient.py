"""One patient in a real browser: enrolled with a wrong birth date, asked in two languages, amended, transferred, died.

What was done is read back on the ledger and the trend, in the researcher's file and in FHIR.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from tests.conftest import Clock
from tests.servers.browser import DESKTOP, PHONE
from tests.support.patient_browser import N_ITEMS
from tests.support.phone_answers import tap_answer
from tests.support.staff_browser import PASSWORD, add_account, add_site
from tests.support.staff_pages import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.dialects("sqlite")]

SPANISH_FROM = 20
BORN_ON, MISTYPED = date(1980, 5, 17), date(1980, 6, 17)
PAIN_INTENSITY, AMENDED_TO = "Pain intensity", "3"


def check(page: Page) -> None:
    page.wait_for_load_state()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def fill_date(page: Page, legend: str, on: date) -> None:
    group = page.get_by_role("group", name=legend)
    for part, value in (("Day", on.day), ("Month", on.month), ("Year", on.year)):
        group.get_by_label(part).fill(str(value))


def enrol(staff: Page, today: date) -> None:
    staff.goto("/subjects/new")
    staff.get_by_label("North Clinic").check()
    staff.get_by_label("Record number").fill("MRN-500")
    staff.get_by_label("Given name").fill("Wren")
    staff.get_by_label("Family name").fill("Trial")
    fill_date(staff, "Date of birth", MISTYPED)
    staff.get_by_label("Female").check()
    staff.get_by_label("E-mail address").fill("wren@patients.example")
    staff.get_by_label("Version of the consent form").fill("2026-01")
    fill_date(staff, "Date of consent", today)
    fill_date(staff, "Planned date of the first infusion", today)
    staff.get_by_role("button", name="Enroll").click()
    expect(staff.get_by_role("heading", level=1)).to_have_text("Wren Trial")


def give_birth_date(phone: Page) -> None:
    for part, value in (("Day", BORN_ON.day), ("Month", BORN_ON.month), ("Year", BORN_ON.year)):
        phone.get_by_label(part, exact=True).fill(str(value))
    phone.get_by_role("button", name="Continue").tap()


def correct_birth_date(staff: Page) -> None:
    staff.get_by_role("link", name="Correct identity").click()
    fill_date(staff, "Date of birth", BORN_ON)
    staff.get_by_label("Why is this corrected?").fill("The month was mistyped.")
    staff.get_by_role("button", name="Show what changes").click()
    check(staff)
    staff.get_by_role("button", name="Save").click()
    expect(staff.get_by_text("The identity is corrected.")).to_be_visible()


def go_on_in_spanish(phone: Page) -> None:
    """Chooses Spanish under "How we write to you", and goes back to the question."""
    question = phone.url
    phone.get_by_role("link", name="How we write to you").tap()
    phone.get_by_label("Español").check()
    phone.get_by_role("button", name="Save").tap()
    expect(phone.locator("html")).to_have_attribute("lang", "es")
    phone.goto(question)


def answer_in_two_languages(phone: Page) -> None:
    phone.wait_for_url("**/item/1")
    for number in range(1, N_ITEMS + 1):
        if number == SPANISH_FROM:
            go_on_in_spanish(phone)
        tap_answer(phone, 2)
        phone.wait_for_url("**/review" if number == N_ITEMS else f"**/item/{number + 1}")
    check(phone)
    phone.get_by_role("button", name="Enviar mis respuestas").first.tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Gracias")
    check(phone)


def amend(staff: Page) -> None:
    staff.get_by_role("link", name="Answers Baseline").click()
    check(staff)
    staff.get_by_role("link", name=f"Correct answers {PAIN_INTENSITY}").click()
    staff.get_by_role("combobox").first.select_option(AMENDED_TO)
    staff.get_by_label("The patient said so").check()
    staff.get_by_label("Why is it corrected?").fill("asked again on the telephone")
    staff.get_by_role("button", name="Look at what changes").click()
    staff.get_by_role("button", name="Save").click()
    expect(staff.get_by_role("status")).to_contain_text("The answers are corrected.")


def transfer(staff: Page) -> None:
    staff.get_by_role("link", name="Transfer to another clinic").click()
    staff.get_by_label("South Clinic").check()
    staff.get_by_label("Why does the patient go there?").fill("moved to another town")
    staff.get_by_role("button", name="Show what changes").click()
    staff.get_by_role("button", name="Save").click()
    expect(staff.get_by_text("Wren")).to_have_count(0)


def record_death(staff: Page, on: date) -> None:
    fill_date(staff, "Date of death", on)
    staff.get_by_label("The day is known").check()
    staff.get_by_label("How does the clinic know?").fill("a letter of the family doctor")
    staff.get_by_role("button", name="Record the death").click()
    expect(staff.get_by_role("status")).to_contain_text("The death is recorded.")


def sign_in_south(page: Page) -> None:
    page.goto("/")
    page.get_by_label("E-mail address").fill("south@clinic.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def rows_of(page: Page, path: str) -> list[dict[str, str]]:
    found = page.request.get(path)
    assert found.ok
    return list(csv.DictReader(io.StringIO(found.text())))


@pytest.fixture
def sites(session: Session, clock: Clock) -> None:
    """Two clinics, a coordinator in each, and a researcher who reads both."""
    for code in ("north", "south"):
        add_site(session, code)
    add_account(session, "coordinator")
    add_account(session, "coordinator", "south", email="south@clinic.example")
    add_account(session, "researcher", "north", "south")
    session.commit()


@pytest.mark.usefixtures("sites")
def test_the_life_of_one_patient_is_read_back_in_ledger_trend_file_and_fhir(
    new_page: Callable[..., Page], session: Session, clock: Clock
) -> None:
    today = clock.now.date()
    north = new_page(**DESKTOP)
    sign_in(north)
    enrol(north, today)
    subject = session.scalars(select(Subject)).one()
    visit_id = session.scalars(select(Visit.id).where(Visit.event_code == "baseline")).one()
    token = links.issue(session, visit_id, now=clock.now)
    session.commit()

    phone = new_page(**PHONE)
    phone.goto(f"/v/{token}")
    give_birth_date(phone)
    expect(phone.get_by_text("This does not match the date of birth we have.").first).to_be_visible()
    correct_birth_date(north)
    phone.goto(f"/v/{token}")
    give_birth_date(phone)
    answer_in_two_languages(phone)

    clock.advance(minutes=10)
    north.goto(f"/subjects/{subject.id}")
    amend(north)
    north.goto(f"/subjects/{subject.id}")
    transfer(north)

    clock.advance(days=1)
    south = new_page(**DESKTOP)
    sign_in_south(south)
    south.goto(f"/subjects/{subject.id}/death")
    record_death(south, clock.now.date())
    phone.goto(f"/v/{token}")
    expect(phone.get_by_role("heading", level=1)).to_have_text("No hay nada que responder")
    check(phone)

    check_ledger(south, subject)
    check_trend(south, subject)
    check_file(new_page(**DESKTOP), subject)
    check_fhir(south, subject)


def check_ledger(page: Page, subject: Subject) -> None:
    page.goto(f"/subjects/{subject.id}/ledger")
    for sentence in ("Date of birth before:", "Death recorded", "South Clinic", "asked again on the telephone"):
        expect(page.get_by_text(sentence, exact=False).first).to_be_visible()
    check(page)


def check_trend(page: Page, subject: Subject) -> None:
    page.goto(f"/subjects/{subject.id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Wren Trial")
    expect(page.get_by_role("row", name=PAIN_INTENSITY).first).to_contain_text(AMENDED_TO)
    check(page)


def check_file(page: Page, subject: Subject) -> None:
    """The long file has the amended answer in effect, both languages, and the clinic where the course was begun."""
    sign_in(page, "researcher")
    page.goto("/results")
    rows = rows_of(page, "/results/long.csv?study=ketamine-5day")
    own = [row for row in rows if row["USUBJID"] == subject.study_code]
    assert own
    assert {row["SITEID"] for row in own} == {"north"}
    assert {row["DTHFL"] for row in own} == {"Y"}
    answered = [row for row in own if row["VISIT"] == "Baseline"]
    assert {row["TEXTLANG"] for row in answered} == {"en", "es"}
    assert {row["RSPSTAT"] for row in answered} == {"completed", "amended"}


def check_fhir(page: Page, subject: Subject) -> None:
    found: dict[str, Any] = page.request.get(f"/fhir/Patient/{subject.study_code}/$everything").json()
    resources = [entry["resource"] for entry in found["entry"]]
    patient = next(each for each in resources if each["resourceType"] == "Patient")
    assert "deceasedDateTime" in patient
    responses = [each for each in resources if each["resourceType"] == "QuestionnaireResponse"]
    statuses = Counter(each["status"] for each in responses)
    assert statuses == {"completed": 4, "amended": 1, "entered-in-error": 1}
