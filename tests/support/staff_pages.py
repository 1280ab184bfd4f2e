"""Staff pages in a real browser: signing in, and pressing by keyboard alone."""

from playwright.sync_api import Locator, Page, expect

from tests.support.staff_browser import PASSWORD


def sign_in(page: Page, role: str = "coordinator") -> None:
    """Signs in to the account that staff_browser.add_account adds for this role."""
    page.goto("/")
    page.get_by_label("E-mail address").fill(f"{role}@clinic.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def press(target: Locator, key: str = "Enter") -> None:
    """Moves the focus to the target, and presses a key."""
    target.focus()
    target.page.keyboard.press(key)
