"""Two people with links of their own in the tabs of one browser, with and without scripts."""

import re
from collections.abc import Callable
from datetime import date
from urllib.parse import urljoin

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy.orm import Session

from pro_tracker.models.visit import Visit
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support.patient_browser import BIRTH_DATE, PAIN, Patient, add_patient, draft
from tests.support.phone_answers import send_what_waits, tap_answer
from tests.support.phone_store import wait_for_sending

pytestmark = pytest.mark.browser

BORN_LATER = date(1985, 6, 7)


@pytest.fixture
def ann(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def bob(session: Session, clock: Clock) -> Patient:
    return add_patient(
        session, clock.now, record_number="MRN-2", email="bob@patients.example", mobile="", birth_date=BORN_LATER
    )


def begin(page: Page, patient: Patient, birth_date: date) -> None:
    page.goto(f"/v/{patient.token}")
    for name, value in (("Day", birth_date.day), ("Month", birth_date.month), ("Year", birth_date.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/item/*")


def choose(page: Page, number: int) -> None:
    """Chooses an option of the question that the page shows, and saves it."""
    tap_answer(page, number - 1)


def stored(session: Session, patient: Patient) -> list[int | None]:
    """Returns the answers to the first instrument of the patient's draft; none without a draft."""
    session.rollback()
    return list(draft(session, patient).get(PAIN, {}).values())


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_two_tabs_each_keep_to_their_own_person(
    new_page: Callable[..., Page], session: Session, ann: Patient, bob: Patient, script: bool
) -> None:
    hers = new_page(**PHONE, java_script_enabled=script)
    begin(hers, ann, BIRTH_DATE)
    choose(hers, 3)
    hers.wait_for_url("**/item/2")
    his = hers.context.new_page()
    begin(his, bob, BORN_LATER)
    choose(hers, 4)
    hers.wait_for_url("**/item/3")
    choose(his, 1)
    his.wait_for_url("**/item/2")
    wait_for_sending(his)
    assert (stored(session, ann), stored(session, bob)) == ([3, 4], [1])
    hers.goto(urljoin(hers.url, "../review"))
    hers.get_by_role("button", name="Send my answers").first.click()
    expect(hers.get_by_role("heading", level=1)).to_have_text("Thank you")
    session.rollback()
    completed = [session.get_one(Visit, each.visit.id, populate_existing=True).completed_at for each in (ann, bob)]
    assert [at is not None for at in completed] == [True, False]
    choose(his, 2)
    his.wait_for_url("**/item/3")


def test_an_answer_kept_in_a_tab_is_not_shown_to_the_next_person_there(phone: Page, ann: Patient, bob: Patient) -> None:
    begin(phone, ann, BIRTH_DATE)
    phone.route("**/answers", lambda route: route.abort("internetdisconnected"))
    choose(phone, 4)
    phone.wait_for_url("**/item/2")
    send_what_waits(phone)
    expect(phone.get_by_role("status")).to_contain_text("No connection")
    begin(phone, bob, BORN_LATER)
    expect(phone.get_by_role("radio", checked=True)).to_have_count(0)
    phone.goto(f"/v/{ann.token}")
    phone.goto(re.sub(r"item/\d+", "item/1", phone.url))
    expect(phone.get_by_role("radio").nth(3)).to_be_checked()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_an_answer_given_after_the_access_ended_is_saved_after_the_birth_date(
    new_page: Callable[..., Page], session: Session, ann: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    begin(page, ann, BIRTH_DATE)
    forget_access(page.context)
    choose(page, 5)
    wait_for_birth_date(page)
    assert stored(session, ann) == []
    for name, value in (("Day", BIRTH_DATE.day), ("Month", BIRTH_DATE.month), ("Year", BIRTH_DATE.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/item/2")
    wait_for_sending(page)
    assert stored(session, ann) == [5]


def wait_for_birth_date(page: Page) -> None:
    """Waits until the page asks for the birth date, as it does when what waits is sent."""
    for _ in range(50):
        send_what_waits(page)
        if page.get_by_text("Give your date of birth once more").is_visible():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the birth date is not asked for")


def forget_access(context: BrowserContext) -> None:
    """Removes the access cookie, as a browser does after four hours."""
    context.clear_cookies(name="visit-access")


def test_finished_on_this_device_removes_what_the_browser_kept(phone: Page, ann: Patient) -> None:
    begin(phone, ann, BIRTH_DATE)
    phone.evaluate("sessionStorage.setItem('another.visit', '1')")
    phone.route("**/answers", lambda route: route.abort("internetdisconnected"))
    choose(phone, 4)
    phone.wait_for_url("**/item/2")
    send_what_waits(phone)
    expect(phone.get_by_role("status")).to_contain_text("No connection")
    phone.get_by_role("button", name="Finished on this device").click()
    expect(phone.get_by_role("status")).to_contain_text("not saved yet")
    phone.get_by_role("button", name="Finished on this device").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("You are finished on this device")
    expect(phone.get_by_text("The questions can no longer be opened here.")).to_be_visible()  # the server's page
    phone.wait_for_load_state()  # and its script
    assert phone.evaluate("Object.keys(sessionStorage)") == ["another.visit"]
    assert [cookie for cookie in phone.context.cookies() if cookie["name"].startswith("visit")] == []


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_rather_not_answering_after_the_access_ended_stores_no_answer(
    new_page: Callable[..., Page], session: Session, ann: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    begin(page, ann, BIRTH_DATE)
    forget_access(page.context)
    page.get_by_role("radio").nth(4).press("Space")
    page.get_by_role("button", name="I would rather not answer this").click()
    wait_for_birth_date(page)
    for name, value in (("Day", BIRTH_DATE.day), ("Month", BIRTH_DATE.month), ("Year", BIRTH_DATE.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/item/2")
    wait_for_sending(page)
    assert stored(session, ann) == [None]
