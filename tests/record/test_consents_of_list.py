"""Consent in the list of patients: the state of each person, and the list limited to one of the states."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentChoice, ConsentMode, ConsentOutcome, ConsentPurpose
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import consent_decisions, deaths, enrolment, merges
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.record import subject_lists
from pro_tracker.services.wording import consent_forms
from tests.conftest import Clock
from tests.support.consent_fixtures import consent, raise_version, with_consent_form
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.staff_browser import add_account, add_site, sign_in

CARE = ConsentPurpose.CARE
ROW = re.compile(r'<th scope="row">.*?</th>', re.DOTALL)
NAME = re.compile(r">([^<]+)</a>")
STATE = re.compile(r'Consent: <span class="tag[^"]*">([^<]+)</span>')
CHOICES = re.compile(r'<nav class="jumps" aria-label="Consent">.*?</nav>', re.DOTALL)
CHOICE = re.compile(r'<li>(?:<a href="[^"]*">|<b[^>]*>)([^<]+)</(?:a|b)></li>')


@pytest.fixture
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def staff(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, "clinician"))
    return client


def add(session: Session, clock: Clock, name: str, site_code: str = "north") -> Subject:
    return add_subject(session, clock.now, given_name=name, family_name="Demo", site_code=site_code)


def decline(session: Session, subject: Subject, clock: Clock) -> None:
    facts = ConsentFacts(consent_forms.form("example"), ConsentOutcome.DECLINED, ConsentMode.OWN_DEVICE, "en", {})
    consent_decisions.record(session, COORDINATOR, subject, facts, now=clock.now)


def withdraw(session: Session, subject: Subject, clock: Clock) -> None:
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now)


def add_one_of_each(session: Session, clock: Clock, form_path: Path) -> None:
    """Adds a person in each state; "Fay" died."""
    consent(session, add(session, clock, "Ann"), clock.now, CARE)
    raise_version(form_path)
    consent(session, add(session, clock, "Bob"), clock.now, CARE)
    decline(session, add(session, clock, "Cy"), clock)
    withdraw(session, add(session, clock, "Di"), clock)
    add(session, clock, "Ed")
    facts = DeathFacts(None, DeathDatePrecision.UNKNOWN, "a relative called")
    deaths.record(session, COORDINATOR, add(session, clock, "Fay"), facts, now=clock.now)
    session.commit()


def listed(page: str) -> dict[str, str]:
    """Returns name -> state of consent, "" for a row without one."""
    found: dict[str, str] = {}
    for row in ROW.findall(page):
        state = STATE.search(row)
        found[NAME.findall(row)[0].removesuffix(" Demo")] = state[1] if state else ""
    return found


def choices(page: str) -> list[str]:
    return [text for nav in CHOICES.findall(page) for text in CHOICE.findall(nav)]


def names(staff: FlaskClient, query: str) -> list[str]:
    return list(listed(staff.get(f"/subjects{query}").text))


def test_each_patient_has_the_state_of_consent_under_the_name(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    add_one_of_each(session, clock, form_path)
    page = staff.get("/subjects").text
    assert listed(page) == {
        "Ann": "Agreed to an earlier version",
        "Bob": "Agreed",
        "Cy": "Did not agree",
        "Di": "Withdrawn",
        "Ed": "Not asked yet",
        "Fay": "",
    }
    assert choices(page) == [
        "All patients",
        "Consent missing: 2",
        "Not asked yet: 1",
        "Agreed to an earlier version: 1",
        "Agreed: 1",
        "Did not agree: 1",
        "Withdrawn: 1",
    ]


def test_the_list_can_be_limited_to_a_state(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    add_one_of_each(session, clock, form_path)
    found = {choice: names(staff, f"?consent={choice}") for choice in (*ConsentChoice, "sales")}
    assert found == {
        "missing": ["Ann", "Ed"],
        "not-asked": ["Ed"],
        "outdated": ["Ann"],
        "given": ["Bob"],
        "declined": ["Cy"],
        "withdrawn": ["Di"],
        "sales": ["Ann", "Bob", "Cy", "Di", "Ed", "Fay"],  # no such state
    }


def test_the_choice_stays_on_the_next_page(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject_lists, "PAGE_SIZE", 1)
    add_one_of_each(session, clock, form_path)
    first = staff.get("/subjects?consent=missing").text
    assert ("Page 1 of 2, 2 patients" in first, "/subjects?consent=missing&amp;page=2" in first) == (True, True)
    assert names(staff, "?consent=missing&page=2") == ["Ed"]


def test_a_choice_that_finds_no_patient_says_so(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    add(session, clock, "Ann")
    session.commit()
    assert "No patient has this state of consent." in staff.get("/subjects?consent=declined").text


def test_a_study_without_a_form_has_the_list_as_it_was(staff: FlaskClient, session: Session, clock: Clock) -> None:
    add(session, clock, "Ann")
    session.commit()
    page = staff.get("/subjects").text
    assert ("Ann" in page, "Consent" in page) == (True, False)
    assert names(staff, "?consent=missing") == []


def test_patients_of_another_clinic_are_neither_listed_nor_counted(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    add_site(session, "south")
    add(session, clock, "Far", "south")
    session.commit()
    page = staff.get("/subjects?consent=missing").text
    assert (listed(page), choices(page)) == ({}, [])


def test_the_newest_decision_of_either_merged_record_counts(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    kept, other = add(session, clock, "Ann"), add(session, clock, "Anne")
    consent(session, other, clock.now, CARE)
    merges.merge(session, COORDINATOR, other, MergeFacts(kept, frozenset(), "same card"), now=clock.now)
    session.commit()
    assert listed(staff.get("/subjects").text) == {"Ann": "Agreed"}


@pytest.mark.dialects("postgresql")
def test_more_patients_need_no_more_statements(
    staff: FlaskClient, session: Session, clock: Clock, form_path: Path
) -> None:
    add(session, clock, "Ann")
    session.commit()
    few = [statements(staff, session, query) for query in ("", "?consent=missing")]
    for number in range(7):
        add(session, clock, f"N{number}")
    session.commit()
    assert len(names(staff, "?consent=missing")) == 8
    assert [statements(staff, session, query) for query in ("", "?consent=missing")] == few


def statements(staff: FlaskClient, session: Session, query: str) -> int:
    seen: list[str] = []
    engine = session.get_bind()

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    assert staff.get(f"/subjects{query}").status_code == 200
    event.remove(engine, "before_cursor_execute", count)
    return len(seen)
