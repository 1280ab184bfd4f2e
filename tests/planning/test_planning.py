"""From the dates of a course to its visits and messages: planned once, moved with their anchor dates, ended."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain, product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import is_open, visit_status
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering import links
from pro_tracker.services.planning import idle_courses, visit_filters, visits
from pro_tracker.services.treatment import course_plans, courses
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import AdverseEventFacts, CourseEndFacts
from tests.support.course_builder import (
    COORDINATOR,
    add_course,
    add_subject,
    infusion,
    messages_of,
    record_infusions,
    visits_of,
)
from tests.support.staff_browser import add_site

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10 in the morning in New York
WEEK = [date(2026, 3, day) for day in (9, 10, 11, 12, 13)]
AFTER = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)  # Friday afternoon, the fifth infusion given


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


def planned(session: Session, course: Course) -> list[tuple[Any, ...]]:
    """All rows that planning writes, to compare."""
    stored = visits_of(session, course).values()
    windows = [(v.event_code, v.anchor_on, v.opens_at, v.closes_at, v.planned_at, v.voided_at) for v in stored]
    messages = chain.from_iterable(messages_of(session, visit) for visit in stored)
    return [*windows, *((m.key, m.step, m.channel, m.send_at, m.state, m.end_reason) for m in messages)]


def mark_sent(session: Session, message: Message, now: datetime) -> None:
    """Stores the rows of a sent message."""
    session.add(Attempt(message_id=message.id, number=1, provider="smtp", started_at=now, outcome="accepted"))
    message.state, message.sent_at, message.attempts = MessageState.SENT, now, 1
    session.flush()


def test_a_planned_start_plans_the_baseline_and_its_reminders(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, date(2026, 3, 20))
    stored = visits_of(session, course)
    assert list(stored) == ["baseline"]
    assert stored["baseline"].opens_at == at(3, 6, 8)
    assert stored["baseline"].closes_at == datetime(2026, 3, 20, 23, 59, 59, tzinfo=NEW_YORK)
    sends = [(m.step, m.channel, m.send_at, m.template) for m in messages_of(session, stored["baseline"])]
    assert sends == [
        (0, "email", at(3, 6, 9), "invitation"),
        (1, "email", at(3, 9, 9), "reminder"),
        (2, "sms", at(3, 13, 9), "reminder"),
        (3, "sms", at(3, 18, 9), "last-reminder"),
    ]


def test_a_course_without_any_date_has_no_visit(session: Session) -> None:
    assert visits_of(session, add_course(session, add_subject(session, NOW), NOW)) == {}


def test_the_fifth_infusion_plans_the_follow_ups_from_the_last_one_given(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK[:4])
    assert list(visits_of(session, course)) == ["baseline"]
    record_infusions(session, course, AFTER, WEEK[4])
    stored = visits_of(session, course)
    assert list(stored) == ["baseline", "last-infusion", "3-months", "6-months"]
    assert stored["last-infusion"].opens_at == at(3, 14, 8)
    assert stored["last-infusion"].closes_at == datetime(2026, 3, 16, 23, 59, 59, tzinfo=NEW_YORK)
    assert stored["3-months"].opens_at.astimezone(NEW_YORK).date() == date(2026, 3, 13) + timedelta(days=76)
    assert stored["6-months"].closes_at.astimezone(NEW_YORK).date() == date(2026, 3, 13) + timedelta(days=222)
    assert [m.step for m in messages_of(session, stored["last-infusion"])] == [0]


def test_planning_again_changes_nothing(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK)
    before = planned(session, course)
    for hours in (0, 1, 12):
        visits.plan(session, course, now=AFTER + timedelta(hours=hours))
    assert planned(session, course) == before


def test_a_sixth_infusion_moves_unopened_visits_and_their_messages(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK)
    first = messages_of(session, visits_of(session, course)["3-months"])
    record_infusions(session, course, at(3, 14, 7), date(2026, 3, 14))
    stored = visits_of(session, course)
    assert stored["last-infusion"].opens_at == at(3, 15, 8)
    assert stored["3-months"].anchor_on == date(2026, 3, 14)
    moved = messages_of(session, stored["3-months"])
    assert [m.key for m in moved] == [m.key for m in first]
    assert moved[0].send_at.astimezone(NEW_YORK).date() == date(2026, 3, 14) + timedelta(days=76)


def test_a_visit_with_a_sent_message_does_not_move(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK)
    notified = visits_of(session, course)["last-infusion"]
    mark_sent(session, messages_of(session, notified)[0], at(3, 14, 9))
    record_infusions(session, course, at(3, 14, 11), date(2026, 3, 14))
    stored = visits_of(session, course)
    assert stored["last-infusion"].anchor_on == date(2026, 3, 13)
    assert [m.state for m in messages_of(session, stored["last-infusion"])] == ["sent"]
    assert stored["3-months"].anchor_on == date(2026, 3, 14)


def test_a_visit_opened_on_the_clinic_device_does_not_move_and_others_do(session: Session) -> None:
    tablet, other = (add_course(session, add_subject(session, NOW), NOW, date(2026, 3, 12)) for _ in range(2))
    links.issue(session, visits_of(session, tablet)["baseline"].id, now=NOW)
    for course in (tablet, other):
        course_plans.change_plan(session, COORDINATOR, course, CoursePlanFacts(date(2026, 3, 15), 5), now=NOW)
    assert visits_of(session, tablet)["baseline"].anchor_on == date(2026, 3, 12)
    assert visits_of(session, other)["baseline"].anchor_on == date(2026, 3, 15)


def test_infusions_recorded_long_afterwards_anchor_on_the_last_one(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW)
    a_month_later = at(4, 20, 12)
    record_infusions(session, course, a_month_later, *WEEK, date(2026, 3, 14), date(2026, 3, 15))
    stored = visits_of(session, course)
    assert {visit.anchor_on for visit in stored.values()} == {date(2026, 3, 9), date(2026, 3, 15)}
    assert stored["last-infusion"].anchor_on == date(2026, 3, 15)
    assert messages_of(session, stored["last-infusion"]) == []  # closed: no message is planned
    assert messages_of(session, stored["baseline"]) == []
    assert len(messages_of(session, stored["3-months"])) == 4


def test_a_started_or_answered_visit_does_not_move(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, date(2026, 3, 20))
    visit = visits_of(session, course)["baseline"]
    visit.started_at = at(3, 6, 10)
    record_infusions(session, course, at(3, 10, 12), date(2026, 3, 10))
    assert visits_of(session, course)["baseline"].anchor_on == date(2026, 3, 20)


def test_an_idle_course_is_planned_after_a_week(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK[:2])
    idle_courses.plan_idle(session, now=at(3, 16, 12))
    assert list(visits_of(session, course)) == ["baseline"]
    idle_courses.plan_idle(session, now=at(3, 17, 12))
    assert visits_of(session, course)["3-months"].anchor_on == WEEK[1]
    before = planned(session, course)
    idle_courses.plan_idle(session, now=at(3, 18, 12))
    assert planned(session, course) == before


def test_ending_a_course_plans_its_follow_ups_at_once(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, at(3, 10, 12), *WEEK[:2])
    courses.end_course(session, COORDINATOR, course, CourseEndFacts(WEEK[1], "nausea"), now=at(3, 10, 13))
    assert visits_of(session, course)["last-infusion"].opens_at == at(3, 11, 8)


def test_a_new_course_voids_the_follow_ups_of_the_one_before(session: Session) -> None:
    subject = add_subject(session, NOW)
    first = add_course(session, subject, NOW, WEEK[0])
    record_infusions(session, first, AFTER, *WEEK)
    now = at(7, 1, 12)
    second = add_course(session, subject, now, date(2026, 7, 20))
    stored = visits_of(session, first)
    # The 3-months visit closes on 11 July, before the new course begins; the 6-months visit would lie inside it.
    assert {code: visit.void_reason for code, visit in stored.items() if visit.voided_at} == {"6-months": "new-course"}
    assert {m.end_reason for m in messages_of(session, stored["6-months"])} == {"new-course"}
    assert courses.current_course(session, subject) is second
    assert visits_of(session, second)["baseline"].opens_at == at(7, 6, 8)


def test_an_older_course_entered_late_has_no_visits_during_the_newer_one(session: Session) -> None:
    subject = add_subject(session, NOW)
    now = at(8, 1, 12)
    first, second = add_course(session, subject, now), add_course(session, subject, now)
    record_infusions(session, second, now, *(date(2026, 7, day) for day in (6, 7, 8, 9, 10)))
    record_infusions(session, first, now, *WEEK)
    ended = {code: visit.void_reason for code, visit in visits_of(session, first).items() if visit.voided_at}
    assert ended == {"3-months": "new-course", "6-months": "new-course"}
    assert list(visits_of(session, second)) == ["baseline", "last-infusion", "3-months", "6-months"]


def test_withdrawal_voids_open_visits_and_leaves_missed_ones(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, WEEK[0])
    record_infusions(session, course, AFTER, *WEEK)
    now = at(3, 20, 12)
    visits.void_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
    stored = visits_of(session, course)
    assert [code for code, visit in stored.items() if visit.void_reason] == ["3-months", "6-months"]
    assert {m.state for m in messages_of(session, stored["3-months"])} == {"ended"}
    subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope = now, "moved away", WithdrawalScope.ASKING
    before = planned(session, course)
    visits.replan(session, subject.id, now=now)
    assert planned(session, course) == before


def test_a_subject_without_a_contact_gets_no_message_until_one_is_entered(session: Session) -> None:
    subject = add_subject(session, NOW, email="", mobile="")
    course = add_course(session, subject, NOW, date(2026, 3, 20))
    assert messages_of(session, visits_of(session, course)["baseline"]) == []
    contact = Contact(subject_id=subject.id, channel="sms", address_hash=b"hash", state_at=NOW)
    contact.address = "+12165550199"
    session.add(contact)
    visits.replan(session, subject.id, now=NOW)
    assert {m.channel for m in messages_of(session, visits_of(session, course)["baseline"])} == {"sms"}


def test_when_an_address_fails_later_steps_use_the_other_channel_until_it_is_reopened(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, date(2026, 3, 20))
    visit = visits_of(session, course)["baseline"]
    mark_sent(session, messages_of(session, visit)[0], at(3, 6, 9))
    email = session.scalars(select(Contact).where(Contact.subject_id == subject.id, Contact.channel == "email")).one()
    for state, channel in ((ContactState.BOUNCED, "sms"), (ContactState.ACTIVE, "email")):
        email.state = state
        visits.replan(session, subject.id, now=at(3, 6, 12))
        waiting = {m.step: m.channel for m in messages_of(session, visit) if m.state == "planned"}
        assert waiting == {1: channel, 2: "sms", 3: "sms"}


def test_a_message_in_backoff_keeps_its_next_attempt_when_planned_again(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, date(2026, 3, 20))
    message = messages_of(session, visits_of(session, course)["baseline"])[0]
    message.attempts, message.send_at = 2, at(3, 6, 11)
    visits.plan(session, course, now=at(3, 6, 10))
    assert messages_of(session, visits_of(session, course)["baseline"])[0].send_at == at(3, 6, 11)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"given_on": date(2026, 3, 14)}, "given_on"),
        ({"given_on": date(1926, 3, 9)}, "given_on"),
        ({"dose_mg_per_kg": Decimal(50)}, "dose_mg_per_kg"),
        ({"weight_kg": Decimal(0)}, "weight_kg"),
        ({"minutes": 0}, "minutes"),
        ({"status": "stopped"}, "stop_reason"),
        ({"stop_reason": "nausea"}, "stop_reason"),
        ({"ondansetron_mg": Decimal(80)}, "ondansetron_mg"),
        ({"adverse_events": (AdverseEventFacts("nausea", 6),)}, "adverse_events"),
        ({"adverse_events": (AdverseEventFacts(" ", 1),)}, "adverse_events"),
    ],
)
def test_an_invalid_infusion_is_rejected_with_its_field(session: Session, facts: dict[str, Any], field: str) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    with pytest.raises(InvalidInput) as refused:
        courses.record_infusion(session, COORDINATOR, course, replace(infusion(WEEK[0]), **facts), now=AFTER)
    assert refused.value.field == field
    assert session.scalar(select(func.count()).select_from(Infusion)) == 0


def test_an_infusion_is_dated_in_the_zone_of_the_clinic(session: Session) -> None:
    add_site(session, "auckland", time_zone="Pacific/Auckland")
    evening_in_utc = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)  # already the 14th in Auckland, not in New York
    abroad = add_subject(session, NOW, time_zone="America/New_York", site_code="auckland")
    assert record_infusions(session, add_course(session, abroad, NOW), evening_in_utc, date(2026, 3, 14))
    traveller = add_subject(session, NOW, time_zone="Pacific/Auckland", site_code="north")
    with pytest.raises(InvalidInput, match="lies in the future"):
        record_infusions(session, add_course(session, traveller, NOW), evening_in_utc, date(2026, 3, 14))


def test_a_repeated_infusion_and_a_distant_one_are_rejected(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    record_infusions(session, course, AFTER, WEEK[0])
    with pytest.raises(InvalidInput, match="recorded already"):
        record_infusions(session, course, AFTER, WEEK[0])
    with pytest.raises(InvalidInput, match="recorded already"):
        record_infusions(session, course, AFTER, WEEK[1], WEEK[1], started_at_local=None)
    with pytest.raises(InvalidInput, match="Start a new course"):
        record_infusions(session, course, at(4, 20, 12), date(2026, 4, 20))


def test_an_infusion_is_stored_with_its_facts_and_an_audit_row(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    nausea = AdverseEventFacts("nausea", 2)
    stored = record_infusions(
        session, course, AFTER, WEEK[0], status="stopped", stop_reason=" nausea ", adverse_events=(nausea,)
    )[0]
    session.expire_all()
    assert (stored.stop_reason, stored.dose_mg_per_kg, stored.adverse_events[0].ctcae_grade) == (
        "nausea",
        Decimal("0.5"),
        2,
    )
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions[-2:] == ["course.start", "infusion.record"]


def test_the_status_in_sql_equals_the_status_in_the_domain(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW)
    hours = timedelta(hours=1)
    edges = [NOW + each * hours for each in (-2, -1, 0, 1, 2)]
    windows = [each for each in product(edges, repeat=3) if each[0] <= each[1] <= each[2]]
    facts = [(None, None), (NOW, None), (None, NOW), (NOW, NOW)]
    graces = [None, NOW, NOW + hours]
    for number, ((opens, due, closes), (completed, voided), grace) in enumerate(product(windows, facts, graces)):
        visit = Visit(
            course_id=course.id,
            protocol_code=course.protocol_code,
            protocol_version=course.protocol_version,
            subject_id=subject.id,
            event_code=f"event-{number}",
            visit_number=number,
            anchor_on=NOW.date(),
            opens_at=opens,
            due_at=due,
            closes_at=closes,
            planned_at=NOW,
            completed_at=completed,
            voided_at=voided,
            void_reason="withdrawn" if voided else None,
        )
        session.add(visit)
        session.flush()
        if grace is not None:
            session.add(VisitDraft(visit_id=visit.id, language="en", saved_at=NOW, grace_until=grace))
    session.commit()
    session.expire_all()
    rows = session.execute(select(Visit, visit_filters.status_expression(NOW), visit_filters.answerable(NOW))).all()
    assert len({status for _, status, _ in rows}) == 6
    assert len({visit.grace_until for visit, _, _ in rows}) == 3
    assert [status for _, status, _ in rows] == [visit_status(visit, NOW).value for visit, _, _ in rows]
    assert [bool(answerable) for _, _, answerable in rows] == [is_open(visit, NOW) for visit, _, _ in rows]
