"""Patient pages in a script that is read from right to left: the mirror of the others, and nothing is cut off."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from tests.browser.test_offline_answers import begin
from tests.conftest import Clock
from tests.support.patient_browser import N_ITEMS, Patient, add_patient

pytestmark = pytest.mark.browser

MIRROR = "document.documentElement.dir = 'rtl'"


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_pages_mirror_and_nothing_is_wider_than_the_screen(phone: Page, patient: Patient) -> None:
    phone.set_viewport_size({"width": 320, "height": 640})
    phone.goto(f"/v/{patient.token}")
    check(phone)
    begin(phone, patient)
    check(phone)
    assert phone.evaluate(CIRCLE_SIDE) == "right"
    base = phone.url.removesuffix("item/1")
    for path in ("item/9", f"item/{N_ITEMS}", "preferences", "snooze"):
        phone.goto(base + path)
        check(phone)
    phone.goto(f"{base}item/{N_ITEMS}")
    phone.evaluate(MIRROR)
    first, last = phone.get_by_text("0", exact=True).last, phone.get_by_text("5", exact=True)
    assert left_of(last) < left_of(first)
    expect(phone.get_by_text("Now about the past 7 days")).to_be_visible()


# The side of an option on which its circle is drawn.
CIRCLE_SIDE = """() => {
    document.documentElement.dir = "rtl";
    const label = document.querySelector(".govuk-radios__label");
    const circle = getComputedStyle(label, "::before");
    return parseFloat(circle.right) < parseFloat(circle.left) ? "right" : "left";
}"""


def left_of(target: object) -> float:
    box = target.bounding_box()  # type: ignore[attr-defined]
    return float(box["x"])


def check(page: Page) -> None:
    page.wait_for_load_state()
    page.evaluate(MIRROR)
    assert Axe().run(page).response["violations"] == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.url
    page.evaluate("document.documentElement.dir = 'ltr'")
