"""Firefox: whole visits by keyboard alone in Spanish, without scripts, the short way, and on a tablet of the clinic."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy.orm import Session

from tests.browser.test_offline_answers import sent, stored
from tests.conftest import Clock
from tests.servers.engines import ENTER, Engine, firefox, wait_for
from tests.servers.process import wait_until
from tests.support.engine_visit import (
    answer_by_keyboard,
    answer_by_tap,
    give_birth_date,
    give_birth_date_by_keyboard,
    tab_to,
    tap,
    wait_for_heading,
    wait_for_question,
)
from tests.support.patient_browser import N_ITEMS, PAIN, Patient, add_patient
from tests.support.staff_browser import PASSWORD, add_account

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("firefox-esr"), reason="Firefox is not installed: it was NOT tried"),
    pytest.mark.skipif(os.environ.get("PRO_TRACKER_FAULTS") != "full", reason="at full size only: make deep"),
]


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def start_firefox() -> Iterator[Callable[..., Engine]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(firefox(**options))


def test_a_whole_visit_by_keyboard_alone_in_spanish(
    start_firefox: Callable[..., Engine], session: Session, patient: Patient, live_server: str
) -> None:
    engine = start_firefox()
    engine.open(f"{live_server}/v/{patient.token}")
    tab_to(engine, "a[hreflang=es]")
    engine.press(ENTER)
    wait_for(engine, "document.documentElement.lang === 'es'")
    give_birth_date_by_keyboard(engine)
    tab_to(engine, "main form .button")
    engine.press(ENTER)
    for number in range(1, N_ITEMS + 1):
        answer_by_keyboard(engine, number)
    wait_for(engine, f"document.querySelectorAll('.review li').length === {N_ITEMS}")
    tab_to(engine, "form[data-keep] button")
    engine.press(ENTER)
    wait_for_heading(engine, "Gracias")
    assert sent(session) == 5


def test_a_whole_visit_without_scripts(
    start_firefox: Callable[..., Engine], session: Session, patient: Patient, live_server: str
) -> None:
    engine = start_firefox(scripts=False)
    begin(engine, f"{live_server}/v/{patient.token}")
    for number in range(1, N_ITEMS + 1):
        answer_by_tap(engine, number, saves=True)
    wait_for(engine, f"document.querySelectorAll('.review li').length === {N_ITEMS}")
    engine.tap("form[data-keep] button")
    wait_for_heading(engine, "Thank you")
    assert sent(session) == 5


@pytest.mark.usefixtures("shipped_protocols")
def test_only_one_minute(
    start_firefox: Callable[..., Engine], session: Session, patient: Patient, live_server: str
) -> None:
    engine = start_firefox()
    begin(engine, f"{live_server}/v/{patient.token}", button="[name=short]")
    number = 1
    while engine.run("location.pathname.includes('/item/')"):
        answer_by_tap(engine, number)
        number += 1
    wait_for_heading(engine, "Thank you. That was the most important part.")
    engine.run("dispatchEvent(new Event('online'))")
    wait_for(engine, "document.querySelector('[data-kept]').innerText.includes('they count')")
    assert sum(map(len, stored(session, patient).values())) == number - 1


def test_a_question_that_the_browsers_back_returns_to_is_answered_like_any_other(
    start_firefox: Callable[..., Engine], session: Session, patient: Patient, live_server: str
) -> None:
    engine = start_firefox()
    begin(engine, f"{live_server}/v/{patient.token}")
    answer_by_tap(engine, 1)
    answer_by_tap(engine, 2)
    wait_for_question(engine, 3)
    engine.run("location.assign('../privacy')")
    wait_for(engine, "location.pathname.endsWith('/privacy')")
    engine.run("history.back()")
    wait_for_question(engine, 3)
    answer_by_tap(engine, 3)
    wait_for_question(engine, 4)
    engine.run("dispatchEvent(new Event('online'))")
    wait_until(lambda: len(stored(session, patient).get(PAIN, {})) == 3, what="three answers")
    assert list(stored(session, patient)[PAIN].values()) == [3, 3, 3]


def test_a_tablet_of_the_clinic(
    start_firefox: Callable[..., Engine], session: Session, patient: Patient, live_server: str
) -> None:
    add_account(session, "coordinator")
    session.commit()
    engine = start_firefox()
    engine.open(f"{live_server}/sign-in")
    for name, value in (("email", "coordinator@clinic.example"), ("password", PASSWORD)):
        engine.run(f"document.querySelector('[name={name}]').value = '{value}'")
    engine.tap("main form button")
    wait_for(engine, "!location.pathname.includes('sign-in')")
    engine.open(f"{live_server}/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/here")
    engine.tap("main form button")
    for number in (1, 2, 3):
        wait_for_question(engine, number)
        answer_by_tap(engine, number)
    wait_for_question(engine, 4)
    engine.tap("form.finish button")
    wait_for(engine, "document.body.innerText.includes('Please give the device back.')")
    assert len(stored(session, patient)[PAIN]) == 3
    engine.open(f"{live_server}/")
    wait_for(engine, "location.pathname.includes('sign-in')")


def begin(engine: Engine, address: str, *, button: str = "main form .button") -> None:
    engine.open(address)
    give_birth_date(engine)
    tap(engine, button)
    wait_for_question(engine, 1)
