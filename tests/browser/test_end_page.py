"""The page after sending on a small phone: goal and results by tap, with and without scripts, for every reader."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.services.answering import links
from tests.conftest import Clock
from tests.servers.browser import PHONE
from tests.support.battery import changed_protocol
from tests.support.goal_builder import set_goal
from tests.support.history_builder import PCS, PI, answer_visit, treated, visit_of

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def protocol_with_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"results": [f"{PI}.total", f"{PCS}.total"], "looked_at": True, "goal": True}

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


def check(page: Page) -> None:
    """Checks the page with axe, and that 320 pixels are wide enough."""
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_results_before_the_questions_and_a_goal_after_them(
    new_page: Callable[..., Page], session: Session, clock: Clock, script: bool
) -> None:
    subject = treated(session, date(2026, 2, 16), datetime(2026, 2, 20, 18, tzinfo=UTC))
    first, later = visit_of(session, subject, "last-infusion"), visit_of(session, subject, "3-months")
    answer_visit(session, first, datetime(2026, 2, 22, 15, tzinfo=UTC), {})
    set_goal(session, first, "Walk to the lake", datetime(2026, 2, 22, 15, tzinfo=UTC))
    clock.set(datetime(2026, 5, 20, 15, tzinfo=UTC))
    token = links.issue(session, later.id, now=clock.now)
    session.commit()
    phone = new_page(**PHONE, java_script_enabled=script)
    phone.goto(f"/v/{token}")
    for name, value in (("Day", 27), ("Month", 3), ("Year", 1975)):
        phone.get_by_label(name, exact=True).fill(str(value))
    phone.get_by_role("button", name="See my results so far").tap()
    phone.wait_for_url("**/results")
    expect(phone.get_by_role("img", name="Pain interference over time")).to_be_visible()
    if script:
        check(phone)
    answer_visit(session, later, clock.now, {})
    session.commit()
    phone.goto(phone.url.replace("/results", "/sent"))
    phone.get_by_label("More than I expected", exact=True).check()
    phone.get_by_role("button", name="Save").tap()
    expect(phone.get_by_text("Saved. Today you said: More than I expected")).to_be_visible()
    phone.get_by_text("The numbers").first.tap()
    expect(phone.get_by_role("cell", name="May 20, 2026").first).to_be_visible()
    if script:
        check(phone)
    phone.get_by_role("link", name="Change my goal").tap()
    phone.get_by_label("What would you most like to be able to do?").fill("Cook for my family")
    phone.get_by_role("button", name="Save my goal").tap()
    expect(phone.get_by_text("Saved. Next time we ask how it is going.")).to_be_visible()
    expect(phone.get_by_text("“Cook for my family”")).to_be_visible()
