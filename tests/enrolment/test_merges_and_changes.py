"""Merged records together with what else changes a person: deaths, withdrawals, transfers, corrections, protocols."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import DuplicateRecord
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.enrolment import (
    deaths,
    endings,
    enrolment,
    identity_corrections,
    merges,
    possible_duplicates,
    transfers,
    withdrawals,
)
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.endings import CallEnding
from pro_tracker.services.enrolment.identity_corrections import IdentityCorrection
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.results import aggregates, export_rows
from pro_tracker.services.results.export_rows import Part
from tests.conftest import Clock
from tests.enrolment.test_enrolment import FACTS
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in, submit

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
AT = datetime(2026, 6, 10, 15, 0, tzinfo=UTC)
DIED = DeathFacts(date(2026, 3, 1), DeathDatePrecision.EXACT, "letter", is_confirmed=True)


@pytest.fixture
def people(session: Session, clock: Clock) -> tuple[Subject, Subject]:
    """The record to keep, and another one of the same person; both wait for their baseline."""
    clock.set(NOW)
    first_on = date(2026, 3, 12)
    kept = add_subject(session, NOW, planned_start_on=first_on, enrolled_on=date(2026, 2, 1))
    other = add_subject(session, NOW, planned_start_on=first_on, enrolled_on=date(2026, 2, 1))
    session.commit()
    return kept, other


def merge(session: Session, other: Subject, kept: Subject, now: datetime = NOW) -> None:
    merges.merge(session, COORDINATOR, other, MergeFacts(kept, frozenset(), "same insurance card"), now=now)
    session.commit()


def separate(session: Session, record: Subject, now: datetime = NOW) -> None:
    merges.separate(session, COORDINATOR, record, reason="a sister", now=now)
    session.commit()


def reason(session: Session, record: Subject) -> str | None:
    session.expire_all()
    return visit_of(session, record, "baseline").void_reason


def test_a_death_of_the_kept_record_counts_for_both_until_they_are_separated(
    session: Session, people: tuple[Subject, Subject]
) -> None:
    kept, other = people
    deaths.record(session, COORDINATOR, kept, DIED, now=NOW)
    merge(session, other, kept)
    assert reason(session, other) == "died"
    separate(session, other)
    assert (reason(session, other), reason(session, kept)) == (None, "died")


def test_a_death_after_a_merge_ends_and_revives_what_is_open_of_both(
    session: Session, people: tuple[Subject, Subject]
) -> None:
    kept, other = people
    merge(session, other, kept)
    visit = visit_of(session, other, "baseline")
    call = Call(subject_id=other.id, visit_id=visit.id, reason="alert", opened_at=NOW)
    session.add(call)
    deaths.record(session, COORDINATOR, kept, DIED, now=NOW)
    assert (reason(session, other), reason(session, kept)) == ("died", "died")
    assert call.outcome == "died"
    deaths.revert(session, COORDINATOR, kept, reason="a namesake", now=NOW)
    assert (reason(session, other), reason(session, kept)) == (None, None)
    assert call.closed_at is None


def test_a_death_that_is_learned_at_a_call_about_a_merged_record_is_that_of_the_person(
    client: FlaskClient, session: Session, people: tuple[Subject, Subject]
) -> None:
    kept, other = people
    merge(session, other, kept)
    visit = visit_of(session, other, "baseline")
    call = Call(subject_id=other.id, visit_id=visit.id, reason="alert", opened_at=NOW)
    session.add(call)
    session.commit()
    sign_in(client, add_account(session, "coordinator"))
    page = submit(client, f"/calls/{call.id}", {"outcome": "died"})
    assert page.status_code == 200
    assert "Record the death" in page.text
    ending = CallEnding(call.id, CallAttemptFacts("died"), DIED)
    endings.record_call(session, COORDINATOR, ending, now=NOW)
    assert (reason(session, other), reason(session, kept)) == ("died", "died")
    assert kept.death_recorded_at == NOW


def test_a_withdrawal_after_a_merge_is_reverted_for_both(session: Session, people: tuple[Subject, Subject]) -> None:
    kept, other = people
    merge(session, other, kept)
    enrolment.withdraw(session, COORDINATOR, kept, WithdrawalFacts("moved away"), now=NOW)
    assert reason(session, other) == "withdrawn"
    withdrawals.revert(session, COORDINATOR, kept, reason="stays", now=NOW)
    assert reason(session, other) is None


def test_a_record_that_had_withdrawn_is_asked_nothing_once_it_is_separated(
    session: Session, people: tuple[Subject, Subject]
) -> None:
    kept, other = people
    enrolment.withdraw(session, COORDINATOR, other, WithdrawalFacts("moved away"), now=NOW)
    merge(session, other, kept)
    separate(session, other)
    assert (reason(session, other), reason(session, kept)) == ("withdrawn", None)


def test_the_preview_warns_of_a_death(client: FlaskClient, session: Session, people: tuple[Subject, Subject]) -> None:
    kept, other = people
    deaths.record(session, COORDINATOR, kept, DIED, now=NOW)
    session.commit()
    sign_in(client, add_account(session, "coordinator"))
    page = submit(client, f"/subjects/{other.id}/merge", {"kept": kept.study_code, "find": "1"}).text
    assert "A death is recorded for the record to keep" in page
    page = submit(client, f"/subjects/{kept.id}/merge", {"kept": other.study_code, "find": "1"}).text
    assert "A death is recorded for the other record only" in page


@pytest.mark.parametrize("spelling", ["x 4711", "X\u20114711", "x-4711\u200b"])
def test_a_number_is_corrected_to_no_spelling_of_another_one(
    session: Session, people: tuple[Subject, Subject], spelling: str
) -> None:
    kept, _other = people
    add_subject(session, NOW, record_number="X-4711")
    facts = identity_corrections.recorded(session, kept)
    correction = IdentityCorrection(replace(facts, record_number=spelling), "typing error")
    with pytest.raises(DuplicateRecord):
        identity_corrections.correct(session, COORDINATOR, kept, correction, now=NOW)


def test_a_corrected_identity_is_found_as_an_enrolled_one_is(session: Session, people: tuple[Subject, Subject]) -> None:
    kept, _other = people
    facts = identity_corrections.recorded(session, kept)
    corrected = replace(facts, record_number="MRN 00-8", birth_date=date(1971, 2, 3), given_name="Iris")
    identity_corrections.correct(session, COORDINATOR, kept, IdentityCorrection(corrected, "typing error"), now=NOW)
    assert enrolment.find_by_record_number(session, "mrn\u201100\u20118") is kept
    same = replace(
        FACTS,
        record_number="MRN-9",
        given_name="IRIS",
        family_name=corrected.family_name,
        birth_date=date(1971, 2, 3),
    )
    (found,) = possible_duplicates.find(session, same)
    assert found.subject is kept


def test_the_number_of_a_transferred_patient_follows_the_rules_of_the_new_clinic(
    session: Session, people: tuple[Subject, Subject]
) -> None:
    add_site(session, "south").number_width = 7
    subject = add_subject(session, NOW, record_number="12345")
    facts = TransferFacts("south", NOW.date(), "moved to another town")
    transfers.transfer(session, COORDINATOR, subject, facts, now=NOW)
    with pytest.raises(DuplicateRecord):
        add_subject(session, NOW, site_code="south", record_number="0012345")


def test_a_transfer_to_a_clinic_where_the_number_is_taken_keeps_both_records(
    session: Session, people: tuple[Subject, Subject]
) -> None:
    add_site(session, "south").number_width = 7
    subject = add_subject(session, NOW, record_number="12345")
    holder = add_subject(session, NOW, site_code="south", record_number="0012345")
    facts = TransferFacts("south", NOW.date(), "moved to another town")
    transfers.transfer(session, COORDINATOR, subject, facts, now=NOW)
    assert (subject.identity.shares_number, holder.identity.shares_number) == (True, False)


@pytest.fixture
def courses_at_two_sites(session: Session, clock: Clock) -> tuple[Subject, Subject]:
    """One person's earlier course at South under another record, and the later one at North under the kept record."""
    clock.set(AT)
    add_site(session, "south")
    other = treated(session, date(2026, 1, 12), datetime(2026, 1, 17, 15, tzinfo=UTC), site_code="south")
    answer_visit(session, visit_of(session, other, "last-infusion"), datetime(2026, 1, 18, 15, tzinfo=UTC), {})
    kept = treated(session, date(2026, 6, 1), datetime(2026, 6, 6, 15, tzinfo=UTC))
    answer_visit(session, visit_of(session, kept, "last-infusion"), datetime(2026, 6, 7, 15, tzinfo=UTC), {})
    session.commit()
    return kept, other


def test_files_and_figures_count_each_course_at_its_clinic_and_the_person_once(
    session: Session, courses_at_two_sites: tuple[Subject, Subject]
) -> None:
    kept, other = courses_at_two_sites
    merge(session, other, kept, AT)
    whole = {(each.subject_code, each.site_code, each.course_number) for each in export_rows.records(session, now=AT)}
    assert whole == {(kept.study_code, "south", 1), (kept.study_code, "north", 2)}
    for site, number in ((kept.site_id, 2), (other.site_id, 1)):
        part = export_rows.records(session, now=AT, part=Part([site]))
        assert {(each.subject_code, each.course_number) for each in part} == {(kept.study_code, number)}
        assert export_rows.count_subjects(session, [site]) == 1
    assert export_rows.count_subjects(session) == 1
    aggregates.rebuild(session, now=AT)


def test_the_clinic_of_a_merged_record_still_reads_its_own_course(
    another_client: Callable[[], FlaskClient], session: Session, courses_at_two_sites: tuple[Subject, Subject]
) -> None:
    kept, other = courses_at_two_sites
    merge(session, other, kept, AT)
    south = another_client()
    sign_in(south, add_account(session, "coordinator", "south", email="south@clinic.example"))
    assert kept.study_code in south.get("/transferred").text
    page = south.get(f"/transferred/{kept.id}").text
    assert "Jan 12, 2026" in page
    assert "Jun 1, 2026" not in page
    assert south.get(f"/subjects/{kept.id}").status_code == 404
