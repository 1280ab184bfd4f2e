"""Files and figures for research hold the people who agreed to it, where the study has a consent form."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.consent import ConsentPurpose
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.enrolment.consent_decisions import Mistake
from pro_tracker.services.results import changed_groups, export_rows, exports
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.consent_fixtures import consent, raise_version, with_consent_form
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import answer_visit, visit_of
from tests.support.staff_browser import add_account, add_site

CARE, REGISTRY, SHARING = ConsentPurpose
FIRST_ON = date(2026, 1, 12)
BEFORE = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture(autouse=True)
def site(session: Session, clock: Clock) -> None:
    clock.set(NOW)
    add_site(session)
    add_account(session, "coordinator")


def answered(session: Session, number: int, *purposes: ConsentPurpose) -> Subject:
    """Adds a subject who agreed to these purposes and answered the baseline."""
    facts = {"enrolled_on": date(2026, 1, 5), "consent_on": date(2026, 1, 5), "planned_start_on": FIRST_ON}
    subject = add_subject(session, BEFORE - timedelta(days=3), record_number=f"MRN-{number}", **facts)
    consent(session, subject, BEFORE, *purposes)
    answer_visit(session, visit_of(session, subject, "baseline"), BEFORE, {})
    session.commit()
    return subject


def file_of(kind: Kind) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(NOW))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def people(kind: Kind = "wide") -> set[str]:
    return {row["USUBJID"] for row in file_of(kind)}


def test_files_hold_people_who_agreed_to_research_with_version_and_day_of_the_consent(session: Session) -> None:
    agreed, shares = answered(session, 1, CARE, REGISTRY), answered(session, 2, CARE, REGISTRY, SHARING)
    answered(session, 3, CARE)
    assert people() == people("long") == {agreed.study_code, shares.study_code}
    rows = {row["USUBJID"]: (row["CONSVER"], row["CONSDY"], row["CONSSHR"]) for row in file_of("wide")}
    assert rows == {agreed.study_code: ("1", "-2", "N"), shares.study_code: ("1", "-2", "Y")}
    assert (export_rows.count_subjects(session), export_rows.count_excluded(session)) == (2, 1)


def test_consent_to_an_earlier_version_counts_until_a_later_answer_takes_it_back(
    session: Session, form_path: Path
) -> None:
    subject = answered(session, 1, CARE, REGISTRY)
    raise_version(form_path)
    assert people() == {subject.study_code}
    consent(session, subject, NOW, CARE)
    session.commit()
    assert people() == set()


def test_a_person_without_any_answer_is_in_no_file_once_a_consent_is_removed(session: Session) -> None:
    subject = answered(session, 1, CARE, REGISTRY)
    decision = consent_decisions.history(session, subject)[0]
    decision.account_id = 1
    consent_decisions.void(session, COORDINATOR, subject, Mistake(decision.id, "another person"), now=NOW)
    session.commit()
    assert people() == set()


def test_figures_follow_consent_and_are_computed_again_after_it(session: Session) -> None:
    subject = answered(session, 1, CARE)
    later = NOW + timedelta(hours=1)
    assert changed_groups.since(session, later, later).groups == set()
    consent(session, subject, later, CARE, REGISTRY)
    session.commit()
    assert "baseline" in {group.event_code for group in changed_groups.since(session, later, later).groups}
