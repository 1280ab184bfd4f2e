"""A phone that is disturbed at random points: nothing is lost, doubled or changed, and no sentence on it is untrue."""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Error, Locator, Page
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import clock as service_clock
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.response import QuestionnaireResponse
from tests.browser.test_offline_answers import give_birth_date
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support import patient_browser
from tests.support.bad_connection import Line, Network
from tests.support.patient_browser import N_ITEMS, Patient, add_patient
from tests.support.phone_answers import send_what_waits
from tests.support.phone_store import entries, wait_for_offline_page, waiting_items

pytestmark = [pytest.mark.faults, pytest.mark.browser]

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
DISTURBANCES = 500 if FULL else 20
STEPS = 25  # of one visit
LONGEST_WAIT = 40.0  # seconds, for a sentence or the database to become what it must be
SEED = int(os.environ.get("PRO_TRACKER_SEED", "16"))


@pytest.fixture
def ticking(clock: Clock) -> Iterator[None]:
    """Lets the service's clock run: the order of answers goes by it."""
    began, frozen = time.monotonic(), clock.now
    earlier = service_clock.drive(lambda: frozen + timedelta(seconds=time.monotonic() - began))
    yield
    service_clock.drive(earlier)


class Visit:
    """One visit on a phone, and what a person believes to have answered: item name -> code, None for declined."""

    def __init__(self, page: Page, patient: Patient, session: Session, network: Network, rng: random.Random) -> None:
        self.page, self.patient, self.session, self.network, self.rng = page, patient, session, network, rng
        self.given: dict[str, int | None] = {}

    def begin(self) -> None:
        self.page.goto(f"/v/{self.patient.token}")
        give_birth_date(self.page)
        self.page.wait_for_url("**/item/*")
        wait_for_offline_page(self.page)

    def answer(self) -> None:
        self._give(lambda options: options[self.rng.randrange(len(options))])

    def decline(self) -> None:
        self._give(lambda _options: None)

    def change_mind(self) -> None:
        """Goes back and answers once more, twice in quick succession."""
        back = self.page.locator("header .govuk-back-link")
        if back.count():
            self._press(back)
        self.answer()

    def reload(self) -> None:
        self._load(self.page.url)

    def reopen(self) -> None:
        """Closes the tab and opens the link once more."""
        context = self.page.context
        self.page.close()
        self.page = context.new_page()
        self._load(f"/v/{self.patient.token}")

    def _wait_until(self, holds: Callable[[], bool], what: str | Callable[[], str]) -> None:
        ends_at = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < ends_at:
            if holds():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not so after {LONGEST_WAIT} seconds: {what if isinstance(what, str) else what()}")

    def lose_or_find_network(self) -> None:
        self.network.set(self.rng.choice(list(Line)))

    def _give(self, choose: Callable[[list[int]], int | None]) -> None:
        self._come_to_a_question()
        name = self.page.locator("[name=item]").get_attribute("value")
        assert name
        values = [int(each.get_attribute("value") or "") for each in self.page.locator("[name=answer]").all()]
        value = choose(values)
        button = self.page.locator("[name=skip]" if value is None else f"[name=answer][value='{value}']")
        self._press(button)
        self.given[name] = value

    def _press(self, target: Locator) -> None:
        before = self.page.url
        target.click()
        self._wait_until(lambda: self.page.url != before, "the page goes on")
        self.page.wait_for_timeout(self.rng.choice([0, 50, 450]))

    def _come_to_a_question(self) -> None:
        if "/advice/" in self.page.url:
            self._press(self.page.locator(".actions a").first)
        if self.page.locator("form[data-keep] [name=item]").count() == 0:
            self._press(self.page.locator(".review a").nth(self.rng.randrange(5)))

    def _load(self, address: str) -> None:
        """Loads an address as a person does who has to wait for the network."""
        with suppress(Error):
            self.page.goto(address)
        self._wait_until(self._is_shown, "a question or the review is shown")

    def _is_shown(self) -> bool:
        with suppress(Error):
            return self.page.locator("form[data-keep]").count() > 0
        return False

    def assert_true(self) -> None:
        """Compares the sentence at the top of the page with the phone's store and the database."""
        self._wait_until(self._said_is_true, lambda: f"true: {self._sentence()!r}, given {self.given}")

    def _said_is_true(self) -> bool:
        sentence, waits = self._sentence(), len(waiting_items(self.page))
        if number := re.search(r"answers wait on this phone \((\d+)\)", sentence):
            return waits in (0, int(number[1]))
        if "All your answers are saved" in sentence or "Your answers are saved" in self.page.inner_text("main"):
            return self.stored() == self.given
        return True

    def _sentence(self) -> str:
        return self.page.locator("[data-connection]").inner_text()

    def stored(self) -> dict[str, int | None]:
        self.session.rollback()
        found = patient_browser.draft(self.session, self.patient)
        return {f"{code}.{link_id}": value for code, answers in found.items() for link_id, value in answers.items()}

    def arrive(self) -> None:
        """Waits with a connection until nothing waits, and compares what is stored with what was given."""
        self.network.set(Line.WORKS)
        send_what_waits(self.page)
        self._wait_until(lambda: not entries(self.page), "nothing waits")
        assert self.stored() == self.given
        rows = select(func.count()).where(DraftAnswer.visit_id == self.patient.visit.id, DraftAnswer.state != "seen")
        assert self.session.scalar(rows) == len(self.given)


def answer_on_another_device(visit: Visit, client: FlaskClient) -> None:
    page = patient_browser.begin(client, visit.patient)
    number = visit.rng.randrange(1, N_ITEMS + 1)
    page = patient_browser.get(client, visit.patient, f"item/{number}")
    name = dict(patient_browser.HIDDEN.findall(page.text))["item"]
    patient_browser.answer(client, page, 2)
    visit.given[name] = 2


def disturb(visit: Visit, client: FlaskClient) -> int:
    """Does one step at random. Returns 1 for a disturbance, 0 for an answer."""
    kind = visit.rng.choices(["answer", "decline", "mind", "reload", "reopen", "network", "device"], WEIGHTS)[0]
    match kind:
        case "device":
            answer_on_another_device(visit, client)
        case "mind":
            visit.change_mind()
        case "reload":
            visit.reload()
        case "reopen":
            visit.reopen()
        case "network":
            visit.lose_or_find_network()
        case _:
            getattr(visit, kind)()
    visit.page.wait_for_timeout(visit.rng.choice([0, 100, 900]))
    visit.assert_true()
    return int(kind not in ("answer", "decline"))


WEIGHTS = [6, 1, 2, 1, 1, 4, 1]


@pytest.mark.usefixtures("ticking")
def test_a_disturbed_phone_loses_and_doubles_nothing_and_says_what_is_true(
    new_page: Callable[..., Page],
    another_client: Callable[[], FlaskClient],
    session: Session,
    network: Network,
    clock: Clock,
) -> None:
    rng = random.Random(SEED)
    done = 0
    for number in count(1):
        patient = add_patient(
            session,
            clock.now,
            record_number=f"M{number}",
            email=f"p{number}@patients.example",
            mobile=f"+1216555{number:04}",
        )
        visit = Visit(new_page(**PHONE), patient, session, network, rng)
        visit.begin()
        client = another_client()
        for _ in range(STEPS):
            done += disturb(visit, client)
        visit.arrive()
        visit.page.context.close()
        print(f"{done} disturbances in {number} visits")
        if done >= DISTURBANCES:
            break
    assert session.scalar(select(func.count()).select_from(QuestionnaireResponse)) == 0
