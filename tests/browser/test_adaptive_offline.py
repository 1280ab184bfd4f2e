"""An adaptive test on a phone that loses the network: its fixed form is asked instead, to the end.

A visit asks pain (1 item), the test (synthetic; up to 12 items), roles (4 items). The form has 8 items.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.response import QuestionnaireResponse
from tests.browser.test_offline_answers import begin, stored, waits_until
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.adaptive_instrument import CODE, PROTOCOL
from tests.support.bad_connection import Line, Network
from tests.support.patient_browser import Patient, add_patient
from tests.support.phone_answers import send_what_waits, tap_answer
from tests.support.phone_store import wait_for_offline_page

pytestmark = pytest.mark.browser

FORM = "promis-fatigue-8a"
N_ITEMS = 13  # with the form


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, clock: Clock) -> Patient:
    adaptive_instrument.install(tmp_path, monkeypatch)
    return add_patient(session, clock.now, protocol=PROTOCOL)


def is_at(page: Page, number: int, of: str = f"of {N_ITEMS}") -> None:
    expect(page.get_by_text(f"Question {number} {of}", exact=True)).to_be_visible(timeout=20_000)


def is_asked_by_test(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Example question TIRED\d+\?"))


def answer_form(page: Page, first: int, last: int) -> None:
    """Answers the questions from one number to another, of the form and of what follows it."""
    for number in range(first, last + 1):
        is_at(page, number)
        expect(page.get_by_text("Example question")).to_have_count(0)
        tap_answer(page, 2)


def send(page: Page) -> None:
    page.wait_for_url("**/review")
    expect(page.get_by_role("listitem")).to_have_count(N_ITEMS)
    page.get_by_role("button", name="Send my answers").first.tap()


def filed(session: Session) -> dict[str, tuple[str, str | None]]:
    session.rollback()
    rows = session.scalars(select(QuestionnaireResponse))
    return {row.instrument_code: (row.status, row.stop_reason) for row in rows}


def test_a_test_met_without_a_connection_is_asked_as_its_fixed_form(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    is_at(phone, 1, "of up to 17")
    network.set(Line.CUT)
    tap_answer(phone, 4)
    answer_form(phone, 2, N_ITEMS)
    send(phone)
    expect(phone.get_by_role("status")).to_contain_text("You can close this page")
    assert filed(session) == {}
    network.set(Line.WORKS)
    send_what_waits(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you", timeout=40_000)
    assert filed(session)[FORM] == ("completed", None)
    assert filed(session)[CODE] == ("stopped", "other-form")
    assert len(filed(session)) == 4


def test_a_connection_that_is_back_before_the_form_was_begun_leads_to_the_test(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    network.set(Line.CUT)
    tap_answer(phone, 4)
    is_at(phone, 2)
    expect(phone.get_by_text("of up to 17")).to_have_count(0)
    network.set(Line.WORKS)
    send_what_waits(phone)
    is_at(phone, 2, "of up to 17")
    is_asked_by_test(phone)
    assert FORM not in stored(session, patient)


def test_a_form_that_was_begun_goes_on_after_the_connection_is_back(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    network.set(Line.CUT)
    tap_answer(phone, 4)
    answer_form(phone, 2, 4)
    is_at(phone, 5)
    network.set(Line.WORKS)
    waits_until(lambda: len(stored(session, patient).get(FORM, {})) == 3, phone)
    answer_form(phone, 5, 5)
    is_at(phone, 6)
    waits_until(lambda: len(stored(session, patient)[FORM]) == 4, phone)
    phone.reload()
    answer_form(phone, 6, N_ITEMS)
    send(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert filed(session)[FORM] == ("completed", None)
    assert filed(session)[CODE] == ("stopped", "other-form")


def test_a_connection_lost_in_the_middle_of_the_test_leads_to_its_form(
    phone: Page, session: Session, patient: Patient, network: Network
) -> None:
    begin(phone, patient)
    wait_for_offline_page(phone)
    tap_answer(phone, 4)
    for number in (2, 3):
        is_at(phone, number, "of up to 17")
        is_asked_by_test(phone)
        phone.wait_for_load_state("networkidle")
        tap_answer(phone, 2)
    is_at(phone, 4, "of up to 17")
    phone.wait_for_load_state("networkidle")
    network.set(Line.CUT)
    tap_answer(phone, 2)
    answer_form(phone, 2, 3)
    is_at(phone, 4)
    phone.reload()
    is_at(phone, 4)
    network.set(Line.WORKS)
    waits_until(lambda: len(stored(session, patient).get(FORM, {})) == 2, phone)
    answer_form(phone, 4, N_ITEMS)
    send(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert filed(session)[FORM] == ("completed", None)
    given = session.scalars(select(QuestionnaireResponse.answers).filter_by(instrument_code=CODE)).one()
    assert [value for value in given.values() if value is not None] == [3, 3, 3]


def test_with_a_connection_the_test_is_asked_and_one_can_go_back_in_it(
    phone: Page, session: Session, patient: Patient
) -> None:
    begin(phone, patient)
    tap_answer(phone, 4)
    is_at(phone, 2, "of up to 17")
    is_asked_by_test(phone)
    phone.wait_for_load_state("networkidle")
    tap_answer(phone, 2)
    is_at(phone, 3, "of up to 17")
    phone.wait_for_load_state("networkidle")
    phone.get_by_role("link", name="Back").tap()
    is_at(phone, 2, "of up to 17")
    expect(phone.get_by_role("radio").nth(2)).to_be_checked()
    while "/review" not in phone.url:
        phone.wait_for_load_state("networkidle")
        before = phone.get_by_role("heading", level=1).text_content() or ""
        tap_answer(phone, 2)
        expect(phone.get_by_role("heading", level=1)).not_to_have_text(before)
    phone.get_by_role("button", name="Send my answers").first.tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert set(filed(session)) == {"pain-intensity-nrs", CODE, "promis-satisfaction-social-roles-4a"}
    assert filed(session)[CODE] == ("completed", None)
