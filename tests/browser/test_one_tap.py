"""One tap a question: it saves and goes on, no second tap counts, and who does not want it turns it off."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from tests.browser.test_offline_answers import begin, stored, waits_until
from tests.conftest import Clock
from tests.support.patient_browser import N_ITEMS, PAIN, Patient, add_patient

pytestmark = pytest.mark.browser

TAP_AFTER = 370  # milliseconds: how soon a second tap was seen to answer the next question


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_a_visit_takes_one_tap_a_question_and_one_to_send(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    for number in range(1, N_ITEMS + 1):
        phone.get_by_role("radio").nth(1).tap()
        phone.wait_for_url("**/review" if number == N_ITEMS else f"**/item/{number + 1}")
    phone.get_by_role("button", name="Send my answers").first.tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")


def test_a_second_tap_during_the_change_of_screen_answers_nothing(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    box = phone.get_by_role("radio").nth(3).bounding_box()
    assert box is not None
    phone.touchscreen.tap(box["x"] + 20, box["y"] + 20)
    phone.wait_for_timeout(TAP_AFTER)
    phone.touchscreen.tap(box["x"] + 20, box["y"] + 20)
    phone.wait_for_timeout(500)
    expect(phone.get_by_text("Question 2 of 34")).to_be_visible()
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [4], phone)


def test_who_turns_it_off_presses_the_button_from_then_on(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    phone.get_by_label("Go on as soon as I tap an answer").uncheck()
    phone.get_by_role("radio").nth(3).tap()
    phone.get_by_role("button", name="Save and continue").tap()
    phone.wait_for_url("**/item/2")
    phone.reload()
    expect(phone.get_by_label("Go on as soon as I tap an answer")).not_to_be_checked()
    phone.get_by_role("radio").nth(3).tap()
    phone.wait_for_timeout(300)
    assert phone.url.endswith("/item/2")


def test_answers_are_sent_in_groups_and_at_once_when_the_person_leaves(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    posts: list[str] = []
    phone.on("request", lambda request: posts.append(request.url) if request.url.endswith("/answers") else None)
    for number in range(1, 6):
        phone.get_by_role("radio").nth(1).tap()
        phone.wait_for_url(f"**/item/{number + 1}")
    assert posts == []
    phone.goto("about:blank")
    for _ in range(100):
        if len(stored(session, patient).get(PAIN, {})) == 5:
            return
        phone.wait_for_timeout(100)
    raise AssertionError("the answers were not sent")


def test_the_numbers_of_a_scale_stand_in_two_rows_and_fit_large_text(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    phone.goto(phone.url.replace("item/1", f"item/{N_ITEMS}"))
    expect(phone.get_by_text("Now about the past 7 days")).to_be_visible()
    assert rows_of_numbers(phone) == [6, 5]
    phone.evaluate("document.documentElement.style.fontSize = '200%'")
    phone.set_viewport_size({"width": 350, "height": 740})  # a browser looks at the text's size when the page's changes
    phone.wait_for_function(
        "() => [...document.querySelectorAll('.options--scale label')].every((label) =>"
        " label.scrollWidth <= label.clientWidth)"
    )


def rows_of_numbers(page: Page) -> list[int]:
    """Returns the number of numbers in each row, by the height at which they stand."""
    tops = [radio.evaluate("each => each.getBoundingClientRect().top") for radio in page.get_by_role("radio").all()]
    return [tops.count(top) for top in sorted(set(tops))]
