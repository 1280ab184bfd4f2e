"""Answering the question on the screen, as a person does."""

from contextlib import suppress

from playwright.sync_api import Error, Page

GOES_ON_BY_TAP = "() => document.querySelector('[data-tap-switch]:not([hidden]) input')?.checked ?? false"


def tap_answer(page: Page, option: int) -> None:
    """Taps an answer; where a tap does not go on by itself, the main button too."""
    goes_on = page.evaluate(GOES_ON_BY_TAP)
    page.get_by_role("radio").nth(option).click()
    if not goes_on:
        page.locator("[data-save]").click()


def send_what_waits(page: Page) -> None:
    """Makes the page send at once, as it does when a connection is back."""
    with suppress(Error):  # a page that loads sends by itself
        page.evaluate("dispatchEvent(new Event('online'))")
