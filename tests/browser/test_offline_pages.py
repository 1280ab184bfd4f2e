"""Offline pages: a visit is opened, reloaded or left where the network itself is cut, not only the browser."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from tests.browser.test_offline_answers import begin, choose, stored, waits_until
from tests.conftest import Clock
from tests.support.bad_connection import Line, Network
from tests.support.patient_browser import PAIN, Patient, add_patient
from tests.support.phone_store import entries, wait_for_offline_page

pytestmark = pytest.mark.browser


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def begin_offline(phone: Page, patient: Patient, network: Network, line: Line = Line.CUT) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    network.set(line)
    choose(phone, 1, 4)


@pytest.mark.parametrize("line", [Line.CUT, Line.HANGS, Line.BAD_GATEWAY, Line.CAPTIVE_PORTAL])
def test_a_page_reloaded_without_a_connection_goes_on_with_the_questions(
    phone: Page, session: Session, patient: Patient, network: Network, line: Line
) -> None:
    begin_offline(phone, patient, network, line)
    phone.reload()
    expect(phone.get_by_text("Question 2 of 34")).to_be_visible()
    choose(phone, 2, 3)
    phone.get_by_role("link", name="Back").tap()
    expect(phone.get_by_role("radio").nth(3)).to_be_checked()
    network.set(Line.WORKS)
    phone.evaluate("window.dispatchEvent(new Event('online'))")
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [5, 4], phone)


def test_the_link_in_the_message_opens_the_visit_without_a_connection(
    phone: Page, patient: Patient, network: Network
) -> None:
    begin_offline(phone, patient, network)
    context = phone.context
    phone.close()
    again = context.new_page()
    again.goto(f"/v/{patient.token}")
    expect(again.get_by_text("Question 2 of 34")).to_be_visible()
    assert again.url.endswith("/item/2")


def test_hours_later_only_the_number_of_waiting_answers_is_shown(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin_offline(phone, patient, network)
    hours_later = phone.context.new_page()
    hours_later.clock.install()
    hours_later.clock.fast_forward("05:00:00")
    hours_later.goto(f"/v/{patient.token}")
    expect(hours_later.get_by_role("heading", level=1)).to_have_text("No connection")
    expect(hours_later.get_by_role("main")).to_contain_text("Answers that wait on this phone: 1.")
    phone.close()
    network.set(Line.WORKS)
    hours_later.evaluate("window.dispatchEvent(new Event('online'))")
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [5], hours_later)


def test_another_persons_link_opens_nothing_of_this_visit(
    phone: Page, session: Session, patient: Patient, network: Network, clock: Clock
) -> None:
    other = add_patient(session, clock.now, record_number="MRN-2", email="b@patients.example", mobile="+12165550124")
    begin_offline(phone, patient, network)
    with pytest.raises(Exception, match="ERR_FAILED"):
        phone.goto(f"/v/{other.token}")


def test_a_finished_visit_leaves_no_page_on_the_phone(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    assert not entries(phone)
    phone.get_by_role("button", name="Finished on this device").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("You are finished on this device")
    waits_until(lambda: not phone.evaluate("caches.keys()"), phone)
