"""Changes of courses: corrected or removed infusions, a reverted end, a next course, staff-entered dates."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import EndReason
from pro_tracker.models.call import Call
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.instruments import data_files
from pro_tracker.services.planning import idle_courses, plan_preview, planned_messages
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import export_rows, unanswered_counts
from pro_tracker.services.treatment import anchor_dates, course_plans, courses, infusion_corrections
from pro_tracker.services.treatment.anchor_dates import AnchorDateFacts
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import AdverseEventFacts, CourseEndFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from tests.conftest import Clock
from tests.support.course_builder import (
    COORDINATOR,
    add_course,
    add_subject,
    infusion,
    messages_of,
    record_infusions,
    visits_of,
)
from tests.support.history_builder import course_of, treated, visit_of
from tests.support.staff_browser import add_account, save, sign_in, submit
from tests.treatment.test_infusions import FORM, NAUSEA

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10 in the morning in New York
WEEK = [date(2026, 3, day) for day in (9, 10, 11, 12, 13)]
AFTER = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)  # Friday afternoon, the fifth infusion given
REASON = "typed wrongly"


def going(session: Session, subject: Subject) -> list[Message]:
    """The planned messages."""
    session.flush()
    session.expire_all()
    rows = select(Message).where(Message.subject_id == subject.id, Message.state == "planned")
    return list(session.scalars(rows.order_by(Message.send_at)))


def due_now(session: Session, subject: Subject, now: datetime) -> list[str]:
    """The study events with a message that is due at once."""
    plan = plan_preview.current_plan(session, subject.id, now=now)
    return [message.event for message in plan.messages if message.at is None]


def test_a_corrected_date_keeps_the_old_row_and_moves_the_visits_anchored_to_it(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, WEEK[0])
    nausea = AdverseEventFacts("nausea", 2)
    last = record_infusions(session, course, AFTER, *WEEK, adverse_events=(nausea,))[-1]
    facts = infusion(WEEK[3], started_at_local=None, adverse_events=(nausea, AdverseEventFacts("itch", 1)))
    corrected = infusion_corrections.correct(
        session, COORDINATOR, last, InfusionCorrectionFacts(facts, REASON), now=AFTER
    )
    session.expire_all()
    assert corrected.replaces_id == last.id
    assert (last.given_on, last.void_reason, [event.term for event in last.adverse_events]) == (
        WEEK[4],
        REASON,
        ["nausea"],
    )
    assert [event.term for event in corrected.adverse_events] == ["nausea", "itch"]
    assert len(course.infusions) == 5
    assert course.voided_infusions == [last]
    assert {v.anchor_on for code, v in visits_of(session, course).items() if code != "baseline"} == {WEEK[3]}


def test_a_correction_may_repeat_date_and_start_of_the_row_it_replaces(session: Session) -> None:
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    first = record_infusions(session, course, AFTER, WEEK[0])[0]
    lighter = infusion(WEEK[0], weight_kg=Decimal("65.5"))
    corrected = infusion_corrections.correct(
        session, COORDINATOR, first, InfusionCorrectionFacts(lighter, REASON), now=AFTER
    )
    assert course.infusions == [corrected]
    with pytest.raises(InvalidInput, match="corrected since"):
        infusion_corrections.remove(session, COORDINATOR, first, reason=REASON, now=AFTER)
    with pytest.raises(InvalidInput, match="Nothing differs"):
        infusion_corrections.correct(
            session, COORDINATOR, corrected, InfusionCorrectionFacts(lighter, REASON), now=AFTER
        )


def test_removing_an_infusion_voids_its_follow_ups_until_the_next_one(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, WEEK[0])
    last = record_infusions(session, course, AFTER, *WEEK)[-1]
    infusion_corrections.remove(session, COORDINATOR, last, reason=REASON, now=AFTER)
    stored = visits_of(session, course)
    assert {code for code, visit in stored.items() if visit.void_reason == "no-date"} == {
        "last-infusion",
        "3-months",
        "6-months",
    }
    assert going(session, subject) == []
    record_infusions(session, course, AFTER + timedelta(days=1), date(2026, 3, 14))
    stored = visits_of(session, course)
    assert [visit.voided_at for visit in stored.values()] == [None] * 4
    assert stored["3-months"].anchor_on == date(2026, 3, 14)
    assert [message.step for message in messages_of(session, stored["3-months"]) if message.state == "planned"] == [
        *range(4)
    ]


def test_a_reopened_course_has_no_follow_ups_and_keeps_its_former_end_reason(session: Session) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, WEEK[0])
    now = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)
    record_infusions(session, course, now, *WEEK[:2])
    courses.end_course(session, COORDINATOR, course, CourseEndFacts(WEEK[1], "nausea"), now=now)
    courses.reopen_course(session, COORDINATOR, course, reason="another patient", now=now)
    assert going(session, subject) == []
    kept = session.scalars(select(Correction)).one()
    assert (kept.what, kept.before["end_reason"], kept.reason) == ("course-end", "nausea", "another patient")
    idle_courses.plan_idle(session, now=now + timedelta(days=6))
    assert going(session, subject) == []
    idle_courses.plan_idle(session, now=now + timedelta(days=8))
    assert visit_of(session, subject, "3-months").anchor_on == WEEK[1]
    assert visit_of(session, subject, "3-months").voided_at is None


def test_follow_ups_that_lost_their_date_are_revived_when_the_course_is_idle(
    session: Session,
) -> None:
    subject = add_subject(session, NOW)
    course = add_course(session, subject, NOW, WEEK[0])
    now = datetime(2026, 3, 13, 20, 0, tzinfo=UTC)
    last = record_infusions(session, course, now, *WEEK)[-1]
    now += timedelta(days=1)
    visit_of(session, subject, "last-infusion").started_at = now  # so it stays
    infusion_corrections.remove(session, COORDINATOR, last, reason=REASON, now=now)
    assert visit_of(session, subject, "3-months").void_reason == "no-date"
    idle_courses.plan_idle(session, now=now + timedelta(days=8))
    visit = visit_of(session, subject, "3-months")
    assert (visit.anchor_on, visit.void_reason) == (WEEK[3], None)
    assert visit_of(session, subject, "last-infusion").anchor_on == WEEK[4]


def test_visits_that_closed_before_infusions_were_entered_are_missed(session: Session) -> None:
    """Idle after the third infusion, continued with the fourth, complete with the fifth."""
    course = add_course(session, add_subject(session, NOW), NOW, WEEK[0])
    for on in WEEK[:3]:
        record_infusions(session, course, datetime(on.year, on.month, on.day, 20, tzinfo=UTC), on)
    idle_courses.plan_idle(session, now=datetime(2026, 3, 18, 20, tzinfo=UTC))
    late = datetime(2026, 3, 19, 20, tzinfo=UTC)
    record_infusions(session, course, late, date(2026, 3, 14))
    assert visits_of(session, course)["last-infusion"].void_reason == "no-date"
    record_infusions(session, course, late, date(2026, 3, 15))
    visit = visits_of(session, course)["last-infusion"]
    assert (visit.anchor_on, visit.void_reason, visit.missed_reason) == (date(2026, 3, 15), None, "entered-late")


def test_postponing_a_new_course_revives_the_visits_of_the_earlier_one(session: Session) -> None:
    subject = add_subject(session, NOW)
    first = add_course(session, subject, NOW, WEEK[0])
    record_infusions(session, first, AFTER, *WEEK)
    now = datetime(2026, 7, 1, 16, 0, tzinfo=UTC)
    second = add_course(session, subject, now, date(2026, 7, 20))
    assert visits_of(session, first)["6-months"].void_reason == "new-course"
    later, put_off = now + timedelta(days=1), date(2026, 12, 1)
    course_plans.change_plan(session, COORDINATOR, second, CoursePlanFacts(put_off, 5), now=later)
    revived = visits_of(session, first)["6-months"]
    assert revived.voided_at is None
    assert [message.state for message in messages_of(session, revived)] == ["planned"] * 4
    assert len({message.key for message in messages_of(session, revived)}) == 4


def test_superseded_visits_are_exported_and_counted_even_before_they_opened(session: Session) -> None:
    subject = add_subject(session, NOW)
    first = add_course(session, subject, NOW, WEEK[0])
    record_infusions(session, first, AFTER, *WEEK)
    infusion_corrections.remove(session, COORDINATOR, first.infusions[-1], reason=REASON, now=AFTER)
    record_infusions(session, first, AFTER, WEEK[4])
    now = datetime(2026, 6, 1, 16, 0, tzinfo=UTC)
    add_course(session, subject, now, date(2026, 6, 15))
    unanswered.record_missed(session, now=now)
    rows = export_rows.records(session, now=now)
    ended = [row.event_code for row in rows if row.course_number == first.number and row.reason == "new-course"]
    assert ended == ["3-months", "6-months"]
    assert unanswered_counts.by_event(session, ["north"], {})["ketamine-5day", "6-months"].others == "few"


def test_a_course_that_ends_without_an_infusion_never_took_place(session: Session) -> None:
    subject = add_subject(session, NOW)
    first = add_course(session, subject, NOW, WEEK[0])
    record_infusions(session, first, AFTER, *WEEK)
    now = datetime(2026, 7, 1, 16, 0, tzinfo=UTC)
    second = add_course(session, subject, now, date(2026, 7, 20))
    courses.end_course(session, COORDINATOR, second, CourseEndFacts(date(2026, 7, 1), "a mistake"), now=now)
    assert visits_of(session, first)["6-months"].voided_at is None
    assert [visit.void_reason for visit in visits_of(session, second).values()] == ["no-date"]
    asked = {visits_of(session, first)[code].id for code in ("3-months", "6-months")}
    assert {message.visit_id for message in going(session, subject)} == asked


@pytest.mark.parametrize("weeks_late", [1, 3, 7, 11, 14, 26, 29])
@pytest.mark.dialects("sqlite")
def test_infusions_entered_late_lead_to_at_most_one_message_at_once(session: Session, weeks_late: int) -> None:
    now = AFTER + timedelta(weeks=weeks_late)
    subject = add_subject(session, now, enrolled_on=date(2026, 2, 20))
    course = add_course(session, subject, now, WEEK[0])
    record_infusions(session, course, now, *WEEK)
    at_once = due_now(session, subject, now)
    open_now = [v for v in visits_of(session, course).values() if v.opens_at <= now < v.closes_at]
    assert len(at_once) == len(open_now) <= 1


@pytest.fixture
def overlapping(tmp_path: Path) -> Iterator[str]:
    """A protocol whose follow-ups stay open for a year, with one event on a staff-entered date; returns its code."""
    text = (protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8")
    text = text.replace("code: ketamine-5day", "code: a-long-one").replace("closes: 120", "closes: 365")
    text = text.replace("closes: 222", "closes: 365")
    staff_entered = "  - code: surgery\n    titles: {en: Surgery}\n    anchor: by-hand\n"
    staff_entered += "    window: {opens: 0, due: 7, closes: 14}\n    battery: [pain-intensity-nrs]\n"
    (tmp_path / "protocols").mkdir()
    place = tmp_path / "protocols" / "a-long-one.yaml"
    place.write_text(text.replace("\nmessages:", f"\n{staff_entered}\nmessages:", 1), encoding="utf-8")
    data_files.set_data_folder(tmp_path)
    yield "a-long-one"
    data_files.set_data_folder(None)


def long_course(session: Session, now: datetime, code: str) -> Course:
    course = course_of(session, add_subject(session, now, enrolled_on=date(2026, 2, 20), protocol=code))
    assert course.protocol_code == code
    return course


def test_a_subject_entered_late_is_reminded_of_the_newest_open_visit_only(session: Session, overlapping: str) -> None:
    """Both open visits (3 and 6 months) have no message yet; the older one is due after the newer one is answered."""
    now = AFTER + timedelta(days=210)
    course = long_course(session, now, overlapping)
    record_infusions(session, course, now, *WEEK)
    subject = session.get_one(Subject, course.subject_id)
    assert due_now(session, subject, now) == ["6 months"]
    stored = visits_of(session, course)
    assert {message.visit_id for message in going(session, subject)} == {stored["6-months"].id}
    idle_courses.plan_idle(session, now=now + timedelta(hours=1))
    calls.open_due(session, now=now + timedelta(hours=1))
    assert session.scalars(select(Call.visit_id)).all() == [], "no call about the older one yet"
    assert {message.visit_id for message in going(session, subject)} == {stored["6-months"].id}
    stored["6-months"].completed_at = now + timedelta(days=1)
    planned_messages.end_all(session, [stored["6-months"].id], EndReason.ANSWERED)
    idle_courses.plan_idle(session, now=now + timedelta(days=1))
    assert due_now(session, subject, now + timedelta(days=1)) == ["3 months"]


def test_two_visits_planned_in_time_both_have_reminders(session: Session, overlapping: str) -> None:
    course = long_course(session, NOW, overlapping)
    record_infusions(session, course, AFTER, *WEEK)
    stored = visits_of(session, course)
    assert len(messages_of(session, stored["3-months"])) == len(messages_of(session, stored["6-months"])) == 4


def test_an_event_is_anchored_to_its_staff_entered_date_and_moves_with_it(session: Session, overlapping: str) -> None:
    course = long_course(session, NOW, overlapping)
    assert [event.code for event in anchor_dates.staff_entered_events(course)] == ["surgery"]
    assert "surgery" not in visits_of(session, course)
    for day in (5, 6):
        chosen = AnchorDateFacts("surgery", date(2026, 4, day), "letter of the surgeon")
        anchor_dates.set_date(session, COORDINATOR, course, chosen, now=NOW)
        assert visits_of(session, course)["surgery"].anchor_on == date(2026, 4, day)
    anchor_dates.set_date(session, COORDINATOR, course, AnchorDateFacts("surgery", None, "called off"), now=NOW)
    assert visits_of(session, course)["surgery"].void_reason == "no-date"
    before = [kept.before["anchor_on"] for kept in session.scalars(select(Correction).order_by(Correction.id))]
    assert before == ["2026-04-05", "2026-04-06"]
    with pytest.raises(InvalidInput, match="follows from the course"):
        anchor_dates.set_date(session, COORDINATOR, course, AnchorDateFacts("3-months", WEEK[0], "x"), now=NOW)
    with pytest.raises(InvalidInput, match="where this date comes from"):
        anchor_dates.set_date(session, COORDINATOR, course, AnchorDateFacts("surgery", WEEK[0], " "), now=NOW)


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A course with five infusions, the last one today; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return treated(session, date(2026, 2, 26), clock.now)


def correction_of(given: Infusion, **changes: str) -> dict[str, str]:
    parts = {"day": given.given_on.day, "month": given.given_on.month, "year": given.given_on.year}
    typed = {key: value for key, value in FORM.items() if key != "end_reason"}
    return {**typed, **{f"given_on-{part}": str(value) for part, value in parts.items()}, "reason": REASON, **changes}


def test_an_infusion_is_corrected_on_its_own_page_and_both_rows_are_shown(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    given = course_of(session, subject).infusions[-1]
    page = f"/subjects/{subject.id}/infusions/{given.id}"
    assert page in client.get(f"/subjects/{subject.id}").text
    assert 'name="dose_mg_per_kg" type="text" value="0.5"' in client.get(page).text
    wrong = submit(client, page, correction_of(given, weight_kg="", reason=""))
    assert "Enter the weight." in wrong.text
    assert "Say why the infusion is corrected." in wrong.text
    answer = save(client, page, correction_of(given, weight_kg="68", **NAUSEA))
    assert answer.status_code == 303
    shown = client.get(f"/subjects/{subject.id}").text
    assert "Corrected or removed: 1" in shown
    assert REASON in shown
    assert "nausea, grade 1" in shown
    assert client.get(page).status_code == 303  # to the row that corrects it


def test_an_infusion_is_removed_and_the_difference_is_shown_before(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    given = course_of(session, subject).infusions[-1]
    page = f"/subjects/{subject.id}/infusions/{given.id}"
    shown = submit(client, f"{page}/remove", {"remove-reason": "not given"}, page=page)
    assert shown.status_code == 200
    assert "Nothing is saved yet." in shown.text
    assert shown.text.count(">Dropped</span>") > 4
    assert len(course_of(session, subject).infusions) == 5
    assert save(client, f"{page}/remove", {"remove-reason": "not given"}, page=page).status_code == 303
    assert len(course_of(session, subject).infusions) == 4
    assert visit_of(session, subject, "3-months").void_reason == "no-date"


@pytest.mark.dialects("sqlite")
def test_a_course_ended_in_error_is_reopened_on_its_page(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, date(2026, 2, 28), clock.now, n_infusions=3)
    page = f"/subjects/{subject.id}/course"
    on = {"end-ended_on-day": "2", "end-ended_on-month": "3", "end-ended_on-year": "2026", "end-reason": "enough"}
    save(client, f"{page}/end", on, page=page)
    assert "It was ended by mistake" in client.get(page).text
    assert "Say why it is reverted." in submit(client, f"{page}/reopen", {"reopen-reason": ""}, page=page).text
    assert save(client, f"{page}/reopen", {"reopen-reason": "wrong patient"}, page=page).status_code == 303
    assert course_of(session, subject).ended_on is None


@pytest.mark.dialects("sqlite")
def test_a_staff_entered_date_is_set_on_the_courses_page(
    client: FlaskClient, session: Session, clock: Clock, overlapping: str
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, protocol=overlapping)
    page = f"/subjects/{subject.id}/course"
    assert "Dates entered by staff" in client.get(page).text
    chosen = {"date-anchor_on-day": "20", "date-anchor_on-month": "3", "date-anchor_on-year": "2026"}
    chosen |= {"date-event_code": "surgery", "date-reason": "letter of the surgeon"}
    assert save(client, f"{page}/date", chosen, page=page).status_code == 303
    assert visit_of(session, subject, "surgery").anchor_on == date(2026, 3, 20)
    assert "letter of the surgeon" in client.get(page).text
