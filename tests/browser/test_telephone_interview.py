"""A telephone interview in a real browser: a coordinator enters a whole visit by keyboard alone."""

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.call import Call
from pro_tracker.models.response import QuestionnaireResponse
from tests.conftest import Clock
from tests.servers.browser import DESKTOP
from tests.support.patient_browser import N_ITEMS, Patient, add_patient
from tests.support.staff_browser import add_account
from tests.support.staff_pages import press, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    """A patient on the call list, and an account for a coordinator."""
    add_account(session, "coordinator")
    patient = add_patient(session, clock.now, email="")
    known = {"subject_id": patient.visit.subject_id, "visit_id": patient.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="all-reminders-sent"))
    session.commit()
    return patient


def start_of(patient: Patient) -> str:
    return f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone"


def test_a_whole_visit_from_the_call_list_to_the_record_by_keyboard(
    desktop: Page, session: Session, patient: Patient
) -> None:
    sign_in(desktop)
    press(desktop.get_by_role("link", name="Call list", exact=True))
    press(desktop.get_by_role("row", name="Zoë Demo").get_by_role("link", name="Call"))
    press(desktop.get_by_role("button", name="I am calling"))
    expect(desktop.get_by_text("Others see that you are calling")).to_be_visible()
    press(desktop.get_by_role("link", name="Take the answers now"))
    press(desktop.get_by_role("link", name="Begin with the questions"))
    for number in range(1, N_ITEMS + 1):
        desktop.wait_for_url(f"**/telephone/item/{number}")
        press(desktop.get_by_role("radio").first, "ArrowDown")
        desktop.keyboard.press("Enter")
    desktop.wait_for_url("**/review")
    press(desktop.get_by_role("button", name="Record these answers").first)
    expect(desktop.get_by_role("status")).to_have_text("The answers are recorded.")
    visits = desktop.get_by_role("table", name="Visits and the messages sent for them")
    expect(visits.get_by_role("row", name="Baseline")).to_contain_text("Answered")
    session.rollback()
    assert session.scalars(select(QuestionnaireResponse.mode).distinct()).all() == ["telephone"]
    assert session.scalars(select(Call.outcome)).all() == ["answered"]


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_call_attempt_is_recorded_by_keyboard(new_page: Callable[..., Page], patient: Patient, script: bool) -> None:
    page = new_page(**DESKTOP, java_script_enabled=script)
    sign_in(page)
    page.goto("/calls/1")
    press(page.get_by_role("button", name="Note the call"))
    expect(page.get_by_role("alert")).to_contain_text("Choose the outcome of the call.")
    press(page.get_by_role("radio").first, "ArrowDown")
    expect(page.get_by_label("Left a voicemail")).to_be_checked()
    page.get_by_label("Best time to call").select_option("evening")
    page.get_by_label("Note for whoever calls next").fill("Rings long")
    press(page.get_by_role("button", name="Note the call"))
    expect(page.get_by_role("status")).to_have_text("Noted. The patient stays on the call list.")
    press(page.get_by_role("link", name="To call again later: 1"))
    expect(page.get_by_role("row", name="Zoë Demo")).to_contain_text("Left a voicemail")


def test_every_page_passes_axe_and_none_scrolls_sideways(new_page: Callable[..., Page], patient: Patient) -> None:
    page = new_page(viewport={"width": 320, "height": 640})
    sign_in(page)
    for path in pages(patient):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"


def pages(patient: Patient) -> Iterator[str]:
    start = start_of(patient)
    yield from ("/calls", "/calls?later", "/calls/1", start, f"{start}/item/1", f"{start}/item/{N_ITEMS}")
    yield f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/reason"
