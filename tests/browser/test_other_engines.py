"""Other engines: a whole visit in Firefox, and in WebKitGTK, which is the nearest to an iPhone without one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy.orm import Session

from tests.browser.test_offline_answers import sent
from tests.conftest import Clock
from tests.servers.engines import Engine, firefox, wait_for, webkit
from tests.support.bad_connection import Line, Network
from tests.support.engine_visit import answer_by_keyboard, answer_by_tap, give_birth_date, tap, wait_for_question
from tests.support.patient_browser import N_ITEMS, Patient, add_patient
from tests.support.phone_store import CAN_OPEN_OFFLINE

pytestmark = pytest.mark.browser

CUT_AFTER, RELOADED_AFTER = 5, 9
ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {"firefox": firefox, "webkit": webkit}
PROGRAMS = {"firefox": "firefox-esr", "webkit": "WebKitWebDriver"}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if not shutil.which(PROGRAMS[request.param]):
        pytest.skip(f"{PROGRAMS[request.param]} is not installed: this engine was NOT tried")
    with ENGINES[request.param]() as page:
        yield page


def test_a_visit_is_begun_cut_off_reloaded_finished_and_sent(
    engine: Engine, session: Session, patient: Patient, network: Network, live_server: str
) -> None:
    begin(engine, f"{live_server}/v/{patient.token}")
    answer_by_keyboard(engine, 1)
    wait_for_question(engine, 2)
    for number in range(2, N_ITEMS + 1):
        if number == CUT_AFTER:
            network.set(Line.CUT)
        if number == RELOADED_AFTER:
            engine.run("location.reload()")
            wait_for_question(engine, number)
        answer_by_tap(engine, number)
    wait_for(engine, f"document.querySelectorAll('.review li').length === {N_ITEMS}")
    tap(engine, "form[data-keep] button")
    wait_for(engine, "document.querySelector('[data-connection]').innerText.includes('You can close this page')")
    assert sent(session) == 0
    network.set(Line.WORKS)
    engine.run("dispatchEvent(new Event('online'))")
    wait_for(engine, "document.querySelector('h1').innerText === 'Thank you'")
    assert sent(session) == 5


def begin(engine: Engine, address: str) -> None:
    engine.open(address)
    give_birth_date(engine)
    tap(engine, "main form .button")
    wait_for_question(engine, 1)
    wait_for(engine, f"({CAN_OPEN_OFFLINE})()")
