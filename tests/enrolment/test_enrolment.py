"""Enrolling one person: what is rejected and why, and what an enrolment stores."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.domain.record_numbers import NO_RULES
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Consent, Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.enrolment import EnrolmentFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
SITES = dict.fromkeys(("north", "south"), NO_RULES)
COORDINATOR = Actor(ActorKind.ACCOUNT, "1")
FACTS = EnrolmentFacts(
    record_number="MRN-1",
    given_name="Zoë",
    family_name="O'Demo",
    birth_date=date(1980, 3, 3),
    sex="female",
    email="zoe@patients.example",
    mobile="+1 (216) 555-0123",
    language="en",
    time_zone="America/New_York",
    site_code="north",
    enrolled_on=date(2026, 3, 2),
    consent_version="2026-01",
    consent_on=date(2026, 3, 1),
)


@pytest.fixture(autouse=True)
def _sites(session: Session) -> None:
    for code in ("north", "south"):
        session.add(Site(code=code, name=code.title(), time_zone="America/New_York", phone="+1 216 555 0100"))
    session.commit()


def problems(**changes: Any) -> dict[str, str]:
    facts = replace(FACTS, **changes)
    return {problem.field: problem.reason for problem in enrolment.check(facts, sites=SITES, now=NOW)}


def test_valid_facts_have_no_problem() -> None:
    assert problems() == {}


def test_neither_email_nor_mobile_number_is_needed() -> None:
    assert problems(email="", mobile="") == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("record_number", "  "),
        ("birth_date", None),
        ("birth_date", date(2031, 4, 1)),
        ("birth_date", date(1880, 4, 1)),
        ("sex", "F"),
        ("email", "not-an-address"),
        ("email", "a@b@patients.example"),
        ("mobile", "12"),
        ("mobile", "2165550123"),
        ("mobile", "+1 216 555 0123 ext. 4"),
        ("language", "xx"),
        ("time_zone", "America/Cleveland"),
        ("time_zone", "../../etc/passwd"),
        ("site_code", "east"),
        ("enrolled_on", None),
        ("enrolled_on", date(2026, 3, 4)),
        ("consent_version", ""),
        ("consent_on", None),
        ("consent_on", date(1979, 1, 1)),
        ("preferred_channel", "pigeon"),
        ("planned_infusions", 0),
        ("family_name", "O'\x00Demo"),
        ("family_name", "x" * 201),
    ],
)
def test_an_invalid_fact_names_its_field_without_the_value(field: str, value: Any) -> None:
    found = problems(**{field: value})
    assert list(found) == [field]
    if isinstance(value, str) and len(value) > 2:
        assert value not in found[field]


def test_all_problems_are_reported_at_once() -> None:
    assert set(problems(record_number="", sex="?", consent_version="")) == {"record_number", "sex", "consent_version"}


def test_text_messages_need_a_mobile_number() -> None:
    assert list(problems(preferred_channel="sms", mobile="")) == ["preferred_channel"]


def test_today_is_the_subjects_local_date() -> None:
    tomorrow_in_sydney = date(2026, 3, 3)
    assert problems(enrolled_on=tomorrow_in_sydney, time_zone="Australia/Sydney") == {}
    assert list(problems(enrolled_on=tomorrow_in_sydney, time_zone="America/New_York")) == ["enrolled_on"]


def test_an_enrolled_subject_can_be_found_by_record_number(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, FACTS, now=NOW)
    session.commit()
    session.expunge_all()

    found = enrolment.find_by_record_number(session, " MRN-1 ")
    assert found is not None
    assert found.id == subject.id
    assert (found.study_code, found.age_years, found.preferred_channel) == ("north-0001", 45, "email")
    assert found.identity.full_name == "Zoë O'Demo"
    assert {contact.channel: contact.address for contact in found.contacts} == {
        "email": "zoe@patients.example",
        "sms": "+12165550123",
    }
    assert session.scalars(select(Consent.version)).all() == ["2026-01"]
    assert enrolment.find_by_record_number(session, "MRN-2") is None


def test_identity_is_not_readable_in_the_database(session: Session) -> None:
    enrolment.enrol(session, COORDINATOR, replace(FACTS, given_name="Theodora"), now=NOW)
    session.commit()
    stored: list[str] = []
    for name in ("subject", "identity", "contact"):
        stored += map(repr, session.execute(text(f"SELECT * FROM {name}")))
    for secret in ("MRN-1", "Demo", "Theodora", "1980-03-03", "patients.example", "2165550123"):
        assert not any(secret in row for row in stored)


def test_a_decomposed_name_is_stored_composed(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, replace(FACTS, given_name=" Zoe\u0308 "), now=NOW)
    assert subject.identity.given_name == "Zo\u00eb"


def test_one_record_number_is_enrolled_once(session: Session) -> None:
    enrolment.enrol(session, COORDINATOR, FACTS, now=NOW)
    with pytest.raises(DuplicateRecord) as refused:
        enrolment.enrol(session, COORDINATOR, replace(FACTS, given_name="Other"), now=NOW)
    assert refused.value.field == "record_number"
    session.commit()
    assert session.scalar(select(func.count()).select_from(Subject)) == 1


def test_invalid_facts_are_rejected_and_nothing_is_stored(session: Session) -> None:
    with pytest.raises(InvalidInput) as refused:
        enrolment.enrol(session, COORDINATOR, replace(FACTS, consent_version=""), now=NOW)
    assert refused.value.field == "consent_version"
    assert session.scalar(select(func.count()).select_from(Subject)) == 0


def test_each_site_numbers_its_own_subjects(session: Session) -> None:
    codes = [
        enrolment.enrol(session, COORDINATOR, replace(FACTS, record_number=number, site_code=site), now=NOW).study_code
        for number, site in (("a", "north"), ("b", "south"), ("c", "north"))
    ]
    assert codes == ["north-0001", "south-0001", "north-0002"]


def test_with_a_mobile_number_alone_messages_are_sent_by_sms(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, replace(FACTS, email=""), now=NOW)
    assert subject.preferred_channel == "sms"
    assert session.scalars(select(Contact.channel)).all() == ["sms"]


def test_enrolment_leaves_an_audit_row_without_identity(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, FACTS, now=NOW)
    session.commit()
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.enrol")).one()
    assert (event.actor_kind, event.actor_id, event.subject_id) == ("account", "1", subject.id)
    assert "Demo" not in event.detail


def test_enrolment_starts_a_course_and_plans_the_baseline(session: Session) -> None:
    facts = replace(FACTS, planned_start_on=date(2026, 3, 9), planned_infusions=7)
    subject = enrolment.enrol(session, COORDINATOR, facts, now=NOW)
    session.commit()
    course = session.scalars(select(Course)).one()
    assert (course.subject_id, course.number, course.planned_infusions) == (subject.id, 1, 7)
    visit = session.scalars(select(Visit)).one()
    assert (visit.event_code, visit.anchor_on) == ("baseline", date(2026, 3, 9))
    assert session.scalars(select(Message)).all()


def test_without_a_start_date_nothing_is_planned_yet(session: Session) -> None:
    enrolment.enrol(session, COORDINATOR, FACTS, now=NOW)
    assert session.scalars(select(Course.planned_infusions)).all() == [5]
    assert session.scalars(select(Visit)).all() == []


def test_withdrawal_voids_visits_and_ends_messages(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, replace(FACTS, planned_start_on=date(2026, 3, 9)), now=NOW)
    visit = session.scalars(select(Visit)).one()
    session.add(Call(subject_id=subject.id, visit_id=visit.id, reason="no-contact", opened_at=NOW))
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts(" moved away "), now=NOW)
    session.commit()
    session.expire_all()

    assert (subject.withdrawn_at, subject.withdrawn_reason) == (NOW, "moved away")
    assert (visit.voided_at, visit.void_reason) == (NOW, "withdrawn")
    assert set(session.scalars(select(Message.state))) == {"ended"}
    assert session.scalars(select(Call.outcome)).all() == ["no-longer-wanted"]
    assert session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()[-1] == "subject.withdraw"


def test_withdrawal_needs_a_reason_and_happens_once(session: Session) -> None:
    subject = enrolment.enrol(session, COORDINATOR, FACTS, now=NOW)
    with pytest.raises(InvalidInput) as refused:
        enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts(" "), now=NOW)
    assert refused.value.field == "reason"
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=NOW)
    with pytest.raises(InvalidInput):
        enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("again"), now=NOW)
