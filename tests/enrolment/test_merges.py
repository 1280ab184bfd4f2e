"""Two records of one person become one, no row moves, and the two can be separated again."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from config.settings import Settings
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.calling import calls
from pro_tracker.services.enrolment import enrolment, identity_hashes, merges
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.results import aggregates
from pro_tracker.services.sending import send_context
from tests.conftest import Clock
from tests.enrolment.test_possible_duplicates import run as run_import, write as write_roster
from tests.enrolment.test_roster_import import ROW
from tests.enrolment.test_staff_enrolment import FORM
from tests.support.course_builder import COORDINATOR, add_subject, messages_of, record_infusions
from tests.support.history_builder import answer_visit, course_of, treated, visit_of
from tests.support.patient_browser import BIRTH_DATE, give_birth_date, heading
from tests.support.staff_browser import add_account, add_site, confirm, sign_in, submit

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
FIRST_ON = date(2026, 3, 12)


@pytest.fixture
def coordinator(client: FlaskClient, session: Session, clock: Clock) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def pair(session: Session, **facts: Any) -> tuple[Subject, Subject]:
    """Adds the record to keep, and one of the same person that is merged into it; both wait for their baseline."""
    kept = add_subject(session, NOW, planned_start_on=FIRST_ON, email="right@patients.example")
    other = add_subject(session, NOW, planned_start_on=FIRST_ON, **{"email": "wrong@patients.example", **facts})
    session.commit()
    return kept, other


def merge(session: Session, other: Subject, kept: Subject, *duplicates: Course, now: datetime = NOW) -> None:
    facts = MergeFacts(kept, frozenset(course.id for course in duplicates), "same insurance card")
    merges.merge(session, COORDINATOR, other, facts, now=now)
    session.commit()


def separate(session: Session, record: Subject, *, now: datetime = NOW) -> None:
    merges.separate(session, COORDINATOR, record, reason="a sister", now=now)
    session.commit()


def by_pages(client: FlaskClient, other: Subject, kept: str, **form: Any) -> TestResponse:
    path = f"/subjects/{other.id}/merge"
    found = submit(client, path, {"kept": kept, "find": "1"})
    if "Both records" not in found.text:
        return found
    return submit(client, path, {"kept": kept, "reason": "same insurance card", **form})


def test_staff_merge_two_records_after_seeing_what_changes(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session)
    course = course_of(session, other)
    page = by_pages(coordinator, other, kept.identity.record_number, duplicates=str(course.id))
    assert "Nothing is saved yet." in page.text
    assert f"{other.study_code} is now part of {kept.study_code}." in page.text
    assert session.get_one(Subject, other.id).merged_into_id is None
    saved = confirm(coordinator, page)
    assert saved.location == f"/subjects/{kept.id}"
    shown = coordinator.get(saved.location).text
    assert f"{other.study_code} is a record of the same person" in shown
    ended = messages_of(session, visit_of_course(session, course))
    assert {(message.state, message.end_reason) for message in ended} == {("ended", "duplicate")}
    audited = session.execute(
        select(AuditEvent.subject_id, AuditEvent.detail).where(AuditEvent.action == "subject.merge")
    )
    assert {subject_id: json.loads(detail)["with"] for subject_id, detail in audited} == {
        other.id: kept.study_code,
        kept.id: other.study_code,
    }


def visit_of_course(session: Session, course: Course, event_code: str = "baseline") -> Visit:
    session.expire_all()
    return session.scalars(select(Visit).where(Visit.course_id == course.id, Visit.event_code == event_code)).one()


@pytest.mark.dialects("sqlite")
def test_every_page_of_the_other_record_leads_to_the_kept_one(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session)
    merge(session, other, kept)
    for page in ("", "/ledger", "/contacts", "/course", "/pauses", "/withdraw", "/merge", "/infusions/new"):
        assert coordinator.get(f"/subjects/{other.id}{page}").location == f"/subjects/{kept.id}", page
    found = submit(coordinator, "/subjects", {"search": other.study_code})
    assert found.location == f"/subjects/{kept.id}"
    listed = coordinator.get("/subjects").text
    assert kept.study_code in listed
    assert other.study_code not in listed


@pytest.mark.dialects("sqlite")
def test_a_record_of_another_clinic_cannot_be_named(coordinator: FlaskClient, session: Session) -> None:
    add_site(session, "south")
    elsewhere = add_subject(session, NOW, site_code="south")
    own = add_subject(session, NOW)
    page = by_pages(coordinator, own, elsewhere.study_code)
    assert "No patient at your clinics has this record number or study code." in page.text
    assert "This is the same record." in by_pages(coordinator, own, own.study_code).text
    assert coordinator.get(f"/subjects/{elsewhere.id}/merge").status_code == 404


def test_courses_that_are_real_go_on_by_the_contacts_of_the_kept_record(session: Session) -> None:
    kept, other = pair(session, mobile="", language="es", time_zone="America/Chicago")
    merge(session, other, kept)
    visit = visit_of_course(session, course_of_record(session, other))
    assert visit.voided_at is None
    message = next(each for each in messages_of(session, visit) if each.state == "planned")
    session.execute(
        update(Message)
        .where(Message.id == message.id)
        .values(state="claimed", send_at=NOW, lease_until=NOW + timedelta(minutes=5))
    )
    context = send_context.load(session, [message.id], NOW)[message.id]
    assert context.contact is not None
    assert context.contact.address == "right@patients.example"
    assert (context.subject.study_code, context.recipient.zone) == (kept.study_code, "America/New_York")


def course_of_record(session: Session, record: Subject) -> Course:
    return session.scalars(select(Course).where(Course.subject_id == record.id)).one()


def test_separating_restores_plan_and_messages_of_both(session: Session) -> None:
    kept, other = pair(session)
    before = [plan_preview.current_plan(session, each.id, now=NOW) for each in (kept, other)]
    merge(session, other, kept, course_of_record(session, other))
    assert plan_preview.current_plan(session, kept.id, now=NOW) == before[0]
    separate(session, other)
    assert [plan_preview.current_plan(session, each.id, now=NOW) for each in (kept, other)] == before
    assert other.merged_into_id is None
    assert course_of_record(session, other).duplicate_by_id is None
    with pytest.raises(InvalidInput, match="not merged"):
        separate(session, other)


def test_staff_separate_records_after_seeing_what_changes(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session)
    merge(session, other, kept, course_of_record(session, other))
    page = coordinator.get(f"/subjects/{kept.id}").text
    path = re.findall(r'href="(/subjects/[^"]+/separate)"', page)[0]
    preview = submit(coordinator, path, {"reason": "a sister"})
    assert f"{other.study_code} is a record of its own again." in preview.text
    confirm(coordinator, preview)
    assert coordinator.get(f"/subjects/{other.id}").status_code == 200
    assert "a sister" in coordinator.get(f"/subjects/{other.id}/ledger").text
    assert coordinator.get(path).status_code == 404


def test_chains_have_one_kept_record_and_cycles_are_refused(session: Session) -> None:
    first, second = pair(session)
    third = add_subject(session, NOW, planned_start_on=FIRST_ON)
    merge(session, first, second)
    merge(session, second, third)
    assert {first.merged_into_id, second.merged_into_id} == {third.id}
    for other, kept in ((third, first), (third, third), (first, third)):
        with pytest.raises(InvalidInput):
            merge(session, other, kept)
    separate(session, second)
    session.expire_all()
    assert (first.merged_into_id, second.merged_into_id) == (second.id, None)
    separate(session, first)
    session.expire_all()
    assert (first.merged_into_id, second.merged_into_id, third.merged_into_id) == (None, None, None)


def test_links_of_a_course_recorded_twice_end_kindly_and_those_of_a_real_one_go_on(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    kept, other = pair(session, birth_date=date(1980, 1, 1))
    clock.set(NOW + timedelta(days=7))
    visit = visit_of_course(session, course_of_record(session, other))
    token = links.issue(session, visit.id, now=clock.now)
    session.commit()
    merge(session, other, kept, now=clock.now)
    opened = client.get(f"/v/{token}", follow_redirects=True)
    assert heading(give_birth_date(client, opened, BIRTH_DATE)) != heading(opened), "by the kept record's birth date"
    separate(session, other, now=clock.now)
    merge(session, other, kept, course_of_record(session, other), now=clock.now)
    closed = client.get(f"/v/{token}", follow_redirects=True)
    assert closed.status_code == 410
    assert "You do not need to answer these questions anymore." in closed.text


def test_calls_end_but_for_alerts_which_the_kept_record_shows(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session)
    visit = visit_of_course(session, course_of_record(session, other))
    for reason in ("alert", "no-contact"):
        session.add(Call(subject_id=other.id, visit_id=visit.id, reason=reason, opened_at=NOW))
    merge(session, other, kept, course_of_record(session, other))
    session.expire_all()
    assert dict(iter(session.execute(select(Call.reason, Call.outcome)))) == {
        "alert": None,
        "no-contact": "no-longer-wanted",
    }
    session.commit()
    listed = coordinator.get("/calls").text
    assert f"/subjects/{kept.id}" in listed or kept.identity.record_number in listed
    assert other.identity.record_number not in listed
    assert "On the call list:" in coordinator.get(f"/subjects/{kept.id}").text
    call_id = session.scalar(select(Call.id).where(Call.reason == "alert"))
    assert coordinator.get(f"/calls/{call_id}").status_code == 200
    calls.open_due(session, now=NOW)


def test_the_state_of_the_kept_record_counts_for_both(session: Session) -> None:
    kept, other = pair(session)
    enrolment.withdraw(session, COORDINATOR, kept, WithdrawalFacts("moved away"), now=NOW)
    merge(session, other, kept)
    course = course_of_record(session, other)
    assert visit_of_course(session, course).void_reason == "withdrawn"
    separate(session, other)
    assert visit_of_course(session, course).void_reason is None


FIRST_TREATED_ON = date(2026, 1, 12)
LATER_ON = date(2026, 6, 1)
AT = datetime(2026, 6, 10, 15, 0, tzinfo=UTC)


def two_courses(session: Session, clock: Clock) -> tuple[Subject, Subject]:
    """Adds one person's later course under the record to keep and the earlier one under another, both answered."""
    clock.set(AT)
    other = treated(session, FIRST_TREATED_ON, datetime(2026, 1, 17, 15, tzinfo=UTC), sex="male")
    answer_visit(session, visit_of(session, other, "last-infusion"), datetime(2026, 1, 18, 15, tzinfo=UTC), {})
    kept = treated(session, LATER_ON, datetime(2026, 6, 6, 15, tzinfo=UTC))
    answer_visit(session, visit_of(session, kept, "last-infusion"), datetime(2026, 6, 7, 15, tzinfo=UTC), {})
    session.commit()
    return kept, other


def exported(client: FlaskClient) -> list[dict[str, str]]:
    with client.get("/results/wide.csv") as download:
        return list(csv.DictReader(io.StringIO(download.get_data(as_text=True).lstrip("\ufeff"))))


def test_files_name_the_kept_record_and_count_its_courses_by_date(
    client: FlaskClient, session: Session, settings: Settings, clock: Clock
) -> None:
    kept, other = two_courses(session, clock)
    sign_in(client, add_account(session, "researcher"))
    assert {row["USUBJID"] for row in exported(client)} == {kept.study_code, other.study_code}
    merge(session, other, kept, now=AT)
    rows = exported(client)
    assert {row["USUBJID"] for row in rows} == {kept.study_code}
    assert {(row["COURSE"], row["VISITNUM"]) for row in rows if row["VISITNUM"] == "2"} == {("1", "2"), ("2", "2")}
    separate(session, other, now=AT)
    merge(session, other, kept, course_of_record(session, other), now=AT)
    assert {row["COURSE"] for row in exported(client)} == {"1"}


def test_figures_after_a_merge_and_its_end_equal_a_rebuild(session: Session, clock: Clock) -> None:
    kept, other = two_courses(session, clock)
    aggregates.rebuild(session, now=AT)
    whole = figures(session)
    merge(session, other, kept, course_of_record(session, other), now=AT)
    aggregates.refresh(session, now=AT)
    merged = figures(session)
    assert merged != whole
    aggregates.rebuild(session, now=AT)
    assert figures(session) == merged
    separate(session, other, now=AT + timedelta(hours=1))
    aggregates.refresh(session, now=AT + timedelta(hours=1))
    assert figures(session) == whole


def figures(session: Session) -> set[tuple[Any, ...]]:
    session.flush()
    session.expire_all()
    columns = [column for column in Aggregate.__table__.columns if column.name not in ("id", "refreshed_at")]
    return {tuple(row) for row in session.execute(select(*columns))}


def test_the_trend_and_fhir_show_both_records(client: FlaskClient, session: Session, clock: Clock) -> None:
    kept, other = two_courses(session, clock)
    merge(session, other, kept, now=AT)
    coordinator = client
    sign_in(coordinator, add_account(session, "coordinator"))
    page = coordinator.get(f"/subjects/{kept.id}").text
    assert "Course 1" in page
    assert "Course 2" in page
    patient = coordinator.get(f"/fhir/Patient/{other.study_code}").get_json()
    assert patient["link"] == [{"other": {"reference": f"Patient/{kept.study_code}"}, "type": "replaced-by"}]
    assert patient["active"] is False
    everything = coordinator.get(f"/fhir/Patient/{kept.study_code}/$everything").get_json()
    resources = [entry["resource"] for entry in everything["entry"]]
    assert resources[0]["link"] == [{"other": {"reference": f"Patient/{other.study_code}"}, "type": "replaces"}]
    assert len({each["authored"] for each in resources if each["resourceType"] == "QuestionnaireResponse"}) == 2


def test_an_infusion_after_the_merge_is_recorded_with_the_newest_course(session: Session, clock: Clock) -> None:
    kept, other = two_courses(session, clock)
    merge(session, kept, other, now=AT)
    newest = course_of(session, other)
    assert newest.subject_id == kept.id
    record_infusions(session, newest, AT, date(2026, 6, 9))
    assert len(newest.infusions) == 6


def test_a_merge_needs_a_reason_and_courses_of_the_other_record(session: Session) -> None:
    kept, other = pair(session)
    with pytest.raises(InvalidInput, match="how you know"):
        merges.merge(session, COORDINATOR, other, MergeFacts(kept, frozenset(), " "), now=NOW)
    with pytest.raises(InvalidInput, match="not of this record"):
        merge(session, other, kept, course_of_record(session, kept))


@pytest.mark.dialects("sqlite")
def test_the_preview_warns_of_what_differs(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session, birth_date=date(1980, 1, 1))
    enrolment.withdraw(session, COORDINATOR, other, WithdrawalFacts("moved away"), now=NOW)
    page = by_pages(coordinator, other, kept.study_code).text
    assert "The dates of birth differ." in page
    assert "the patient will be asked again" in page


@pytest.mark.dialects("sqlite")
def test_a_merged_person_is_enrolled_by_neither_number_again(coordinator: FlaskClient, session: Session) -> None:
    kept, other = pair(session)
    merge(session, other, kept)
    facts = {"given_name": "Zoë", "family_name": "Demo"}
    page = submit(coordinator, "/subjects/new", {**FORM, **facts, "record_number": other.identity.record_number})
    assert "This record number is enrolled already." in page.text
    page = submit(coordinator, "/subjects/new", {**FORM, **facts, "record_number": "NEW-1"})
    assert page.text.count("(opens in a new tab)") == 1, "the kept record stands for both"
    assert kept.study_code in page.text


@pytest.mark.dialects("sqlite")
def test_records_that_share_a_number_are_no_longer_named_once_they_are_merged(session: Session) -> None:
    kept, other = pair(session)
    add_site(session).number_width = 7
    for subject, number in ((kept, "12345"), (other, "0012345")):
        subject.identity.record_number = number
    identity_hashes.refresh(session)
    assert identity_hashes.sharing(session) == [(kept.study_code, other.study_code)]
    merge(session, other, kept)
    assert identity_hashes.sharing(session) == []
    assert enrolment.find_by_record_number(session, "12345.0") == kept


@pytest.mark.dialects("sqlite")
def test_a_roster_adds_infusions_of_either_number_to_the_person(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    kept, other = two_courses(session, clock)
    merge(session, other, kept, now=AT)
    row = {
        **ROW,
        "record_number": other.identity.record_number,
        "given_name": other.identity.given_name,
        "family_name": other.identity.family_name,
        "birth_date": other.identity.birth_date,
        "infusion_on": "2026-06-08",
    }
    session.commit()
    result = run_import(write_roster(tmp_path / "more.csv", row))
    assert "Loaded 0 subjects and 1 infusion." in result.output, result.output
    session.commit()
    assert len(course_of_record(session, kept).infusions) == 6


def test_a_course_without_a_date_ends_nothing_of_the_other_record(session: Session, clock: Clock) -> None:
    kept = treated(session, date(2026, 2, 26), NOW)
    other = add_subject(session, NOW)
    before = plan_preview.current_plan(session, kept.id, now=NOW)
    assert before.visits
    merge(session, other, kept)
    assert plan_preview.current_plan(session, kept.id, now=NOW) == before
