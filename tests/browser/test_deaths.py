"""A death in a real browser: learned at a call, recorded by keyboard, shown to a relative on a phone, reverted."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.models.call import Call
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.servers.browser import DESKTOP, PHONE
from tests.support.patient_browser import Patient, add_patient
from tests.support.staff_browser import add_account
from tests.support.staff_pages import press, sign_in

pytestmark = pytest.mark.browser
NARROW = {"viewport": {"width": 320, "height": 640}}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    """A patient on the call list, and an account for a coordinator."""
    add_account(session, "coordinator")
    patient = add_patient(session, clock.now)
    known = {"subject_id": patient.visit.subject_id, "visit_id": patient.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="alert"))
    session.commit()
    return patient


def look_at(page: Page) -> None:
    """Finds faults of accessibility, and content that is wider than the page."""
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.dialects("sqlite")
def test_a_death_that_a_caller_learns_of_is_recorded_by_keyboard_and_reverted(
    new_page: Callable[..., Page], session: Session, patient: Patient, javascript: bool
) -> None:
    staff = new_page(**(DESKTOP if javascript else NARROW), java_script_enabled=javascript)
    sign_in(staff)
    staff.goto("/calls")
    press(staff.get_by_role("link", name="Call", exact=False).filter(has_text="north-0001"))
    press(staff.get_by_role("radio", name="The patient has died"), "Space")
    press(staff.get_by_role("button", name="Note the call"))
    expect(staff.get_by_role("heading", level=1)).to_contain_text("Died")
    press(staff.get_by_role("radio", name="The day is not known"), "Space")
    staff.get_by_label("How does the clinic know?").fill("a relative answered")
    press(staff.get_by_role("button", name="Record the death"))
    expect(staff.get_by_role("heading", level=1)).to_contain_text("What changes")
    press(staff.get_by_role("button", name="Save"))
    expect(staff.get_by_text("Died; the day is not known").first).to_be_visible()
    subject = session.get_one(Subject, patient.visit.subject_id, populate_existing=True)
    assert subject.death_reason == "a relative answered"
    session.commit()

    phone = new_page(**PHONE, java_script_enabled=javascript)
    phone.goto(f"/v/{patient.token}")
    expect(phone.get_by_role("heading", level=1)).to_have_text("There is nothing to answer")

    press(staff.get_by_role("link", name="Correct or revert the record of the death"))
    staff.get_by_label("Why is it reverted?").fill("another patient")
    press(staff.get_by_role("button", name="The patient is alive"))
    press(staff.get_by_role("button", name="Save"))
    expect(staff.get_by_text("The record of the death is reverted.")).to_be_visible()
    phone.goto(f"/v/{patient.token}")
    expect(phone.get_by_role("heading", level=1)).not_to_have_text("There is nothing to answer")


@pytest.mark.parametrize("size", [DESKTOP, NARROW], ids=["desktop", "narrow"])
@pytest.mark.dialects("sqlite")
def test_the_pages_of_a_death_and_of_what_a_call_ends_are_accessible(
    new_page: Callable[..., Page], session: Session, patient: Patient, size: dict[str, object]
) -> None:
    call = Call(
        subject_id=patient.visit.subject_id,
        visit_id=patient.visit.id,
        reason="send-failed",
        opened_at=patient.visit.opens_at,
    )
    session.add(call)
    session.commit()
    staff = new_page(**size)
    sign_in(staff)
    staff.goto(f"/calls/{call.id}")
    staff.get_by_role("radio", name="Too ill to answer").check()
    staff.get_by_role("button", name="Note the call").click()
    look_at(staff)
    staff.get_by_role("button", name="Continue").click()
    expect(staff.get_by_role("alert")).to_contain_text("Choose what it ends.")
    look_at(staff)
    staff.goto(f"/subjects/{patient.visit.subject_id}/death")
    look_at(staff)
    staff.get_by_role("radio", name="The day is not known").check()
    staff.get_by_label("How does the clinic know?").fill("letter")
    staff.get_by_role("button", name="Record the death").click()
    staff.get_by_role("button", name="Save").click()
    look_at(staff)
    staff.goto(f"/subjects/{patient.visit.subject_id}/death")
    look_at(staff)
    staff.goto(f"/v/{patient.token}")
    look_at(staff)
