"""The advice after an alerting answer and the free line in a real browser, and the call about them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.call import Call
from pro_tracker.services.clinic import sites
from tests.browser.test_patient_phone import begin, goto
from tests.conftest import Clock
from tests.servers.browser import DESKTOP, PHONE
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.patient_browser import Patient, add_patient
from tests.support.phone_answers import tap_answer
from tests.support.phone_store import wait_for_sending
from tests.support.staff_browser import PASSWORD, add_account, add_site

pytestmark = pytest.mark.browser

SITES = Path(__file__).parents[2] / "config/sites.yaml"
WEEK = "adverse-effects-week"


@pytest.fixture(autouse=True)
def protocol_with_checklist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The baseline asks the weekly checklist of effects, whose last page has the free line."""
    with asking_at_baseline(tmp_path, monkeypatch, WEEK, plans={WEEK: PLAN}):
        yield


@pytest.fixture
def patient(app: Flask, session: Session, clock: Clock) -> Patient:
    add_site(session)
    sites.sync(session, sites.read(SITES), now=clock.now)
    return add_patient(session, clock.now)


def check(page: Page, width: int) -> None:
    page.wait_for_load_state()  # styles and scripts, too
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_advice_mistake_free_line_and_thanks_on_a_small_phone(
    new_page: Callable[..., Page], patient: Patient, tmp_path: Path, script: bool
) -> None:
    narrow = {**PHONE, "viewport": {"width": 320, "height": 640}}
    page = new_page(**narrow, java_script_enabled=script)
    begin(page, patient)
    goto(page, "item/8")
    tap_answer(page, 3)
    page.wait_for_url("**/advice/8")
    expect(page.get_by_role("heading", level=1)).to_have_text("Please read this first")
    expect(page.get_by_text("calls you")).to_be_visible()  # once the answer has reached the server
    page.screenshot(path=tmp_path / "advice.png", full_page=True)
    if script:
        check(page, 320)
    page.get_by_role("link", name="I tapped this by mistake").tap()
    page.wait_for_url("**/item/8")
    goto(page, "item/12")
    page.get_by_role("radio").nth(0).check()
    page.get_by_label("Did you notice anything else?").fill("My tongue feels numb")
    page.screenshot(path=tmp_path / "free_line.png", full_page=True)
    if script:
        check(page, 320)
    page.get_by_role("button", name="Save and continue").tap()
    page.wait_for_url("**/review")
    expect(page.get_by_text("My tongue feels numb")).to_be_visible()
    page.get_by_role("button", name="Send my answers").first.tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Please read this first")
    expect(page.get_by_text("calls you today by")).to_be_visible()
    page.screenshot(path=tmp_path / "sent.png", full_page=True)


def test_the_call_about_an_alert_on_a_desktop(
    new_page: Callable[..., Page], session: Session, patient: Patient, clock: Clock, tmp_path: Path
) -> None:
    phone = new_page(**PHONE)
    begin(phone, patient)
    for option in (3, 0):
        clock.advance(minutes=1)  # the order of answers goes by the moment at which the phone says they were given
        goto(phone, "item/11")
        tap_answer(phone, option)
        phone.wait_for_url("**/advice/11" if option else "**/item/12")
        wait_for_sending(phone)
    add_account(session, "coordinator")
    session.commit()
    call_id = session.scalars(select(Call.id)).one()
    page = new_page(**DESKTOP)
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("coordinator@clinic.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"/calls/{call_id}")
    expect(page.get_by_text("The answer that stands now:")).to_be_visible()
    page.screenshot(path=tmp_path / "call.png", full_page=True)
    check(page, 1280)
    page.goto(f"/subjects/{patient.visit.subject_id}#alerts")
    check(page, 1280)
    page.screenshot(path=tmp_path / "subject.png", full_page=True)
