"""The tablet of the waiting room: locked to one visit, and closed where no one answers any more."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update
from sqlalchemy.orm import Session

from pro_tracker.models.visit_access import VisitAccess
from tests.browser.test_offline_answers import stored
from tests.conftest import Clock
from tests.support.bad_connection import Line, Network
from tests.support.patient_browser import PAIN, Patient, add_patient
from tests.support.phone_answers import tap_answer
from tests.support.phone_store import entries
from tests.support.staff_browser import PASSWORD, add_account

pytestmark = pytest.mark.browser


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    patient = add_patient(session, clock.now)
    add_account(session, "coordinator")
    session.commit()
    return patient


def start_here(page: Page, patient: Patient) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("coordinator@clinic.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/here")
    page.get_by_role("button", name="Start, and sign me out").click()
    page.wait_for_url("**/item/1")
    page.wait_for_load_state("networkidle")


def test_an_untouched_visit_ends_after_a_warning_and_keeps_its_answers(
    phone: Page, session: Session, patient: Patient
) -> None:
    phone.clock.install()
    start_here(phone, patient)
    tap_answer(phone, 3)
    phone.wait_for_url("**/item/2")
    phone.clock.fast_forward("10:01")
    expect(phone.get_by_text("Are you still there?")).to_be_visible()
    answer = phone.get_by_role("radio").nth(2).bounding_box()
    assert answer is not None
    phone.touchscreen.tap(answer["x"] + 5, answer["y"] + 5)  # says "still here" and answers nothing
    expect(phone.get_by_text("Are you still there?")).to_have_count(0)
    phone.clock.fast_forward("10:01")
    expect(phone.get_by_text("Are you still there?")).to_be_visible()
    phone.clock.fast_forward("01:01")
    for _ in range(5):
        phone.clock.run_for(5000)
    expect(phone.get_by_text("Please give the device back.")).to_be_visible()
    assert list(stored(session, patient)[PAIN].values()) == [4]
    assert phone.evaluate("caches.keys()") == []
    assert [each for each in phone.context.cookies() if each["name"].startswith("visit")] == []


def test_answers_that_the_server_refuses_do_not_keep_an_untouched_tablet_from_closing(
    phone: Page, session: Session, patient: Patient, network: Network, clock: Clock
) -> None:
    phone.clock.install()
    start_here(phone, patient)
    network.set(Line.CUT)
    tap_answer(phone, 3)
    phone.wait_for_url("**/item/2")
    session.execute(update(VisitAccess).values(ended_at=clock.now))
    session.commit()
    network.set(Line.WORKS)
    phone.clock.fast_forward("10:01")
    phone.clock.fast_forward("01:01")
    for _ in range(5):
        phone.clock.run_for(5000)
    expect(phone.get_by_text("Please give the device back.")).to_be_visible()
    assert len(entries(phone)) == 1
    assert entries(phone, "questions") == []
