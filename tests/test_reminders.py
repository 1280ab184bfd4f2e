"""From a due message to an accepted mail: claimed once, still wanted, sent with a link, tried again, or shown."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import Outcome, OutgoingMessage, Provider, Receipt
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services import calls, handover, links, outbox, visits
from tests.conftest import Clock
from tests.schedule import COORDINATOR, add_course, add_subject, messages_of, visits_of
from tests.servers.smtp import SmtpServer

NEW_YORK = ZoneInfo("America/New_York")
START = date(2026, 3, 20)
LEASE = timedelta(minutes=2)
BASE_URL = "https://pro-tracker.test"
SENDER = "no-reply@pro-tracker.test"


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


DUE = at(3, 6, 9)  # the baseline's first message


@dataclass
class Post:
    """The sending side of one installation, and the mail server that it hands over to."""

    session: Session
    clock: Clock
    server: SmtpServer
    providers: dict[str, Provider]

    def claim(self) -> list[int]:
        claimed = outbox.claim_due(self.session, now=self.clock.now, limit=100, lease=LEASE)
        self.session.commit()
        return claimed

    def deliver(self, message_id: int, **providers: Provider) -> str:
        ways = providers or self.providers
        return outbox.deliver(self.session, message_id, providers=ways, base_url=BASE_URL, clock=lambda: self.clock.now)

    def sweep(self, **providers: Provider) -> list[str]:
        """What beat, sweep and deliver do together; returns what became of each message."""
        return [self.deliver(message_id, **providers) for message_id in self.claim()]


@pytest.fixture
def post(session: Session, clock: Clock, smtp_server: SmtpServer) -> Iterator[Post]:
    mail = SmtpProvider(smtp_server.url, SENDER)
    yield Post(session, clock, smtp_server, {"email": mail, "sms": ConsoleProvider()})
    mail.close()


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    return add_baseline(session, clock)


def add_baseline(session: Session, clock: Clock, **facts: Any) -> Course:
    """A course whose baseline is due; its first message is due at DUE, and the clock stands there."""
    clock.set(at(3, 2, 10))
    course = add_course(session, add_subject(session, clock.now, **facts), clock.now, START)
    session.commit()
    clock.set(DUE)
    return course


def baseline(session: Session, course: Course) -> Visit:
    return visits_of(session, course)["baseline"]


class Dying:
    """A provider whose process dies: the message is handed over or not, and nobody comes back to tell."""

    name = "dying"

    def send(self, message: OutgoingMessage) -> Receipt:
        raise KeyboardInterrupt

    def close(self) -> None: ...


def test_a_due_message_is_mailed_once_with_a_link_that_opens_the_visit(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    assert post.sweep() == ["sent"]
    assert post.sweep() == []
    (mail,) = post.server.accepted
    message = messages_of(session, baseline(session, course))[0]
    assert mail.message_id == f"<{message.key}@pro-tracker.test>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    token = re.findall(rf"{BASE_URL}/v/([\w-]+)\s", mail.text)
    assert links.find(session, token[0]) == 1
    assert message.sent_at == DUE
    attempt = session.scalars(select(Attempt)).one()
    assert (attempt.outcome, attempt.provider, attempt.number, attempt.finished_at) == ("accepted", "smtp", 1, DUE)


def test_a_mail_says_the_same_as_text_and_html_and_nothing_about_health(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.sweep()
    mail = post.server.accepted[0]
    html = mail.message.get_body(("html",))
    assert html is not None
    everything = f"{mail.message['Subject']} {mail.text} {html.get_content()}"
    assert mail.message["Subject"] == "Your questions from North Clinic"
    assert everything.count("March 20, 2026") == 2
    assert everything.count("+1 216 555 0100") == 2
    for word in ("ketamine", "infusion", "pain", "fatigue", "Zoë", "MRN"):
        assert word.lower() not in everything.lower()


def test_a_subject_who_speaks_spanish_is_written_to_in_spanish(session: Session, clock: Clock, post: Post) -> None:
    add_baseline(session, clock, language="es")
    post.sweep()
    mail = post.server.accepted[0]
    assert mail.message["Subject"] == "Sus preguntas de North Clinic"
    assert "20 de marzo de 2026" in mail.text
    assert mail.message["Content-Language"] == "es"


def test_the_message_id_stays_the_same_over_every_attempt(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.server.replies.append("451 4.3.0 try later")
    assert post.sweep() == ["planned"]
    clock.advance(minutes=2)
    assert post.sweep() == ["sent"]
    message = messages_of(session, baseline(session, course))[0]
    assert (post.server.accepted[0].message_id, message.attempts) == (f"<{message.key}@pro-tracker.test>", 2)


def test_five_temporary_refusals_are_a_failure_that_reaches_the_call_list(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.server.replies.extend(["451 4.3.0 try later"] * 5)
    outcomes = []
    for minutes in (0, 2, 10, 60, 330):
        clock.advance(minutes=minutes)
        outcomes += post.sweep()
    assert outcomes == ["planned"] * 4 + ["failed"]
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]
    assert messages_of(session, baseline(session, course))[0].failure == "451 4.3.0"


def test_a_final_refusal_is_not_tried_again_and_keeps_no_address(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.server.replies.append("550 5.1.1 <zoe@patients.example> unknown")
    assert post.sweep() == ["failed"]
    assert session.scalars(select(Attempt.reply)).all() == ["550 5.1.1"]
    clock.advance(hours=5)
    assert post.sweep() == []


def test_a_server_that_is_away_costs_one_wait_for_a_whole_batch_and_loses_nothing(
    session: Session, clock: Clock, post: Post
) -> None:
    for _ in range(3):
        add_baseline(session, clock)
    nowhere = SmtpProvider("smtp://127.0.0.1:9", SENDER)
    assert post.sweep(email=nowhere) == ["planned"] * 3
    clock.advance(minutes=2)
    assert post.sweep() == ["sent"] * 3


def test_one_message_that_cannot_be_written_does_not_stop_the_others(
    session: Session,
    clock: Clock,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = add_baseline(session, clock)
    add_baseline(session, clock)
    add_baseline(session, clock)
    compose = handover.compose

    def fail_for_the_first(sheet: handover.Sheet, *rest: Any) -> OutgoingMessage:
        if sheet.course.id == first.id:
            raise LookupError("no template")
        return compose(sheet, *rest)

    monkeypatch.setattr(handover, "compose", fail_for_the_first)
    claimed = post.claim()
    with pytest.raises(ExceptionGroup, match="1 of 3"):
        outbox.deliver_all(session, claimed, providers=post.providers, base_url=BASE_URL, clock=lambda: clock.now)
    assert len(post.server.accepted) == 2
    message = messages_of(session, baseline(session, first))[0]
    assert (message.state, message.failure) == ("planned", "LookupError")  # it certainly did not leave


def answer(visit: Visit, _session: Session) -> None:
    visit.completed_at = DUE


def withdraw(visit: Visit, session: Session) -> None:
    subject = session.get_one(Subject, visit.subject_id)
    subject.withdrawn_at, subject.withdrawn_reason = DUE, "moved away"


def void(visit: Visit, _session: Session) -> None:
    visit.voided_at, visit.void_reason = DUE, "new-course"


def close_window(visit: Visit, _session: Session) -> None:
    visit.due_at = visit.closes_at = DUE


def opt_out(visit: Visit, session: Session) -> None:
    for contact in session.scalars(select(Contact).where(Contact.subject_id == visit.subject_id)):
        contact.state = "stopped"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (answer, "answered"),
        (withdraw, "withdrawn"),
        (void, "new-course"),
        (close_window, "window-closed"),
        (opt_out, "no-contact"),
    ],
)
def test_what_is_no_longer_wanted_is_not_sent_even_after_it_was_claimed(
    session: Session,
    clock: Clock,
    course: Course,
    post: Post,
    change: Callable[[Visit, Session], None],
    reason: str,
) -> None:
    (claimed,) = post.claim()
    change(baseline(session, course), session)
    session.commit()
    assert post.deliver(claimed) == "ended"
    assert messages_of(session, baseline(session, course))[0].end_reason == reason
    assert post.server.accepted == []


def test_after_an_outage_of_a_week_one_message_comes_and_not_three(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    clock.set(at(3, 13, 9, 30))
    assert sorted(post.sweep()) == ["ended", "ended", "sent"]
    reasons = [(m.step, m.channel, m.end_reason) for m in messages_of(session, baseline(session, course))][:3]
    assert reasons == [(0, "email", "superseded"), (1, "email", "superseded"), (2, "sms", None)]


def test_what_becomes_due_in_the_night_waits_for_the_morning(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    clock.set(at(3, 6, 23))
    assert post.sweep() == ["planned"]
    clock.set(at(3, 7, 7, 59))
    assert post.sweep() == []
    clock.set(at(3, 7, 8))
    assert post.sweep() == ["sent"]


def test_a_visit_that_moved_after_the_claim_is_written_to_when_it_opens(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    (claimed,) = post.claim()
    course.planned_start_on = date(2026, 3, 24)
    visits.plan(session, course, now=clock.now)
    session.commit()
    assert post.deliver(claimed) == "planned"
    assert messages_of(session, baseline(session, course))[0].send_at == at(3, 10, 9)
    assert post.server.accepted == []


def test_two_claims_at_once_share_the_rows_between_them(session: Session, clock: Clock) -> None:
    for _ in range(12):
        add_baseline(session, clock)
    claimed: list[int] = []
    together = threading.Barrier(4)

    def claim() -> None:
        together.wait()
        with db.Session() as mine:
            ids = outbox.claim_due(mine, now=clock.now, limit=3, lease=LEASE)
            claimed.extend(ids)
            mine.commit()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    with db.Session() as later:
        rest = outbox.claim_due(later, now=clock.now, limit=100, lease=LEASE)
    assert len(claimed) + len(rest) == 12


def test_no_more_is_claimed_than_the_senders_can_follow(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "IN_FLIGHT", 5)
    monkeypatch.setattr(outbox, "BATCH", 2)
    for _ in range(7):
        add_baseline(session, clock)
    batches = outbox.claim_batches(session, now=clock.now, lease=LEASE)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert outbox.claim_batches(session, now=clock.now, lease=LEASE) == []
    assert outbox.is_due(session, now=clock.now)


def test_a_claim_whose_worker_died_before_the_hand_over_is_sent_by_another(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.claim()
    clock.advance(minutes=1)
    assert outbox.take_back(session, now=clock.now) == outbox.TakenBack(0, 0)
    clock.advance(minutes=1)
    assert outbox.take_back(session, now=clock.now) == outbox.TakenBack(planned=1, uncertain=0)
    session.commit()
    assert post.sweep() == ["sent"]


def test_a_worker_that_died_in_the_middle_of_sending_leaves_the_message_uncertain_and_never_sent_again(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    (claimed,) = post.claim()
    with pytest.raises(KeyboardInterrupt):
        post.deliver(claimed, email=Dying())
    session.rollback()
    assert post.deliver(claimed) == "not-claimed"  # the queue hands the task out again
    clock.advance(minutes=6)
    assert outbox.take_back(session, now=clock.now) == outbox.TakenBack(planned=0, uncertain=1)
    session.commit()
    assert post.sweep() == []
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-uncertain"]
    assert session.scalars(select(Attempt.outcome)).all() == ["unknown"]
    assert post.server.accepted == []


def test_a_sender_that_was_only_slow_tells_what_became_of_an_uncertain_message(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    class Slow:
        name = "slow"

        def send(self, message: OutgoingMessage) -> Receipt:
            clock.advance(minutes=10)
            with db.Session() as other:
                outbox.take_back(other, now=clock.now)
                other.commit()
            return Receipt(Outcome.ACCEPTED)

        def close(self) -> None: ...

    assert post.sweep(email=Slow()) == ["sent"]
    assert messages_of(session, baseline(session, course))[0].state == "sent"


def test_an_uncertain_hand_over_is_shown_and_not_repeated(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    class Silent:
        name = "silent"

        def send(self, message: OutgoingMessage) -> Receipt:
            return Receipt(Outcome.UNKNOWN, "TimeoutError")

        def close(self) -> None: ...

    assert post.sweep(email=Silent()) == ["uncertain"]
    clock.advance(hours=3)
    assert outbox.take_back(session, now=clock.now) == outbox.TakenBack(0, 0)
    assert post.sweep(email=Silent()) == []


def test_a_channel_without_a_provider_is_a_failure_that_people_see(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    assert post.sweep(fax=ConsoleProvider()) == ["failed"]
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]


def test_a_text_message_fits_and_its_log_line_holds_neither_number_nor_token(
    session: Session,
    clock: Clock,
    post: Post,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="pro_tracker")
    add_baseline(session, clock, email="")
    assert post.sweep() == ["sent"]
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("pro_tracker")]
    assert f"{BASE_URL}/v/*** " in line
    assert "+12165550123" not in line
    assert len(line) < 240


def test_a_subject_nobody_can_write_to_is_called_from_the_opening_on(session: Session, clock: Clock) -> None:
    course = add_baseline(session, clock, email="", mobile="")
    calls.open_due(session, now=at(3, 6, 7))
    assert session.scalars(select(Call.reason)).all() == []
    calls.open_due(session, now=at(3, 6, 8))
    calls.open_due(session, now=at(3, 6, 9))
    (call,) = session.scalars(select(Call)).all()
    assert (call.reason, call.visit_id) == ("no-contact", baseline(session, course).id)


def test_a_call_opens_a_day_after_the_last_message_and_closes_when_the_visit_is_answered(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    for day in (6, 9, 13, 18):
        clock.set(at(3, day, 9))
        post.sweep()
        calls.open_due(session, now=clock.now + timedelta(hours=23))
    assert session.scalar(select(func.count()).select_from(Call)) == 0
    calls.open_due(session, now=at(3, 19, 9))
    assert session.scalars(select(Call.reason)).all() == ["all-reminders-sent"]
    baseline(session, course).completed_at = at(3, 19, 10)
    calls.open_due(session, now=at(3, 19, 11))
    session.expire_all()
    (call,) = session.scalars(select(Call)).all()
    assert (call.outcome, call.account_id) == ("answered", None)


def test_after_a_talk_nobody_calls_again_and_after_voicemail_somebody_does(
    session: Session, clock: Clock, post: Post
) -> None:
    reached, missed = (add_baseline(session, clock) for _ in range(2))
    assert post.sweep(fax=ConsoleProvider()) == ["failed"] * 2
    calls.open_due(session, now=clock.now)
    for course, outcome in ((reached, "reached"), (missed, "voicemail")):
        visit = baseline(session, course)
        call_id = session.scalars(select(Call.id).where(Call.visit_id == visit.id)).one()
        calls.close(session, COORDINATOR, call_id, outcome, now=clock.now)
        outbox_messages = session.scalars(
            select(Message).where(Message.visit_id == visit.id, Message.state == "planned")
        )
        for message in outbox_messages:
            message.state, message.end_reason = "ended", "superseded"
    calls.open_due(session, now=clock.now + timedelta(days=1))
    open_calls = session.execute(select(Call.visit_id, Call.reason).where(Call.closed_at.is_(None))).all()
    assert [tuple(call) for call in open_calls] == [(baseline(session, missed).id, "all-reminders-sent")]
