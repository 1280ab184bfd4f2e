"""A phone without a connection: what was answered waits on it and is sent later, and no page says otherwise."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from playwright.sync_api import Error, Page, Route, expect
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.response import QuestionnaireResponse
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support.bad_connection import Line, Network
from tests.support.patient_browser import BIRTH_DATE, N_ITEMS, PAIN, Patient, add_patient, draft
from tests.support.phone_answers import send_what_waits, tap_answer
from tests.support.phone_store import entries, wait_for_offline_page, wait_for_sending

pytestmark = pytest.mark.browser

ANSWERS = "**/answers"
WAITS = "No connection. You can go on: answers wait on this phone "


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def begin(page: Page, patient: Patient) -> None:
    page.goto(f"/v/{patient.token}")
    give_birth_date(page)
    page.wait_for_url("**/item/*")
    page.wait_for_function("navigator.onLine")
    page.wait_for_load_state("networkidle")  # the questions are there


def give_birth_date(page: Page) -> None:
    for name, value in (("Day", BIRTH_DATE.day), ("Month", BIRTH_DATE.month), ("Year", BIRTH_DATE.year)):
        page.get_by_label(name, exact=True).fill(str(value))
    page.get_by_role("button", name="Continue").tap()


def choose(page: Page, number: int, option: int) -> None:
    """Answers the question of this number, which is on the screen, and waits for the next page."""
    tap_answer(page, option)
    page.wait_for_url("**/review" if number == N_ITEMS else f"**/item/{number + 1}")


def waits_until(holds: Callable[[], bool], page: Page) -> None:
    send_what_waits(page)
    for _ in range(100):
        with suppress(Error):  # the page changes
            if holds():
                return
        page.wait_for_timeout(100)
    raise AssertionError("it did not become so within ten seconds")


def stored(session: Session, patient: Patient) -> dict[str, dict[str, int | None]]:
    session.rollback()
    return draft(session, patient)


def sent(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(QuestionnaireResponse)) or 0


def test_a_whole_visit_is_answered_reviewed_and_sent_without_a_connection(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    phone.context.set_offline(True)
    for number in range(1, N_ITEMS + 1):
        choose(phone, number, number % 4)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}({N_ITEMS})")
    expect(phone.get_by_role("listitem")).to_have_count(N_ITEMS)
    expect(phone.get_by_role("main")).to_contain_text("Your answers wait on this phone. They are not sent yet.")
    phone.get_by_role("button", name="Send my answers").first.tap()
    whats_where = f"Answers on this phone: {N_ITEMS}. Answers sent: 0. You can close this page"
    expect(phone.get_by_role("status")).to_contain_text(whats_where)
    assert (stored(session, patient), sent(session)) == ({}, 0)
    phone.context.set_offline(False)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert sent(session) == 5
    phone.wait_for_load_state()
    assert [entries(phone, store) for store in ("answers", "keys", "questions")] == [[], [], []]


def test_an_answer_that_was_changed_and_the_press_of_send_are_no_more_answers(
    phone: Page, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    choose(phone, 1, 1)
    choose(phone, 2, 1)
    wait_for_sending(phone)
    network.set(Line.CUT)
    choose(phone, 3, 1)
    phone.get_by_role("link", name="Back").click()
    choose(phone, 3, 2)
    send_what_waits(phone)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}(1)")
    phone.goto(phone.url.replace("item/4", "review"))
    phone.get_by_role("button", name="Send my answers").first.tap()
    expect(phone.get_by_role("status")).to_contain_text("Answers on this phone: 1. Answers sent: 2. You can close")


@pytest.mark.parametrize("failure", ["no network", "bad gateway", "captive portal", "redirect"])
def test_whatever_a_bad_connection_answers_the_patient_goes_on_and_nothing_is_lost(
    phone: Page, session: Session, patient: Patient, failure: str
) -> None:
    begin(phone, patient)
    phone.route(ANSWERS, REPLIES[failure])
    choose(phone, 1, 2)
    send_what_waits(phone)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}(1)")
    choose(phone, 2, 3)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}(2)")
    phone.unroute(ANSWERS)
    expect(phone.get_by_role("status")).to_have_text("Connected again. All your answers are saved.", timeout=15_000)
    assert list(stored(session, patient)[PAIN].values()) == [3, 4]


REPLIES: dict[str, Callable[[Route], None]] = {
    "no network": lambda route: route.abort("internetdisconnected"),
    "bad gateway": lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>", content_type="text/html"),
    "captive portal": lambda route: route.fulfill(status=200, body="<h1>Welcome</h1>", content_type="text/html"),
    "redirect": lambda route: route.fulfill(status=302, headers={"Location": "https://hotel.example/"}),
}


def test_a_request_that_hangs_is_cut_off_and_tried_again(phone: Page, session: Session, patient: Patient) -> None:
    begin(phone, patient)
    phone.route(ANSWERS, lambda _route: None)
    choose(phone, 1, 2)
    send_what_waits(phone)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}(1)", timeout=12_000)
    phone.wait_for_timeout(3500)  # the next attempt hangs, too
    choose(phone, 2, 3)
    expect(phone.get_by_role("status")).to_contain_text(f"{WAITS}(2)", timeout=3000)
    phone.unroute(ANSWERS)
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [3, 4], phone)


def test_who_changes_their_mind_while_answers_wait_has_the_last_one_stored(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    phone.context.set_offline(True)
    choose(phone, 1, 4)
    phone.get_by_role("link", name="Back").tap()
    expect(phone.get_by_role("radio").nth(4)).to_be_checked()
    choose(phone, 1, 1)
    phone.get_by_role("button", name="I would rather not answer this").tap()
    phone.wait_for_url("**/item/3")
    phone.context.set_offline(False)
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [2, None], phone)


def test_answers_outlive_the_tab_and_the_reload(phone: Page, session: Session, patient: Patient) -> None:
    begin(phone, patient)
    phone.route(ANSWERS, REPLIES["no network"])
    choose(phone, 1, 4)
    phone.reload()
    phone.goto(phone.url.replace("item/2", "item/1"), wait_until="networkidle")
    expect(phone.get_by_role("radio").nth(4)).to_be_checked()
    expect(phone.get_by_text(f"Question 1 of {N_ITEMS}")).to_be_visible()
    context = phone.context
    phone.close()
    again = context.new_page()
    again.goto(f"/v/{patient.token}")
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [5], again)


def test_hours_later_the_answers_are_sent_before_the_birth_date_is_given(
    phone: Page, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(phone, patient)
    phone.route(ANSWERS, REPLIES["no network"])
    choose(phone, 1, 4)
    clock.advance(hours=20)
    phone.unroute(ANSWERS)
    phone.goto(f"/v/{patient.token}")
    expect(phone.get_by_role("heading", level=1)).to_have_text("Questions for you")
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [5], phone)


def test_an_answer_that_another_device_gave_later_stays(
    phone: Page, new_page: Callable[..., Page], session: Session, patient: Patient, clock: Clock
) -> None:
    tablet = new_page(**PHONE)
    begin(phone, patient)
    begin(tablet, patient)
    phone.context.set_offline(True)
    choose(phone, 1, 0)
    phone.wait_for_timeout(1500)
    clock.advance(seconds=2)
    choose(tablet, 1, 4)
    waits_until(lambda: list(stored(session, patient).get(PAIN, {}).values()) == [5], tablet)
    phone.context.set_offline(False)
    waits_until(lambda: not entries(phone), phone)
    assert list(stored(session, patient)[PAIN].values()) == [5]


def test_answers_to_a_visit_that_closed_before_are_kept_and_the_page_says_so(
    phone: Page, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(phone, patient)
    phone.context.set_offline(True)
    choose(phone, 1, 4)
    clock.set(patient.visit.closes_at + timedelta(hours=1))
    phone.context.set_offline(False)
    expect(phone.get_by_role("status")).to_contain_text("We kept them for your care team")
    assert stored(session, patient) == {}


def test_the_page_says_that_another_device_sent_the_visit(
    phone: Page, new_page: Callable[..., Page], session: Session, patient: Patient
) -> None:
    tablet = new_page(**PHONE)
    begin(phone, patient)
    begin(tablet, patient)
    choose(tablet, 1, 4)
    waits_until(lambda: not entries(tablet), tablet)
    tablet.goto(tablet.url.replace("item/2", "review"))
    tablet.get_by_role("button", name="Send my answers").first.tap()
    expect(tablet.get_by_role("heading", level=1)).to_have_text("Thank you")
    choose(phone, 1, 0)
    send_what_waits(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("We have your answers")
    expect(phone.get_by_role("status")).to_contain_text("We kept them for your care team")
    assert stored(session, patient) == {}


def test_what_the_phone_keeps_cannot_be_read_and_goes_when_the_visit_is_finished_here(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    phone.context.set_offline(True)
    choose(phone, 1, 4)
    (kept,) = entries(phone)
    assert set(kept) == {"visit", "number", "iv", "data"}
    assert not phone.evaluate(
        """async () => {
            const keys = await new Promise((resolve) => {
                indexedDB.open("visits").onsuccess = (event) =>
                    event.target.result.transaction("keys").objectStore("keys").getAll().onsuccess =
                        (found) => resolve(found.target.result);
            });
            return keys.some((key) => key.extractable);
        }"""
    )
    phone.get_by_role("button", name="Finished on this device").tap()
    expect(phone.get_by_role("status")).to_contain_text("not saved yet")
    phone.context.set_offline(False)
    waits_until(lambda: not entries(phone), phone)
    phone.get_by_role("button", name="Finished on this device").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("You are finished on this device")
    waits_until(lambda: not entries(phone, "keys") and not entries(phone, "questions"), phone)
    assert session.scalars(select(DraftAnswer.value)).all().count(5) == 1


def test_a_phone_without_room_posts_its_forms_and_keeps_the_page_open(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    choose(phone, 1, 2)
    waits_until(lambda: not entries(phone), phone)
    full = "IDBObjectStore.prototype.add = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    phone.evaluate(f"() => {{ {full} }}")
    phone.route("**/item/2", REPLIES["no network"])
    tap_answer(phone, 4)
    expect(phone.get_by_role("status")).to_contain_text("Keep this page open")
    phone.unroute("**/item/2")
    phone.wait_for_url("**/item/3", timeout=15_000)
    assert list(stored(session, patient)[PAIN].values()) == [3, 5]
