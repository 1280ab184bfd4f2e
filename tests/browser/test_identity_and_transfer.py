"""Corrected birth dates and transfers in a real browser: the patient gets in, the former clinic reads no name."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.servers.browser import DESKTOP
from tests.support.history_builder import FATIGUE, PI, answer_visit, treated, visit_of
from tests.support.patient_browser import BIRTH_DATE, Patient, add_patient
from tests.support.staff_browser import PASSWORD, add_account, add_site
from tests.support.staff_pages import sign_in

pytestmark = pytest.mark.browser
NARROW = {"viewport": {"width": 320, "height": 900}}


def check(page: Page) -> None:
    """Fails for what axe finds on the page, and for a page that is wider than the screen."""
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    """A patient whose birth month was mistyped; a coordinator has an account."""
    add_account(session, "coordinator")
    return add_patient(session, clock.now, birth_date=BIRTH_DATE.replace(month=2))


def give_birth_date(page: Page) -> None:
    page.get_by_label("Month").fill("March")
    page.get_by_label("Day").fill("27")
    page.get_by_label("Year").fill("1975")
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize(("script", "screen"), [(True, DESKTOP), (False, NARROW)])
def test_a_birth_date_is_corrected_and_the_patient_gets_in_by_the_same_link(
    new_page: Callable[..., Page], patient: Patient, script: bool, screen: dict[str, object]
) -> None:
    phone = new_page(**NARROW)
    phone.goto(f"/v/{patient.token}")
    give_birth_date(phone)
    expect(phone.get_by_text("This does not match the date of birth we have.").first).to_be_visible()

    staff = new_page(**screen, java_script_enabled=script)
    sign_in(staff, "coordinator")
    staff.goto(f"/subjects/{patient.visit.subject_id}")
    staff.get_by_role("link", name="Correct identity").click()
    if script:
        check(staff)
    staff.get_by_label("Month").first.fill("3")
    staff.get_by_label("Why is this corrected?").fill("The month was mistyped at enrolment.")
    staff.get_by_role("button", name="Show what changes").click()
    expect(staff.get_by_role("cell", name="Feb 27, 1975")).to_be_visible()
    expect(staff.get_by_role("cell", name="Mar 27, 1975")).to_be_visible()
    if script:
        check(staff)
    staff.get_by_role("button", name="Save").click()
    expect(staff.get_by_text("The identity is corrected.")).to_be_visible()
    staff.get_by_role("link", name="Did we ask?").click()
    expect(staff.get_by_text("Date of birth before:")).to_be_visible()

    phone.goto(f"/v/{patient.token}")
    give_birth_date(phone)
    phone.wait_for_url("**/item/1")


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A patient of North with scores before and after the infusions; accounts of North and South."""
    add_site(session, "south")
    add_account(session, "coordinator")
    add_account(session, "coordinator", "south", email="south@clinic.example")
    found = treated(session, date(2026, 2, 25), clock.now, family_name="Geheim")
    before = clock.now - timedelta(days=6)
    answer_visit(session, visit_of(session, found, "baseline"), before, {PI: 4, FATIGUE: 3})
    answer_visit(session, visit_of(session, found, "last-infusion"), clock.now, {PI: 2, FATIGUE: 2})
    session.commit()
    return found


def test_a_patient_is_transferred_and_the_former_clinic_reads_without_the_name(
    new_page: Callable[..., Page], subject: Subject
) -> None:
    north = new_page(**DESKTOP)
    sign_in(north, "coordinator")
    north.goto(f"/subjects/{subject.id}")
    north.get_by_role("link", name="Transfer to another clinic").click()
    check(north)
    north.get_by_label("South Clinic").check()
    north.get_by_label("Why does the patient go there?").fill("moved to another town")
    north.get_by_role("button", name="Show what changes").click()
    check(north)
    north.get_by_role("button", name="Save").click()
    expect(north.get_by_role("heading", name=subject.study_code)).to_be_visible()
    expect(north.get_by_text("Geheim")).to_have_count(0)
    check(north)
    north.get_by_role("link", name="Transferred to another clinic").click()
    check(north)
    north.goto("/subjects")

    south = new_page(**NARROW)
    south.goto("/")
    south.get_by_label("E-mail address").fill("south@clinic.example")
    south.get_by_label("Password").fill(PASSWORD)
    south.get_by_role("button", name="Sign in").click()
    south.goto(f"/subjects/{subject.id}")
    expect(south.get_by_role("heading", name="Geheim")).to_be_visible()
    expect(south.get_by_text("begun at North Clinic")).to_be_visible()
