"""The helper whom a patient trusts: agreed to and recorded, reminded without a link, and ended by every side."""

import json
import re
from collections.abc import Iterator
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput
from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.answering import links, visit_context
from pro_tracker.services.calling import calls
from pro_tracker.services.contacts import contacts, trusted_helper
from pro_tracker.services.contacts.trusted_helper import HelperFacts
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseFacts
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.patient_browser import heading
from tests.support.sending_fixtures import SENDER, SendingHarness, add_baseline, at, baseline
from tests.support.staff_browser import add_account, save, sign_in, sign_in_colleague, submit

DAUGHTER = HelperFacts(email="daughter@family.example", relation="daughter", agreed_on=date(2026, 3, 2))
ENTERED = {
    "relation": "daughter",
    "email": "daughter@family.example",
    "agreed_on-day": "2",
    "agreed_on-month": "3",
    "agreed_on-year": "2026",
}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
LINK = re.compile(r"/v/|/visit")
ONE = pytest.mark.dialects("sqlite")


@pytest.fixture(autouse=True)
def protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The protocol with a step that reminds the helper, five days after opening."""

    def add_step(data: dict[str, Any]) -> None:
        data["messages"]["steps"].insert(2, {"day": 5, "channel": "helper", "template": "reminder"})

    with changed_protocol(tmp_path, monkeypatch, add_step):
        yield


@pytest.fixture
def post(post: SendingHarness) -> Iterator[SendingHarness]:
    """The sending side, with mail to helpers going to the same server."""
    post.providers[Channel.HELPER] = SmtpProvider(post.server.url, SENDER)
    yield post
    post.providers[Channel.HELPER].close()


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    """A course whose baseline is due, of a patient with a helper."""
    course = add_baseline(session, clock)
    record(session, course, clock)
    return course


def record(session: Session, course: Course, clock: Clock, facts: HelperFacts = DAUGHTER) -> None:
    trusted_helper.record(session, patient(session, course), facts, now=clock.now, actor=COORDINATOR)
    session.commit()


def patient(session: Session, course: Course) -> Subject:
    return session.get_one(Subject, course.subject_id)


def helper_of(session: Session, course: Course) -> Contact | None:
    session.rollback()
    session.expire_all()
    return patient(session, course).helper


def to_helper(session: Session) -> list[tuple[str, str | None]]:
    """State and reason of the messages to the helper of the baseline."""
    session.rollback()
    rows = select(Message.state, Message.end_reason).where(Message.channel == Channel.HELPER, Message.step == 2)
    return [tuple(row) for row in session.execute(rows.order_by(Message.id))]  # type: ignore[misc]


def helpers_mail(post: SendingHarness, clock: Clock) -> EmailMessage:
    """The mail that the helper gets on the fifth day."""
    post.sweep()
    clock.set(at(3, 9, 9))
    post.sweep()
    clock.set(at(3, 11, 9))
    assert post.sweep() == ["sent"]
    return post.server.accepted[-1].message


def texts(mail: EmailMessage) -> str:
    parts = [mail.get_body((kind,)).get_content() for kind in ("plain", "html")]  # type: ignore[union-attr]
    return "\n".join(parts)


def test_patient_and_helper_get_their_own_mail_and_the_helpers_has_no_link(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    mail = helpers_mail(post, clock)
    to = [str(accepted.message["To"]) for accepted in post.server.accepted]
    own = to[0]
    assert to == [own, own, "daughter@family.example"]
    assert own.endswith("@patients.example")
    assert "asks you to remind" in mail["Subject"]
    identity = patient(session, course).identity
    said = f"{mail['Subject']}\n{mail['List-Unsubscribe']}\n{texts(mail)}"
    assert not LINK.search(said)
    assert identity.given_name not in said
    assert identity.family_name not in said
    assert "+1 216 555 0100" in said
    clock.set(at(3, 13, 9))
    assert post.sweep() == ["sent"], "the patient's next reminder follows, whatever the helper got"


def test_the_helper_is_written_to_in_the_patients_language(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    patient(session, course).language = "es"
    session.commit()
    mail = helpers_mail(post, clock)
    assert "Alguien que confía en usted" in texts(mail)


def test_a_message_to_the_helper_neither_replaces_the_patients_nor_is_replaced_after_an_outage(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    clock.set(at(3, 13, 9))  # after the first four steps
    assert sorted(post.sweep()) == ["ended", "ended", "sent", "sent"]
    rows = select(Message.channel, Message.end_reason).where(Message.step < 4)
    found = [tuple(row) for row in session.execute(rows.order_by(Message.step))]
    assert found == [("email", "superseded"), ("email", "superseded"), ("helper", None), ("sms", None)]


def test_the_helper_is_not_reminded_after_the_answer(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    post.sweep()
    visit = baseline(session, course)
    visit.completed_at = clock.now
    visits.replan(session, course.subject_id, now=clock.now)
    session.commit()
    clock.set(at(3, 11, 9))
    assert post.sweep() == []
    assert to_helper(session) == [("ended", "re-planned")]


@ONE
def test_a_withdrawal_ends_what_was_planned_for_the_helper(session: Session, clock: Clock, course: Course) -> None:
    enrolment.withdraw(session, COORDINATOR, patient(session, course), WithdrawalFacts("no time"), now=clock.now)
    session.commit()
    assert to_helper(session) == [("ended", "withdrawn")]
    with pytest.raises(InvalidInput, match="not asked any more"):
        record(session, course, clock, HelperFacts(email="x@family.example", relation="x", agreed_on=date(2026, 3, 2)))


def test_a_removed_helper_gets_nothing_and_the_reason_is_kept(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    assert to_helper(session) == [("planned", None)]
    subject = patient(session, course)
    trusted_helper.remove(session, subject, HelperEnding.PATIENT, now=clock.now, actor=COORDINATOR)
    session.commit()
    assert to_helper(session) == [("ended", "no-contact")]
    assert helper_of(session, course) is None
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "helper.remove")).one()
    assert json.loads(event.detail) == {"reason": "patient-withdrew-it"}
    record(session, course, clock)
    assert to_helper(session) == [("planned", None)], "a helper who is agreed to again is reminded"


def test_the_helper_stops_the_mails_with_a_code_that_opens_nothing(
    client: FlaskClient, session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    path = urlsplit(str(helpers_mail(post, clock)["List-Unsubscribe"]).strip("<>")).path
    assert heading(client.get(path)) == "No more e-mails?"
    assert getattr(helper_of(session, course), "state", "") == "active", "opening it changes nothing"
    answer = client.post(path, data=ONE_CLICK)
    assert (answer.status_code, answer.text, answer.headers.get("Set-Cookie")) == (200, "", None)
    assert getattr(helper_of(session, course), "state", "") == "stopped"
    own = {contact.state for contact in patient(session, course).own_contacts}
    assert own == {"active"}
    assert heading(client.post(path)) == "You will get no more e-mails from us"
    assert client.get(f"/v/{path.split('/')[2]}").status_code == 410, "no link"


@pytest.mark.parametrize("others", [0, 1])
def test_the_code_of_an_earlier_mail_ends_the_mails_to_a_helper_who_was_named_again(
    client: FlaskClient, session: Session, clock: Clock, post: SendingHarness, course: Course, others: int
) -> None:
    """Unless another patient named the same person: then the code does not say which of them was meant."""
    path = urlsplit(str(helpers_mail(post, clock)["List-Unsubscribe"]).strip("<>")).path
    subject = patient(session, course)
    trusted_helper.remove(session, subject, HelperEnding.MISTAKE, now=clock.now, actor=COORDINATOR)
    for _ in range(others):
        another = add_subject(session, clock.now)
        trusted_helper.record(session, another, DAUGHTER, now=clock.now, actor=COORDINATOR)
    record(session, course, clock)
    assert client.post(path, data=ONE_CLICK).status_code == 200
    assert getattr(helper_of(session, course), "state", "") == ("active" if others else "stopped")


@ONE
@pytest.mark.parametrize("code", ["1", "1-00", f"1-{'0' * 32}", f"{'9' * 18}-{'0' * 32}", "x"])
def test_an_unknown_code_stops_no_messages(client: FlaskClient, session: Session, course: Course, code: str) -> None:
    for answer in (client.get(f"/helper/{code}/stop"), client.post(f"/helper/{code}/stop", data=ONE_CLICK)):
        assert answer.status_code == 200
    assert getattr(helper_of(session, course), "state", "") == "active"


def test_a_bounce_closes_the_helpers_address_and_staff_see_it(
    client: FlaskClient, session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    helpers_mail(post, clock)
    key = session.scalars(select(Message.key).where(Message.channel == Channel.HELPER, Message.state == "sent")).one()
    bounce = ReportedEvent(
        provider="mail",
        event_id="1",
        channel=Channel.EMAIL,
        event=ReportEvent.HARD_BOUNCE,
        at=clock.now,
        message_key=key,
    )
    delivery_reports.record(session, bounce, now=clock.now)
    session.commit()
    assert getattr(helper_of(session, course), "state", "") == "bounced"
    sign_in(client, add_account(session, "coordinator"))
    assert "Messages to the helper come back as undeliverable" in client.get("/worklist").text
    page = client.get(f"/subjects/{course.subject_id}/contacts")
    assert "E-mail to the helper" in page.text
    done = save(
        client,
        f"/subjects/{course.subject_id}/contacts/helper/reopen",
        {"helper-sure": "y"},
        page=f"/subjects/{course.subject_id}/contacts",
    )
    assert done.status_code == 303
    assert getattr(helper_of(session, course), "state", "") == "active"


def test_a_helper_is_no_way_to_ask_the_patient(session: Session, clock: Clock, course: Course) -> None:
    subject = patient(session, course)
    none = {Channel.EMAIL: "", Channel.SMS: ""}
    contacts.correct(session, subject, none, now=clock.now, actor=COORDINATOR)
    calls.open_due(session, now=clock.now)
    session.commit()
    assert session.scalars(select(Call.reason)).all() == ["no-contact"]
    context = visit_context.by_visit(session, baseline(session, course).id)
    links.request_fresh_link(session, context, now=clock.now)
    requested = select(func.count()).where(Message.kind == "fresh-link")
    assert session.scalar(requested) == 0


def test_staff_record_correct_and_remove_the_helper_on_a_page(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    course = add_baseline(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    url = f"/subjects/{course.subject_id}/helper"
    assert save(client, url, ENTERED).status_code == 303
    helper = helper_of(session, course)
    assert helper is not None
    assert (helper.relation, helper.address, helper.agreed_on) == ("daughter", DAUGHTER.email, DAUGHTER.agreed_on)
    assert to_helper(session) == [("planned", None)]
    page = client.get(f"/subjects/{course.subject_id}").text
    assert "daughter, daughter@family.example" in page
    assert "(agreed on Mar 2, 2026)" in page
    assert save(client, url, ENTERED | {"relation": "wife"}).status_code == 303
    ledger = client.get(f"/subjects/{course.subject_id}/ledger").text
    assert "E-mail to the helper" in ledger
    assert "who it is" in ledger
    assert submit(client, f"{url}/remove", {}, page=url).status_code == 422
    assert save(client, f"{url}/remove", {"remove-reason": "helper-declined"}, page=url).status_code == 303
    assert helper_of(session, course) is None
    assert "The helper does not want it" in client.get(f"/subjects/{course.subject_id}/ledger").text


@ONE
@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"relation": " "}, "Say who it is"),
        ({"relation": "x" * 61}, "Use 60 characters at most"),
        ({"email": "nobody"}, "not a usable e-mail address"),
        ({"agreed_on-day": "", "agreed_on-month": "", "agreed_on-year": ""}, "the day on which the patient agreed"),
        ({"agreed_on-year": "2027"}, "still to come"),
        ({"agreed_on-year": "1999"}, "Check the year"),
    ],
)
def test_what_is_missing_or_cannot_be_is_said_and_nothing_is_stored(
    client: FlaskClient, session: Session, clock: Clock, change: dict[str, str], advice: str
) -> None:
    course = add_baseline(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    page = submit(client, f"/subjects/{course.subject_id}/helper", ENTERED | change)
    assert (page.status_code, advice in page.text) == (422, True)
    assert helper_of(session, course) is None


@ONE
def test_the_patients_own_address_is_no_helpers(client: FlaskClient, session: Session, clock: Clock) -> None:
    course = add_baseline(session, clock)
    (own,) = (each.address for each in patient(session, course).own_contacts if each.channel == Channel.EMAIL)
    sign_in(client, add_account(session, "coordinator"))
    page = submit(client, f"/subjects/{course.subject_id}/helper", ENTERED | {"email": own.upper()})
    assert "the patient&#39;s own address" in page.text


@ONE
def test_who_saves_second_reads_what_the_other_recorded(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    url = f"/subjects/{course.subject_id}/helper"
    sign_in(client, add_account(session, "coordinator"))
    shown = re.search(r'name="as_shown" value="(\w+)"', client.get(url).text)
    assert shown is not None
    colleague = sign_in_colleague(client, session)
    save(colleague, url, ENTERED | {"relation": "wife"})
    page = submit(client, url, ENTERED | {"relation": "niece", "as_shown": shown[1]})
    assert page.status_code == 422
    assert "Recorded now: helper: wife" in page.text


@ONE
def test_only_coordinators_of_the_clinic_reach_the_page(client: FlaskClient, session: Session, course: Course) -> None:
    url = f"/subjects/{course.subject_id}/helper"
    assert client.get(url).status_code == 302
    sign_in(client, add_account(session, "researcher", email="researcher@clinic.example"))
    assert client.get(url).status_code == 403


@ONE
def test_a_step_names_the_helper_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mix(data: dict[str, Any]) -> None:
        data["messages"]["steps"][1]["channel"] = ["helper", "email"]

    with changed_protocol(tmp_path, monkeypatch, mix), pytest.raises(InvalidDataFile, match="helper stands alone"):
        protocol_catalog.read_protocol(tmp_path / "ketamine-5day.yaml")


def test_a_pause_holds_the_helpers_message_too(
    session: Session, clock: Clock, post: SendingHarness, course: Course
) -> None:
    post.sweep()
    clock.set(at(3, 9, 9))
    post.sweep()
    facts = PauseFacts(date(2026, 3, 10), date(2026, 3, 11), "travels")
    pauses.begin(session, COORDINATOR, patient(session, course), facts, now=clock.now)
    session.commit()
    clock.set(at(3, 11, 9))
    assert post.sweep() == []
    clock.set(at(3, 12, 9))
    assert post.sweep() == ["sent"]
    assert post.server.accepted[-1].message["To"] == DAUGHTER.email
