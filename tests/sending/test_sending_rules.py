"""Pauses, infusions, "not today", own hours, moves and both channels decide when messages are sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.protocol import ChannelWord, ReminderStep
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.interruption import Pause, Snooze
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering import links, visit_context
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import planned_messages, visit_filters, visits
from pro_tracker.services.protocols import protocol_catalog
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR, messages_of, record_infusions
from tests.support.sending_fixtures import DUE, SendingHarness, add_baseline, at, baseline


def waiting(session: Session, course: Course) -> list[tuple[str, int, str, datetime]]:
    """Kind, step, channel and moment of what is still to be sent about the baseline, the next first."""
    rows = [each for each in messages_of(session, baseline(session, course)) if each.state == "planned"]
    return [(each.kind, each.step, each.channel, each.send_at) for each in sorted(rows, key=lambda each: each.send_at)]


def subject_of(session: Session, course: Course) -> Subject:
    return session.get_one(Subject, course.subject_id)


def pause(session: Session, course: Course, from_on: date, until_on: date | None) -> Pause:
    """A pause as it is recorded, before messages are planned again."""
    found = Pause(
        subject_id=course.subject_id, from_on=from_on, until_on=until_on, reason="In hospital", recorded_at=DUE
    )
    session.add(found)
    session.commit()
    return found


def snooze(session: Session, course: Course, requested_at: datetime, days: int) -> None:
    until_on = requested_at.date() + timedelta(days=days)
    session.add(Snooze(visit_id=baseline(session, course).id, days=days, until_on=until_on, requested_at=requested_at))
    visits.plan(session, course, now=requested_at)
    session.commit()


def replan(session: Session, course: Course, clock: Clock) -> None:
    visits.replan(session, course.subject_id, now=clock.now)
    session.commit()


def test_no_message_is_sent_in_a_pause_and_the_newest_is_sent_after_it(
    session: Session, clock: Clock, course: Course
) -> None:
    pause(session, course, date(2026, 3, 6), date(2026, 3, 10))
    replan(session, course, clock)
    assert waiting(session, course) == [
        ("reminder", 1, "email", at(3, 11, 9)),
        ("reminder", 2, "sms", at(3, 13, 9)),
        ("reminder", 3, "sms", at(3, 18, 9)),
    ]


def test_a_pause_that_was_recorded_after_planning_holds_a_claimed_message(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    pause(session, course, date(2026, 3, 6), date(2026, 3, 7))
    assert post.deliver(claimed) == "planned"
    assert waiting(session, course)[0] == ("reminder", 0, "email", at(3, 8, 9))
    clock.set(at(3, 8, 9))
    assert post.sweep() == ["sent"]


@pytest.mark.parametrize("outcome", sorted(STOP_REMINDERS_AFTER))
def test_a_refusal_by_telephone_ends_a_claimed_reminder_and_not_a_link_that_the_patient_asks_for(
    session: Session, clock: Clock, course: Course, post: SendingHarness, outcome: CallOutcome
) -> None:
    (claimed,) = post.claim()
    visit = baseline(session, course)
    call = Call(subject_id=course.subject_id, visit_id=visit.id, reason="started-not-sent", opened_at=clock.now)
    session.add(call)
    session.flush()
    call_attempts.record(session, COORDINATOR, call.id, CallAttemptFacts(CallAttemptOutcome(outcome)), now=clock.now)
    session.commit()
    assert post.deliver(claimed) == "ended"
    assert session.get_one(Message, claimed, populate_existing=True).end_reason == UnansweredReason(outcome)
    links.request_fresh_link(session, visit_context.by_visit(session, visit.id), now=clock.now)
    session.commit()
    assert post.sweep() == ["sent"]


def test_while_a_pause_has_no_known_end_messages_wait_and_come_when_it_has_one(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    found = pause(session, course, date(2026, 3, 6), None)
    assert post.sweep() == ["planned"]
    replan(session, course, clock)
    assert waiting(session, course) == []
    found.until_on = date(2026, 3, 11)
    clock.set(at(3, 11, 15))
    replan(session, course, clock)
    assert [each[1:] for each in waiting(session, course)] == [
        (1, "email", at(3, 12, 9)),
        (2, "sms", at(3, 13, 9)),
        (3, "sms", at(3, 18, 9)),
    ]


@pytest.fixture
def asked_under_treatment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first event goes on when treatment began."""

    def change(data: dict[str, Any]) -> None:
        data["events"][0]["before_treatment"] = False

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


@pytest.mark.usefixtures("asked_under_treatment")
def test_after_an_infusion_messages_wait_for_the_next_morning(
    session: Session, clock: Clock, post: SendingHarness, request: pytest.FixtureRequest
) -> None:
    course: Course = request.getfixturevalue("course")
    assert post.sweep() == ["sent"]
    clock.set(at(3, 9, 9))
    (claimed,) = post.claim()
    record_infusions(session, course, clock.now, date(2026, 3, 9))  # from 08:30
    session.commit()
    assert post.deliver(claimed) == "planned"
    assert waiting(session, course)[0] == ("reminder", 1, "email", at(3, 10, 9))


def test_a_claimed_message_about_a_baseline_ends_when_treatment_begins(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert post.sweep() == ["sent"]
    clock.set(at(3, 9, 9))
    (claimed,) = post.claim()
    record_infusions(session, course, clock.now, date(2026, 3, 9))  # from 08:30
    session.commit()
    assert post.deliver(claimed) == "ended"
    assert waiting(session, course) == []


def test_not_today_brings_one_message_on_the_day_that_was_chosen(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert post.sweep() == ["sent"]
    snooze(session, course, at(3, 8, 12), 3)
    assert waiting(session, course)[:2] == [
        ("snooze", 0, "email", at(3, 11, 9)),
        ("reminder", 2, "sms", at(3, 13, 9)),
    ]
    for day in (9, 10):
        clock.set(at(3, day, 12))
        assert post.sweep() == []
    clock.set(at(3, 11, 9))
    assert post.sweep() == ["sent"]
    assert post.server.accepted[1].message["Subject"] != post.server.accepted[0].message["Subject"]


def test_not_today_holds_a_message_that_was_claimed_before(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    snooze(session, course, DUE, 1)
    assert post.deliver(claimed) == "planned"
    assert post.server.accepted == []
    clock.set(at(3, 7, 9))
    assert sorted(post.sweep()) == ["ended", "sent"]


def test_an_own_hour_moves_planned_messages(session: Session, clock: Clock, course: Course) -> None:
    subject_of(session, course).message_time = time(18, 30)
    replan(session, course, clock)
    assert [each[3] for each in waiting(session, course)] == [at(3, day, 18, 30) for day in (6, 9, 13, 18)]


def test_after_a_change_of_time_zone_messages_keep_their_local_hour_and_none_is_repeated(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert post.sweep() == ["sent"]
    for zone in ("Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin"):
        subject_of(session, course).time_zone = zone
        replan(session, course, clock)
        here = [each[3].astimezone(ZoneInfo(zone)) for each in waiting(session, course)]
        assert [(each.hour, each.minute) for each in here] == [(9, 0)] * 3
        assert [each[1] for each in waiting(session, course)] == [1, 2, 3]
    assert post.sweep() == []


def test_a_late_message_is_superseded_by_one_that_is_due_on_the_same_day(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    clock.set(at(3, 9, 8, 30))  # the first message waited for three days, and the second comes at nine
    assert post.sweep() == ["ended"]
    clock.set(at(3, 9, 9))
    assert post.sweep() == ["sent"]


def test_in_the_grace_period_a_fresh_link_is_sent_and_a_reminder_is_not(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    visit = baseline(session, course)
    session.add(VisitDraft(visit_id=visit.id, language="en", saved_at=clock.now, grace_until=at(3, 21, 12)))
    common = {"subject_id": visit.subject_id, "visit_id": visit.id, "channel": "email", "step": 9, "created_at": DUE}
    planned = {"local_on": date(2026, 3, 20), "local_time": time(20), "send_at": at(3, 20, 20)}
    for kind, template in (("reminder", "reminder"), ("fresh-link", "fresh-link")):
        session.add(Message(kind=kind, template=template, **common, **planned))
    session.commit()
    clock.set(at(3, 21, 11))
    assert sorted(post.sweep())[-1:] == ["sent"]
    sent = session.scalars(select(Message.kind).where(Message.state == "sent")).all()
    assert sent == ["fresh-link"]


def test_a_subject_who_withdraws_in_the_grace_period_cannot_send_answers(
    session: Session, clock: Clock, course: Course
) -> None:
    visit = baseline(session, course)
    session.add(VisitDraft(visit_id=visit.id, language="en", saved_at=clock.now, grace_until=at(3, 21, 12)))
    clock.set(at(3, 21, 11))
    enrolment.withdraw(session, COORDINATOR, subject_of(session, course), WithdrawalFacts("moved away"), now=clock.now)
    assert baseline(session, course).void_reason == "withdrawn"


def plan_first_step_on_both(session: Session, course: Course, now: datetime) -> None:
    """Plans the baseline's messages with a first step on both channels."""
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    steps = (
        ReminderStep(0, 0, (ChannelWord.BOTH,), "invitation"),
        ReminderStep(1, 3, (ChannelWord.OTHER,), "reminder"),
    )
    visit = baseline(session, course)
    subject = subject_of(session, course)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol_catalog, "bound_to", lambda _: replace(protocol, reminders=steps))
        planned_messages.plan(session, subject, [visit], now=now)
    session.commit()


def test_a_step_on_both_channels_is_sent_once_on_each(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    plan_first_step_on_both(session, course, clock.now)
    first, second = post.claim()
    assert post.deliver(first) == "sent"
    plan_first_step_on_both(session, course, clock.now)  # planned again between the two
    assert post.deliver(second) == "sent"
    plan_first_step_on_both(session, course, clock.now)
    assert [each[1:3] for each in waiting(session, course)] == [(1, "sms")]


def test_a_step_on_both_channels_is_still_sent_when_one_of_them_closes(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    plan_first_step_on_both(session, course, clock.now)
    email = select(Message.id).where(Message.channel == "email", Message.step == 0)
    claimed = post.claim()
    assert post.deliver(session.scalars(email).one()) == "sent"
    session.scalars(select(Contact).where(Contact.channel == "email")).one().state = ContactState.BOUNCED
    plan_first_step_on_both(session, course, clock.now)
    assert [post.deliver(each) for each in claimed] == ["not-claimed", "sent"]


@pytest.mark.parametrize("own_hour", [time(6), time(23, 30)])
def test_an_own_hour_is_moved_out_of_the_quiet_hours(
    session: Session, clock: Clock, course: Course, post: SendingHarness, own_hour: time
) -> None:
    subject_of(session, course).message_time = own_hour
    replan(session, course, clock)
    outcomes: list[Any] = []
    for hours in range(24):
        clock.set(at(3, 6) + timedelta(hours=hours, minutes=45))
        outcomes += [(clock.now, outcome) for outcome in post.sweep()]
    ((sent_at, outcome),) = outcomes
    assert outcome == "sent"
    assert at(3, 6, 8) <= sent_at < at(3, 6, 21)


def test_a_draft_of_another_visit_gives_no_grace(session: Session, clock: Clock, course: Course) -> None:
    visit, other = baseline(session, course), add_baseline(session, clock)
    session.add(VisitDraft(visit_id=visit.id, language="en", saved_at=clock.now, grace_until=at(3, 21, 12)))
    session.commit()
    in_grace = visit_filters.answerable(at(3, 21, 11))
    assert session.scalars(select(Visit.id).where(in_grace)).all() == [visit.id]
    assert session.scalars(select(Visit.id).where(visit_filters.answerable(at(3, 21, 12)))).all() == []
    assert baseline(session, other).grace_until is None
