"""The consent form on a phone in a real browser: with and without scripts, narrow, by screen reader, and offline."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.consent_decision import ConsentDecision
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support.consent_fixtures import with_consent_form
from tests.support.patient_browser import BIRTH_DATE, Patient, add_patient
from tests.support.staff_browser import add_account
from tests.support.staff_pages import sign_in

pytestmark = pytest.mark.browser
SMALL = {**PHONE, "viewport": {"width": 360, "height": 640}}


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def open_form(page: Page, patient: Patient) -> None:
    page.goto(f"/v/{patient.token}")
    for name, value in (("Day", BIRTH_DATE.day), ("Month", BIRTH_DATE.month), ("Year", BIRTH_DATE.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").tap()
    page.wait_for_url("**/consent")


def agree(page: Page) -> None:
    page.get_by_label("The clinic may ask me questions").check()
    page.get_by_label("Your name").fill("Zoë Demo")
    page.get_by_role("button", name="I agree").tap()
    page.wait_for_url("**/item/1")


def outcomes(session: Session) -> list[str]:
    session.rollback()
    return list(session.scalars(select(ConsentDecision.outcome).order_by(ConsentDecision.id)))


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_form_is_read_agreed_to_changed_and_declined(
    new_page: Callable[..., Page], session: Session, patient: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    open_form(page, patient)
    page.get_by_role("button", name="I agree").tap()
    expect(page.get_by_role("alert")).to_contain_text("only if you tick the first one")
    agree(page)
    page.get_by_role("link", name="Change when and how we write to you").tap()
    page.get_by_role("link", name="What you agreed to").tap()
    page.get_by_role("link", name="Change what you agreed to").tap()
    page.get_by_role("button", name="I do not agree").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you for telling us")
    assert outcomes(session) == ["given", "declined"]


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_other_language_keeps_what_was_entered_and_the_enter_key_agrees(
    new_page: Callable[..., Page], session: Session, patient: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    open_form(page, patient)
    page.get_by_label("The clinic may ask me questions").check()
    page.get_by_label("Your name").fill("Zoë Demo")
    page.get_by_role("button", name="Español").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("¿Podemos hacerle preguntas?")
    expect(page.get_by_label("La clínica puede hacerme preguntas")).to_be_checked()
    name = page.get_by_role("textbox")
    expect(name).to_have_value("Zoë Demo")
    name.press("Enter")
    page.wait_for_url("**/item/1")
    assert outcomes(session) == ["given"]


def test_the_list_of_patients_has_the_state_in_view_on_a_narrow_phone(
    new_page: Callable[..., Page], session: Session, patient: Patient
) -> None:
    add_account(session, "coordinator")
    session.commit()
    page = new_page(viewport={"width": 320, "height": 640})
    sign_in(page)
    page.goto("/subjects?consent=missing")
    state = page.get_by_role("rowheader").get_by_text("Not asked yet")
    box = state.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 320
    check(page, 320)


def test_the_first_page_shows_its_button_without_scrolling(new_page: Callable[..., Page], patient: Patient) -> None:
    page = new_page(**SMALL)
    page.goto(f"/v/{patient.token}")
    box = page.get_by_role("button", name="Continue").bounding_box()
    assert box
    assert box["y"] + box["height"] <= 640


@pytest.mark.parametrize("width", [180, 320])
def test_the_pages_pass_axe_and_do_not_scroll_sideways(
    new_page: Callable[..., Page], patient: Patient, width: int
) -> None:
    page = new_page(**{**PHONE, "viewport": {"width": width, "height": 640}})
    open_form(page, patient)
    base = page.url.removesuffix("consent")
    check(page, width)
    page.get_by_role("button", name="I agree").tap()
    page.get_by_role("alert").wait_for()
    check(page, width)
    agree(page)
    page.goto(f"{base}consent/copy")
    check(page, width)
    page.goto(f"{base}consent?again")
    page.get_by_role("button", name="I do not agree").tap()
    page.get_by_role("link", name="Read it again").wait_for()
    check(page, width)


def check(page: Page, width: int) -> None:
    page.wait_for_load_state()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_numbers_and_links_of_the_foot_are_44_pixels_high(phone: Page, patient: Patient) -> None:
    phone.goto(f"/v/{patient.token}")
    links = phone.locator(".numbers a, .about a, .govuk-details summary").all()
    assert len(links) == 5
    for link in links:
        box = link.bounding_box()
        assert box
        assert box["height"] >= 43.9, link.inner_text()
