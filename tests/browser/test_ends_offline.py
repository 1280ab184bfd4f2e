"""Endings, and forms other than questions, without a connection: done later, or not done and said so."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.enrolment.deaths import DeathFacts
from tests.browser.test_clinic_tablet import start_here
from tests.browser.test_offline_answers import begin, choose, sent, stored, waits_until
from tests.conftest import Clock
from tests.support.bad_connection import Line, Network
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import N_ITEMS, PAIN, Patient, add_patient
from tests.support.phone_answers import send_what_waits, tap_answer
from tests.support.phone_store import entries, wait_for_offline_page
from tests.support.staff_browser import add_account

pytestmark = pytest.mark.browser


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_another_form_stays_on_the_page_and_says_that_it_was_not_done(
    phone: Page, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    phone.goto(phone.url.replace("item/1", "preferences"))
    phone.get_by_label("Español").check()
    network.set(Line.CUT)
    phone.get_by_role("button", name="Save").tap()
    expect(phone.get_by_role("status")).to_contain_text("This was not done.")
    expect(phone.get_by_label("Español")).to_be_checked()
    network.set(Line.WORKS)
    phone.get_by_role("button", name="Save").tap()
    expect(phone.locator("html")).to_have_attribute("lang", "es")


def test_finished_without_a_connection_shows_and_keeps_nothing_more(
    phone: Page, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    network.set(Line.CUT)
    phone.get_by_role("button", name="Finished on this device").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("You are finished on this device")
    waits_until(lambda: not phone.evaluate("caches.keys()") and not entries(phone, "questions"), phone)
    network.set(Line.WORKS)
    expect(phone.get_by_text("The questions can no longer be opened here.")).to_be_visible(timeout=15_000)
    assert [each for each in phone.context.cookies() if each["name"].startswith("visit")] == []


def test_a_tablet_left_alone_without_a_connection_shows_nothing_and_sends_later(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    add_account(session, "coordinator")
    session.commit()
    phone.clock.install()
    start_here(phone, patient)
    network.set(Line.CUT)
    tap_answer(phone, 3)
    phone.wait_for_url("**/item/2")
    phone.clock.fast_forward("10:01")
    phone.clock.fast_forward("01:01")
    expect(phone.get_by_role("heading", level=1)).to_have_text("You are finished on this device")
    expect(phone.get_by_role("radio")).to_have_count(0)
    phone.evaluate("history.back()")
    phone.clock.run_for(1000)
    expect(phone.get_by_role("radio")).to_have_count(0)
    network.set(Line.WORKS)
    for _ in range(20):
        phone.clock.run_for(10_000)
    expect(phone.get_by_text("Please give the device back.")).to_be_visible()
    assert list(stored(session, patient)[PAIN].values()) == [4]


def test_what_was_sent_offline_and_reopened_ends_on_the_page_of_thanks(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    network.set(Line.CUT)
    choose(phone, 1, 2)
    phone.goto(phone.url.replace("item/2", "review"))
    phone.get_by_role("button", name="Send my answers").first.tap()
    expect(phone.get_by_role("status")).to_contain_text("You can close this page")
    context = phone.context
    phone.close()
    network.set(Line.WORKS)
    again = context.new_page()
    again.goto(f"/v/{patient.token}")
    expect(again.get_by_role("heading", level=1)).to_have_text("Thank you", timeout=15_000)
    assert sent(session) > 0


def test_a_link_opened_while_answers_wait_goes_on_where_the_patient_was(
    phone: Page, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    phone.route("**/answers", lambda route: route.abort("internetdisconnected"))
    choose(phone, 1, 2)
    choose(phone, 2, 2)
    phone.goto(f"/v/{patient.token}")
    expect(phone.get_by_text(f"Question 3 of {N_ITEMS}")).to_be_visible()


def test_after_a_death_the_phone_shows_nothing_of_the_visit(
    phone: Page, session: Session, patient: Patient, network: Network, clock: Clock
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    facts = DeathFacts(None, DeathDatePrecision.UNKNOWN, "letter")
    deaths.record(session, COORDINATOR, session.get_one(Subject, patient.visit.subject_id), facts, now=clock.now)
    session.commit()
    phone.goto(f"/v/{patient.token}")
    expect(phone.get_by_role("heading", level=1)).to_have_text("There is nothing to answer")
    waits_until(lambda: not phone.evaluate("caches.keys()") and not entries(phone, "questions"), phone)
    send_what_waits(phone)
