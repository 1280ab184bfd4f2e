"""Staff pages on a desktop in a real browser: enrolment, infusions, trend and accounts, for each role."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import WebhookCountKind
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import calls
from pro_tracker.services.contacts import contacts
from pro_tracker.services.operations import webhook_counts
from tests.conftest import Clock
from tests.servers.browser import DESKTOP
from tests.support.course_builder import COORDINATOR, add_subject, record_infusions
from tests.support.history_builder import FATIGUE, PCS, PI, answer_visit, course_of, visit_of
from tests.support.staff_browser import PASSWORD, add_account
from tests.support.staff_pages import sign_in

pytestmark = pytest.mark.browser

FIRST_ON = date(2026, 2, 2)


@pytest.fixture
def history(session: Session, clock: Clock) -> Subject:
    """A subject with an answered baseline, five infusions and better scores after the last; an account for each role.

    A second subject without contacts waits for a call.
    """
    for role in ("coordinator", "clinician", "researcher", "administrator"):
        add_account(session, role)
    enrolled_at = datetime(2026, 1, 26, 17, tzinfo=UTC)
    subject = add_subject(
        session, enrolled_at, planned_start_on=FIRST_ON, enrolled_on=date(2026, 1, 26), consent_on=date(2026, 1, 26)
    )
    answer_visit(session, visit_of(session, subject, "baseline"), enrolled_at, {PI: 4, FATIGUE: 3, PCS: 2})
    given_at = datetime(2026, 2, 6, 20, tzinfo=UTC)
    record_infusions(
        session, course_of(session, subject), given_at, *(FIRST_ON + timedelta(days=day) for day in range(5))
    )
    after = datetime(2026, 2, 7, 20, tzinfo=UTC)
    answer_visit(session, visit_of(session, subject, "last-infusion"), after, {PI: 2, FATIGUE: 3, PCS: 1})
    waiting = add_subject(session, clock.now, planned_start_on=date(2026, 3, 6), email="", mobile="")
    calls.open_due(session, now=clock.now)
    assert waiting.contacts == []
    contacts.close(session, subject.contacts[0], ContactState.BOUNCED, now=clock.now, actor=COORDINATOR)
    webhook_counts.count(session, "twilio", WebhookCountKind.FORGED, now=clock.now)
    session.commit()
    return subject


def fill_date(page: Page, legend: str, on: date) -> None:
    group = page.get_by_role("group", name=legend)
    for part, value in (("Day", on.day), ("Month", on.month), ("Year", on.year)):
        group.get_by_label(part).fill(str(value))


def enrol(page: Page) -> None:
    page.get_by_role("link", name="Patients").click()
    page.get_by_role("link", name="Enroll a patient").click()
    page.get_by_label("Record number").fill("MRN-500")
    page.get_by_label("Given name").fill("Wren")
    page.get_by_label("Family name").fill("Trial")
    fill_date(page, "Date of birth", date(1980, 5, 17))
    page.get_by_label("Female").check()
    page.get_by_label("E-mail address").fill("wren@patients.example")
    page.get_by_label("Version of the consent form").fill("2026-01")
    fill_date(page, "Date of consent", date(2026, 3, 1))
    fill_date(page, "Planned date of the first infusion", date(2026, 3, 2))
    page.get_by_role("button", name="Enroll").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wren Trial")


def test_a_coordinator_enrols_a_patient_and_records_the_first_infusion(desktop: Page, history: Subject) -> None:
    sign_in(desktop, "coordinator")
    enrol(desktop)
    desktop.get_by_role("link", name="Record an infusion").click()
    desktop.get_by_label("Dose in mg per kg").fill("0,5")
    desktop.get_by_label("Weight in kg").fill("70")
    desktop.get_by_label("Duration in minutes").fill("40")
    desktop.get_by_role("radio", name="Completed").check()
    desktop.get_by_role("radio", name="Yes: as marked below").check()
    desktop.get_by_text("Another adverse event").first.click()
    desktop.get_by_label("What happened").first.fill("nausea")
    desktop.get_by_label("CTCAE grade").first.select_option("1")
    desktop.get_by_label("Did someone have to respond at once").first.select_option("no")
    desktop.get_by_role("button", name="Record the infusion").click()
    summary = desktop.get_by_role("alert")
    expect(summary).to_contain_text("Enter a number, with a point if needed")
    summary.get_by_role("link").first.click()
    dose = desktop.get_by_label("Dose in mg per kg")
    expect(dose).to_be_focused()
    expect(dose).to_have_value("0,5")
    expect(dose).to_have_accessible_description("Error: Enter a number, with a point if needed: 0.5.")
    dose.fill("0.5")
    dose.press("Enter")  # sends the form, although the first visible button adds a row
    # Today's message is held until the morning after the infusion, which the preview shows before it is saved.
    expect(desktop.get_by_role("heading", level=1)).to_have_text("What changes: Wren Trial")
    desktop.get_by_role("button", name="Save").click()
    expect(desktop.get_by_role("status")).to_contain_text("The infusion is recorded.")
    expect(desktop.get_by_role("cell", name="nausea, grade 1")).to_be_visible()


def test_a_clinician_reads_the_trend_from_the_worklist_in_two_clicks(desktop: Page, history: Subject) -> None:
    sign_in(desktop, "clinician")
    expect(desktop.get_by_role("heading", level=1)).to_have_text("Who needs me now?")
    desktop.get_by_role("link", name="Patients").click()
    desktop.get_by_role("link", name="Zoë Demo").first.click()
    row = desktop.get_by_role("row", name="Pain interference T-score")
    expect(row).to_contain_text("Better")
    row.get_by_role("link").click()
    drawing = desktop.get_by_role("img", name="Pain interference")
    expect(drawing).to_be_in_viewport()
    sentence = "Last infusion: Pain interference fell 11.1 points since baseline, beyond measurement error: better."
    expect(drawing).to_have_accessible_description(f"{sentence} The table below holds the numbers.")
    expect(desktop.get_by_text(sentence, exact=True)).to_be_visible()
    expect(desktop.get_by_role("link", name="Withdraw")).to_have_count(0)


def test_a_clinician_records_a_drug_alongside_ends_it_and_records_liver_tests(desktop: Page, history: Subject) -> None:
    sign_in(desktop, "clinician")
    desktop.goto(f"/subjects/{history.id}")
    desktop.get_by_role("link", name="Record another treatment").click()
    desktop.get_by_label("Drug", exact=True).check()
    desktop.get_by_label("Name", exact=True).fill("Gabapentin")
    desktop.get_by_label("Dose, each time (optional)").fill("300")
    desktop.get_by_label("Unit of the dose").fill("mg")
    desktop.get_by_label("How often").select_option("Three times a day")
    fill_date(desktop, "Day on which it began", date(2025, 11, 3))
    desktop.get_by_role("button", name="Record the treatment").click()
    expect(desktop.get_by_role("status")).to_contain_text("The other treatment is recorded.")
    expect(desktop.get_by_role("cell", name="since Nov 3, 2025")).to_be_visible()

    desktop.get_by_role("link", name="Correct or end Gabapentin").click()
    fill_date(desktop, "Day on which it ended", date(2026, 2, 20))
    desktop.get_by_label("Why is it corrected?").fill("it ended")
    desktop.get_by_role("button", name="Correct the treatment").click()
    expect(desktop.get_by_role("cell", name="Nov 3, 2025 to Feb 20, 2026")).to_be_visible()

    desktop.get_by_role("link", name="Record liver tests").click()
    desktop.get_by_label("Normal", exact=True).check()
    desktop.get_by_role("button", name="Record the liver tests").click()
    expect(desktop.get_by_text(": Normal")).to_be_visible()
    assert Axe().run(desktop).violations_count == 0


def test_every_page_passes_axe_in_light_and_dark_mode(desktop: Page, history: Subject) -> None:
    for path in pages_of_all_roles(desktop, history):
        desktop.emulate_media(color_scheme="light")
        found = Axe().run(desktop)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
        desktop.emulate_media(color_scheme="dark")
        found = Axe().run(desktop, options={"runOnly": ["color-contrast"]})  # only colours differ
        assert found.violations_count == 0, f"{path} in the dark\n{found.generate_report()}"


def test_no_page_scrolls_sideways_at_320_pixels(new_page: Callable[..., Page], history: Subject) -> None:
    page = new_page(viewport={"width": 320, "height": 640})
    for path in pages_of_all_roles(page, history):
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_the_pages_work_without_script(new_page: Callable[..., Page], history: Subject) -> None:
    page = new_page(**DESKTOP, java_script_enabled=False)
    sign_in(page, "coordinator")
    enrol(page)
    expect(page.get_by_text("is enrolled.")).to_be_visible()


def pages_of_all_roles(page: Page, subject: Subject) -> Iterator[str]:
    """Opens the pages of each role in its own session, and yields their paths."""
    page.goto("/sign-in")
    yield "/sign-in"
    for account, paths in pages(subject).items():
        sign_in(page, account)
        for path in paths:
            page.goto(path)
            yield path
        page.get_by_role("button", name="Sign out").click()


def pages(subject: Subject) -> dict[str, list[str]]:
    own = f"/subjects/{subject.id}"
    return {
        "coordinator": [
            "/worklist",
            "/subjects",
            "/subjects/new",
            own,
            f"{own}/infusions/new",
            f"{own}/infusions/1",
            f"{own}/course",
            f"{own}/pauses",
            f"{own}/contacts",
            f"{own}/texts",
            "/messages",
            f"{own}/withdraw",
            f"{own}/other-treatments/new",
            f"{own}/liver-tests/new",
            "/calls",
            "/calls/1",
            "/no-such-page",
        ],
        "researcher": ["/instruments", "/instruments/promis-fatigue-8a", "/instruments/promis-global-health"],
        "administrator": ["/accounts", "/accounts/new", "/reports"],
    }


def test_a_wrong_password_keeps_the_address_and_says_what_to_do(desktop: Page, history: Subject) -> None:
    desktop.goto("/sign-in")
    desktop.get_by_label("E-mail address").fill("coordinator@clinic.example")
    desktop.get_by_label("Password").fill("something else entirely")
    desktop.get_by_role("button", name="Sign in").click()
    expect(desktop.get_by_role("alert")).to_contain_text("The address or the password is not right.")
    expect(desktop.get_by_label("E-mail address")).to_have_value("coordinator@clinic.example")
    expect(desktop.get_by_label("Password")).to_have_value("")


def test_an_administrator_adds_an_account_that_can_sign_in(desktop: Page, history: Subject) -> None:
    sign_in(desktop, "administrator")
    desktop.get_by_role("link", name="New account").click()
    desktop.get_by_label("E-mail address").fill("new@clinic.example")
    desktop.get_by_label("Name", exact=True).fill("New Person")
    desktop.get_by_label("Clinician").check()
    desktop.get_by_label("North Clinic").check()
    desktop.get_by_label("Password").fill("short")
    desktop.get_by_role("button", name="Create the account").click()
    expect(desktop.get_by_role("alert")).to_contain_text("at least 15 characters")
    expect(desktop.get_by_label("Clinician")).to_be_checked()
    desktop.get_by_label("Password").fill(PASSWORD)
    desktop.get_by_role("button", name="Create the account").click()
    expect(desktop.get_by_role("cell", name="new@clinic.example")).to_be_visible()
    desktop.get_by_role("button", name="Sign out").click()
    sign_in(desktop, "new")
    expect(desktop.get_by_role("heading", level=1)).to_have_text("Who needs me now?")
