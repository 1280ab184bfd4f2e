"""Access: roles by route, subjects by site. A record outside an account's sites is not found."""

import uuid
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseFacts
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.history_builder import treated, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in, submit

CLINICAL = {"coordinator", "clinician"}
COORDINATOR = {"coordinator"}
SUBJECT_PAGES = {
    "/subjects/{id}": CLINICAL,
    "/subjects/{id}/infusions/new": CLINICAL,
    "/subjects/{id}/missed-infusion": CLINICAL,
    "/subjects/{id}/adverse-events/new": CLINICAL,
    "/subjects/{id}/other-treatments/new": CLINICAL,
    "/subjects/{id}/liver-tests/new": CLINICAL,
    "/subjects/{id}/course": COORDINATOR,
    "/subjects/{id}/pauses": COORDINATOR,
    "/subjects/{id}/withdraw": COORDINATOR,
}
PAGES = {
    **SUBJECT_PAGES,
    "/worklist": CLINICAL,
    "/calls": CLINICAL,
    "/subjects": CLINICAL,
    "/subjects/new": COORDINATOR,
    "/calls/{call}": COORDINATOR,
    "/accounts": {"administrator"},
    "/accounts/new": {"administrator"},
}


def add_call(session: Session, subject: Subject, clock: Clock) -> Call:
    visit = visit_of(session, subject, "baseline")
    call = Call(subject_id=subject.id, visit_id=visit.id, reason="no-contact", opened_at=clock.now)
    session.add(call)
    session.flush()
    return call


@pytest.mark.parametrize("role", ["coordinator", "clinician", "researcher", "administrator"])
@pytest.mark.dialects("sqlite")
def test_each_role_opens_its_own_pages_and_no_other(
    client: FlaskClient, session: Session, clock: Clock, role: str
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 10))
    call = add_call(session, subject, clock)
    sign_in(client, add_account(session, role))
    statuses = {path: client.get(path.format(id=subject.id, call=call.id)).status_code for path in PAGES}
    assert statuses == {path: 200 if role in roles else 403 for path, roles in PAGES.items()}


def test_a_subject_of_another_site_does_not_exist_for_the_account(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    add_site(session, "south")
    there = treated(session, date(2026, 2, 23), clock.now, site_code="south", given_name="Unseen")
    call = add_call(session, there, clock)
    visit = visit_of(session, there, "last-infusion")
    sign_in(client, add_account(session, "coordinator", "north"))
    for path in (*SUBJECT_PAGES, "/calls/{call}"):
        answer = client.get(path.format(id=there.id, call=call.id))
        assert answer.status_code == 404, path
        assert "Unseen" not in answer.text
    course = visit.course_id
    infusion = session.scalars(select(Infusion.id).where(Infusion.course_id == course)).first()
    facts = PauseFacts(clock.now.date(), None, "hospital")
    pause = pauses.begin(session, Actor(ActorKind.COMMAND, "test"), there, facts, now=clock.now)
    posts = (
        *("infusions/new", f"infusions/{infusion}", f"infusions/{infusion}/remove"),
        *("adverse-events/new", "other-treatments/new", "liver-tests/new", "missed-infusion"),
        *(f"course/{each}" for each in ("plan", "end", "reopen", "date", "new")),
        *("pauses", f"pauses/{pause.id}", f"pauses/{pause.id}/remove"),
        *("withdraw", "withdraw/revert", f"visits/{visit.id}/here"),
    )
    for path in posts:
        answer = submit(client, f"/subjects/{there.id}/{path}", {"reason": "x"}, page="/subjects")
        assert answer.status_code == 404, path
    assert submit(client, f"/calls/{call.id}", {"outcome": "reached"}, page="/subjects").status_code == 404
    assert "Unseen" not in client.get("/subjects").text
    assert "Unseen" not in client.get("/worklist").text
    session.expire_all()
    assert call.closed_at is None
    assert there.withdrawn_at is None


@pytest.mark.dialects("sqlite")
def test_an_account_at_two_sites_sees_both(client: FlaskClient, session: Session, clock: Clock) -> None:
    for code in ("north", "south"):
        add_site(session, code)
        add_subject(session, clock.now, site_code=code, given_name=f"From-{code}")
    sign_in(client, add_account(session, "clinician", "north", "south"))
    page = client.get("/subjects").text
    assert "From-north" in page
    assert "From-south" in page


@pytest.mark.dialects("sqlite")
def test_a_visit_of_another_subject_is_not_opened_on_the_clinic_device(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    one = treated(session, date(2026, 2, 25), clock.now)
    other = treated(session, date(2026, 2, 25), clock.now)
    visit = visit_of(session, other, "last-infusion")
    sign_in(client, add_account(session, "coordinator"))
    assert submit(client, f"/subjects/{one.id}/visits/{visit.id}/here", {}, page="/subjects").status_code == 404


@pytest.mark.dialects("sqlite")
def test_an_unknown_subject_has_a_page_that_refers_to_the_list(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "clinician"))
    answer = client.get(f"/subjects/{uuid.uuid4()}")
    assert answer.status_code == 404
    assert "Look the patient up in the list" in answer.text
    assert client.get("/subjects/no-such-thing").status_code == 404


def test_every_view_of_a_subject_or_a_list_is_audited(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now)
    account = add_account(session, "clinician")
    sign_in(client, account)
    client.get(f"/subjects/{subject.id}")
    client.get("/subjects")
    client.get("/worklist")
    rows = session.execute(
        select(AuditEvent.action, AuditEvent.subject_id, AuditEvent.detail)
        .where(AuditEvent.actor_kind == "account", AuditEvent.actor_id == str(account.id))
        .order_by(AuditEvent.id)
    ).all()
    assert [tuple(row) for row in rows if row.action != "account.sign-in"] == [
        ("subject.view", subject.id, '{"page":"staff/subject.html"}'),
        ("subjects.list", None, '{"subjects":1}'),
        ("worklist.view", None, '{"subjects":1}'),
    ]
    assert audit.first_invalid_event(session) is None


@pytest.mark.dialects("sqlite")
def test_a_forbidden_page_is_not_audited_as_viewed(
    client: FlaskClient, session: Session, clock: Clock, app: Flask
) -> None:
    subject = add_subject(session, clock.now)
    sign_in(client, add_account(session, "researcher"))
    client.get(f"/subjects/{subject.id}")
    seen = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.view")).all()
    assert seen == []
