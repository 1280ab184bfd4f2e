"""Chromium, for the tests that walk through pages as a person does.

A page that logs an error or asks another machine for something fails its test.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.servers.process import find_program

FLAGS = [
    "--no-sandbox",  # root in a container has no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_program("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: Browser, live_server: str) -> Iterator[Callable[..., Page]]:
    """`new_page(**PHONE, java_script_enabled=False)` opens a page with cookies of its own: another device."""
    complaints: list[str] = []
    contexts = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(base_url=live_server, locale="en-US", **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(_foreign(request, live_server)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def phone(new_page: Callable[..., Page]) -> Page:
    return new_page(**PHONE)


@pytest.fixture
def desktop(new_page: Callable[..., Page]) -> Page:
    return new_page(**DESKTOP)


def _complaint(message: ConsoleMessage) -> list[str]:
    # A page answered with 4xx is logged as an error too; whether that status is right is the test's to say.
    # So is a line that the test cut.
    expected = message.text.startswith(
        (
            "Failed to load resource: the server responded with a status of 4",
            "Failed to load resource: the server responded with a status of 502",
            "Failed to load resource: net::ERR_",
        )
    )
    return [message.text] if message.type == "error" and not expected else []


def _foreign(request: Request, home: str) -> list[str]:
    address = urlsplit(request.url)
    if address.scheme in ("data", "blob") or address.netloc == urlsplit(home).netloc:
        return []
    return [f"request to {address.scheme}://{address.netloc}"]
