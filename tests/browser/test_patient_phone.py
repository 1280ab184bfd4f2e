"""Patient pages on a phone in a real browser: a whole visit with and without scripts, by keyboard, and offline."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Literal
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Response, expect
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.answering import links
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support.engine_visit import Chromium, answer_by_keyboard, give_birth_date_by_keyboard, tab_to
from tests.support.patient_browser import BIRTH_DATE, N_ITEMS, Patient, add_patient
from tests.support.phone_answers import tap_answer
from tests.support.phone_store import wait_for_offline_page, wait_for_sending

pytestmark = pytest.mark.browser

OPTIONS = ["Not at all", "A little bit", "Somewhat", "Quite a bit", "Very much"]


# Pages that are linked from a visit and are not part of answering it.
OTHER_PAGES = {
    "not today": "snooze",
    "not today, without the date of birth": "not-today",
    "how we write": "preferences",
    "privacy": "privacy",
    "accessibility": "accessibility",
    "stop taking part": "withdraw",
    "no more e-mails": "/v/{token}/stop/0123456789ab",
    "no more e-mails came": "stopped",
}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def begin(page: Page, patient: Patient) -> None:
    page.goto(f"/v/{patient.token}")
    for name, value in (("Day", BIRTH_DATE.day), ("Month", BIRTH_DATE.month), ("Year", BIRTH_DATE.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").tap()
    page.wait_for_url("**/item/*")


def goto(page: Page, path: str) -> None:
    """Goes to a page of the visit that `page` shows, such as "item/1", or to an absolute path, after sending."""
    wait_for_sending(page)
    page.goto(urljoin(f"{page.url.partition('/visit/')[0]}/visit/{page.url.split('/')[4]}/", path))


def answer_to_the_end(page: Page) -> None:
    for number in range(1, N_ITEMS + 1):
        expect(page).to_have_title(f"Question {number} of {N_ITEMS}: {page.get_by_role('heading').inner_text()}")
        tap_answer(page, 2)
        page.wait_for_url("**/review" if number == N_ITEMS else f"**/item/{number + 1}")


def sent_responses(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(QuestionnaireResponse)) or 0


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_whole_visit_on_a_phone(
    new_page: Callable[..., Page], session: Session, patient: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    begin(page, patient)
    assert patient.token not in page.url
    answer_to_the_end(page)
    page.get_by_role("button", name="Send my answers").first.tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("We have your answers")
    assert sent_responses(session) == 5


def token_of_a_message(session: Session, patient: Patient, clock: Clock) -> str:
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    message_id = session.scalars(select(Message.id).order_by(Message.send_at).limit(1)).one()
    token = links.issue(session, patient.visit.id, now=clock.now, message_id=message_id)
    session.commit()
    return token


def test_a_second_tap_on_a_reason_presses_nothing_on_the_next_page(
    phone: Page, session: Session, clock: Clock, patient: Patient
) -> None:
    phone.goto(f"/v/{token_of_a_message(session, patient, clock)}/later")
    reason = phone.get_by_role("button", name="No time")  # where the next page has a button
    box = reason.bounding_box()
    assert box is not None
    reason.tap()
    phone.wait_for_function("() => document.querySelector('h1').innerText === 'We will come back'")
    phone.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(phone.locator("main.is-changing")).to_have_count(0)
    phone.wait_for_load_state("networkidle")
    expect(phone.get_by_role("heading", level=1)).to_have_text("We will come back")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_not_today_takes_two_taps_from_the_message(
    new_page: Callable[..., Page], session: Session, clock: Clock, patient: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    page.goto(f"/v/{token_of_a_message(session, patient, clock)}/later")
    page.get_by_role("button", name="Too tired").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("We will come back")
    with page.expect_download() as download:
        page.get_by_role("link", name="Add the day to your calendar").tap()
    assert download.value.suggested_filename == "questions.ics"
    page.get_by_role("button", name="Undo: write to me as planned").tap()
    expect(page.get_by_role("main")).to_contain_text("You took back “not today”.")


def test_every_page_passes_axe_in_each_appearance(phone: Page, patient: Patient) -> None:
    for name in pages_of_a_visit(phone, patient):
        phone.wait_for_load_state()  # styles and scripts, too
        for appearance, (scheme, changed, back) in APPEARANCES.items():
            phone.emulate_media(color_scheme=scheme)
            phone.evaluate(changed)
            found = Axe().run(phone)
            assert found.violations_count == 0, f"{name}, {appearance}: {found.generate_report()}"
            phone.evaluate(back)


# Color scheme, and what is done to the page before and after it is looked at.
ROOT = "document.documentElement"
APPEARANCES: dict[str, tuple[Literal["light", "dark"], str, str]] = {
    "light": ("light", "", ""),
    "dark": ("dark", "", ""),
    "right to left": ("light", f"{ROOT}.dir = 'rtl'", f"{ROOT}.dir = 'ltr'"),
    "200 % text": ("light", f"{ROOT}.style.fontSize = '200%'", f"{ROOT}.style.fontSize = ''"),
    "higher contrast": ("dark", f"{ROOT}.classList.add('is-contrast')", f"{ROOT}.classList.remove('is-contrast')"),
}


@pytest.mark.parametrize(("width", "height"), [(320, 640), (180, 370)], ids=["320 px", "360 px at 200 %"])
def test_no_page_scrolls_sideways(new_page: Callable[..., Page], patient: Patient, width: int, height: int) -> None:
    page = new_page(**{**PHONE, "viewport": {"width": width, "height": height}})
    for name in pages_of_a_visit(page, patient):
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_every_target_is_44_pixels_high(phone: Page, patient: Patient) -> None:
    for name in pages_of_a_visit(phone, patient):
        for target in phone.locator("button, .govuk-radios__item, .review a, .govuk-back-link, input[type=text]").all():
            box = target.bounding_box()
            assert box is not None
            assert box["height"] >= 44, (name, target.inner_text())


def pages_of_a_visit(page: Page, patient: Patient) -> Iterator[str]:
    """Opens every kind of page in turn, and yields its name."""
    page.goto(f"/v/{patient.token}")
    yield "start"
    page.get_by_role("button", name="Continue").tap()
    page.get_by_role("alert").wait_for()
    yield "start with an error"
    begin(page, patient)
    yield "item"
    for name, path in OTHER_PAGES.items():
        goto(page, path.format(token=patient.token))
        yield name
    goto(page, "")
    page.get_by_role("button", name="Save and continue").tap()
    page.get_by_role("alert").wait_for()
    yield "item with an error"
    page.get_by_role("button", name="I would rather not answer this").tap()
    page.wait_for_url("**/item/2")
    goto(page, f"item/{N_ITEMS}")
    yield "numeric item"
    goto(page, "review")
    yield "review"
    page.get_by_role("button", name="Send my answers").first.tap()
    page.wait_for_url("**/sent")
    yield "thank-you"
    goto(page, "")
    yield "already answered"
    page.goto("/v/unknown")
    yield "unknown link"


def test_a_question_reads_as_a_group_of_radio_buttons_under_its_heading(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    expect(phone.get_by_role("main")).to_match_aria_snapshot("""
    - main:
      - paragraph: Question 1 of 34 about 7 min left
      - group /Please think about the past 7 days\\. .+/:
        - heading [level=1]
        - radio "Not at all"
        - text: Not at all
        - radio "A little bit"
        - text: A little bit
        - radio "Somewhat"
        - text: Somewhat
        - radio "Quite a bit"
        - text: Quite a bit
        - radio "Very much"
        - text: Very much
      - button "Save and continue"
      - button "I would rather not answer this"
      - checkbox "Go on as soon as I tap an answer" [checked]
      - text: Go on as soon as I tap an answer
    """)


def test_a_numeric_question_names_both_ends(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    goto(phone, f"item/{N_ITEMS}")
    group = phone.get_by_role("group")
    expect(group).to_have_accessible_description("0 No pain 10 The strongest pain you can imagine")
    expect(group.get_by_role("radio")).to_have_count(11)


@pytest.mark.parametrize("typed", [("27th", "September", "1975"), ("27.", "septiembre", "'75")])
def test_the_boxes_of_the_birth_date_take_what_people_type(
    phone: Page, session: Session, clock: Clock, typed: Sequence[str]
) -> None:
    patient = add_patient(session, clock.now, birth_date=date(1975, 9, 27))
    phone.goto(f"/v/{patient.token}")
    for name, text in zip(("Day", "Month", "Year"), typed, strict=True):
        phone.get_by_label(name, exact=True).press_sequentially(text)
    phone.get_by_role("button", name="Continue").tap()
    expect(phone.get_by_text(f"Question 1 of {N_ITEMS}")).to_be_visible()


def test_an_error_takes_the_focus_and_leads_to_the_first_option(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    phone.get_by_role("button", name="Save and continue").tap()
    expect(phone.locator("[data-module=govuk-error-summary]")).to_be_focused()
    phone.get_by_role("alert").get_by_role("link").tap()
    expect(phone.get_by_role("radio").first).to_be_focused()
    expect(phone.get_by_role("group")).to_have_accessible_description(
        'Error: Choose an answer, or press "I would rather not answer this".'
    )


def test_items_are_answered_by_keyboard_and_never_advance_without_the_button(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    phone.get_by_role("radio").first.focus()
    phone.keyboard.press("ArrowDown")
    phone.keyboard.press("ArrowDown")
    expect(phone.get_by_role("radio", name=OPTIONS[2])).to_be_checked()
    assert phone.url.endswith("/item/1")
    phone.keyboard.press("Tab")
    expect(phone.get_by_role("button", name="Save and continue")).to_be_focused()
    phone.keyboard.press("Enter")
    phone.wait_for_url("**/item/2")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_whole_visit_by_keyboard_alone(
    new_page: Callable[..., Page], session: Session, patient: Patient, script: bool
) -> None:
    page = new_page(**PHONE, java_script_enabled=script)
    page.goto(f"/v/{patient.token}")
    engine = Chromium(page)
    give_birth_date_by_keyboard(engine)
    tab_to(engine, "main form .button")
    page.keyboard.press("Enter")
    for number in range(1, N_ITEMS + 1):
        answer_by_keyboard(engine, number)
    page.wait_for_url("**/review")
    tab_to(engine, "form[data-keep] button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert sent_responses(session) == 5


def test_the_second_question_stands_where_the_first_one_did(phone: Page, patient: Patient) -> None:
    begin(phone, patient)
    first = phone.locator(".progress-label").bounding_box()
    tap_answer(phone, 2)
    phone.wait_for_url("**/item/2")
    assert phone.locator(".progress-label").bounding_box() == first


def test_two_quick_taps_send_one_answer_and_one_record(phone: Page, session: Session, patient: Patient) -> None:
    begin(phone, patient)
    phone.get_by_role("radio").first.dblclick()
    phone.wait_for_url("**/item/2")
    goto(phone, "review")
    phone.get_by_role("button", name="Send my answers").first.dblclick()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert sent_responses(session) == 5


def test_the_first_page_loads_at_most_60_kb_and_later_pages_15_kb(phone: Page, patient: Patient) -> None:
    traffic = TrafficMeter(phone.context)
    begin_at = f"/v/{patient.token}"
    phone.goto(begin_at, wait_until="networkidle")
    assert traffic.take_bytes() <= 60_000
    begin(phone, patient)
    wait_for_offline_page(phone)
    assert traffic.take_bytes() <= 60_000  # with all that the visit needs without a connection
    for path in ("item/2", f"item/{N_ITEMS}"):
        goto(phone, path)
        phone.wait_for_load_state("networkidle")
        assert traffic.take_bytes() <= 15_000, path
    tap_answer(phone, 0)
    phone.wait_for_url("**/review", wait_until="networkidle")
    assert traffic.take_bytes() <= 15_000


class TrafficMeter:
    """Counts the bytes of all responses of a browser context, headers included."""

    def __init__(self, context: BrowserContext) -> None:
        self.responses: list[Response] = []
        context.on("response", lambda response: self.responses.append(response))  # noqa: PLW0108  a built-in cannot be a handler

    def take_bytes(self) -> int:
        """Returns the bytes received since the last call."""
        # What the service worker passes on is counted where it came from the network.
        from_network = [response for response in self.responses if not response.from_service_worker]
        sizes = [response.request.sizes() for response in from_network]
        self.responses.clear()
        return sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
