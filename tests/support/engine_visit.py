"""A visit in any browser engine: by touch or by keyboard alone, as a person does it."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from tests.servers.engines import DOWN, ENTER, TAB, Engine, wait_for
from tests.support.patient_browser import BIRTH_DATE

MOST_TABS = 40
KEYS = {TAB: "Tab", ENTER: "Enter", DOWN: "ArrowDown"}
PARTS = {"month": BIRTH_DATE.month, "day": BIRTH_DATE.day, "year": BIRTH_DATE.year}
IS_SHOWN = "(document.querySelector('.progress-label')?.innerText ?? '').match(/\\d+/)?.[0] === '{number}'"


@dataclass
class Chromium:
    """A page of Chromium as an Engine."""

    page: Page

    def open(self, url: str) -> None:
        self.page.goto(url)

    def run(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def tap(self, selector: str) -> None:
        self.page.locator(selector).first.tap()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(KEYS.get(key, key))


def wait_for_question(engine: Engine, number: int) -> None:
    wait_for(engine, IS_SHOWN.format(number=number))


def wait_for_heading(engine: Engine, text: str) -> None:
    wait_for(engine, f"document.querySelector('h1').innerText === '{text}'")


def wait_until_tappable(engine: Engine) -> None:
    wait_for(engine, "!document.querySelector('main').classList.contains('is-changing')")


def tap(engine: Engine, selector: str) -> None:
    wait_until_tappable(engine)
    wait_for(engine, f"document.querySelector({selector!r}) !== null")
    engine.tap(selector)


def give_birth_date(engine: Engine) -> None:
    for part, value in PARTS.items():
        engine.run(f"document.querySelector('[name=birth_date-{part}]').value = '{value}'")


def answer_by_tap(engine: Engine, number: int, *, saves: bool = False) -> None:
    """Taps until the next page is there, as a person does whose tap came during a change of screen.

    `saves`: the tap chooses only, and the button goes on.
    """
    for _ in range(5):
        tap(engine, "[name=answer][value='3']")
        if saves:
            engine.tap("[data-save]")
        with suppress(AssertionError):
            return wait_for(engine, f"!({IS_SHOWN.format(number=number)})", seconds=10)
    raise AssertionError(f"question {number} takes no tap")


def tab_to(engine: Engine, selector: str) -> None:
    """Presses Tab until the focus is there."""
    for _ in range(MOST_TABS):
        engine.press(TAB)
        if engine.run(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"{MOST_TABS} presses of Tab do not lead to {selector}")


def give_birth_date_by_keyboard(engine: Engine) -> None:
    for part, value in PARTS.items():
        tab_to(engine, f"[name=birth_date-{part}]")
        engine.press(*str(value))


def answer_by_keyboard(engine: Engine, number: int) -> None:
    """Chooses the second answer with an arrow key, which goes on by itself in no case, and presses the button."""
    wait_for_question(engine, number)
    tab_to(engine, "[name=answer]")
    engine.press(DOWN)
    wait_for(engine, "document.querySelectorAll('[name=answer]')[1].checked")
    tab_to(engine, "[data-save]")
    engine.press(ENTER)
