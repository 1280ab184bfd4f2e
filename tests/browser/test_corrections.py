"""The pages that correct answers, in a real browser: amend with a preview, move, and every page with axe."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.subject import Subject
from tests.answer_corrections.conftest import FIRST_ON
from tests.conftest import Clock
from tests.servers.browser import DESKTOP
from tests.support.answer_corrections import answers_url, current
from tests.support.course_builder import add_subject
from tests.support.history_builder import NRS, PI, answer_visit, visit_of
from tests.support.staff_browser import add_account
from tests.support.staff_pages import sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject with an answered baseline and a late answer to it; a coordinator has an account."""
    add_account(session, "coordinator")
    subject = add_subject(session, clock.now, planned_start_on=FIRST_ON)
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {PI: [None, *[4] * 7], NRS: [8]})
    sent = current(session, subject, NRS)
    late = LateAnswer(
        visit_id=sent.visit_id,
        instrument_code=NRS,
        link_id=next(iter(sent.answers)),
        state="answered",
        value=5,
        language="en",
        text_pack_version=sent.text_pack_version,
        given_at=clock.now,
        device="access-1",
        sequence=9,
        received_at=clock.now + timedelta(minutes=10),
    )
    session.add(late)
    session.commit()
    return subject


def amend(page: Page) -> None:
    """Amends the pain intensity to 3 on the answers page, and stops at the preview."""
    page.get_by_role("link", name="Correct answers Pain intensity").click()
    page.get_by_role("combobox").first.select_option("3")
    page.get_by_label("The patient said so").check()
    page.get_by_label("Why is it corrected?").fill("asked again on the telephone")
    page.get_by_role("button", name="Look at what changes").click()


@pytest.mark.parametrize("script", [True, False])
def test_an_answer_is_amended_after_its_effect_was_shown(
    new_page: Callable[..., Page], session: Session, subject: Subject, script: bool
) -> None:
    page = new_page(**DESKTOP, java_script_enabled=script)
    sign_in(page, "coordinator")
    page.goto(f"/subjects/{subject.id}")
    page.get_by_role("link", name="Answers Baseline").click()
    amend(page)
    row = page.get_by_role("region", name="Scores, before and after: Pain intensity").get_by_role("row").last
    expect(row).to_contain_text("8")
    expect(row).to_contain_text("3")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("The answers are corrected.")
    page.get_by_text("1 correction").click()
    expect(page.get_by_text("asked again on the telephone")).to_be_visible()


def test_every_page_passes_axe_and_fits_a_phone(
    new_page: Callable[..., Page], session: Session, clock: Clock, subject: Subject
) -> None:
    other = add_subject(session, clock.now, planned_start_on=FIRST_ON, given_name="Otto")
    session.commit()
    page = new_page(**DESKTOP)
    sign_in(page, "coordinator")
    page.goto(answers_url(session, subject))
    amend(page)
    check(page, "preview")
    page.get_by_role("button", name="Save").click()
    for name in ("", "remove", "move", "late/1", f"{PI}/amend"):
        page.goto(answers_url(session, subject, name))
        if not name:
            page.get_by_text("1 correction").click()
        check(page, name)
    page.goto(answers_url(session, subject, "move"))
    page.get_by_label("All answers of this visit").check()
    page.get_by_label("Study code").fill(other.study_code)
    page.get_by_role("button", name="Show this patient's visits").click()
    check(page, "move to")
    page.get_by_label("Baseline, course 1").check()
    page.get_by_label("Why are they moved?").fill("opened the link of the other")
    page.get_by_role("button", name="Look at what changes").click()
    check(page, "move with a warning")
    page.get_by_label("I have checked").check()
    page.get_by_role("button", name="Look at what changes").click()
    expect(page.get_by_text("Nothing is saved yet.")).to_be_visible()
    check(page, "preview of a move")


def check(page: Page, name: str) -> None:
    page.wait_for_load_state()  # styles and scripts, too
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}, {scheme}\n{found.generate_report()}"
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
    page.set_viewport_size({"width": 1280, "height": 900})
