"""Whatever a request holds, the answer is one of ours with all security headers, and never status 500."""

import string
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings as hypothesis_settings, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.domain.consent import ConsentMode
from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.call import Call
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import Infusion
from pro_tracker.models.delivery_report import DeliveryReport
from pro_tracker.models.goal import Goal, GoalRating
from pro_tracker.models.incoming_text import IncomingText
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import consent_decisions, merges
from pro_tracker.services.enrolment.consent_decisions import OwnWithdrawal
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.treatment import adverse_event_facts, pauses
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.services.treatment.pauses import PauseFacts
from pro_tracker.web import access
from pro_tracker.web.security import HEADERS, OTHER_POLICIES, POLICY_HEADER
from tests.conftest import Clock, new_client
from tests.support.course_builder import add_subject
from tests.support.every_route import Route, Visitor, add_forms, may_use, routes, visitor
from tests.support.goal_builder import set_goal
from tests.support.history_builder import course_of, treated, visit_of
from tests.support.patient_browser import Patient, answer, begin, url
from tests.support.staff_browser import add_account, sign_in

COMMON = ("9" * 20, "9" * 5000, "a\0b", "NaN")
ODD = st.sampled_from(("9" * 5000, "-1", "1e999", "\u202e", "\u0663", "", "%00", "2026-13-45", "{}")) | st.text()
LATIN = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40)
HEADERS_OF_CLIENTS = ["Accept", "Accept-Language", "Accept-Encoding", "User-Agent", "Referer", "X-Requested-With"]
HEADERS_OF_CLIENTS += ["X-Forwarded-For", "Content-Type", "Range", "Authorization", "Cookie", "Host", "If-None-Match"]
HEADER = st.sampled_from(HEADERS_OF_CLIENTS)
CONTENT_TYPE = st.sampled_from(
    ("multipart/form-data", "multipart/form-data; boundary=x", "application/json", "text/plain; charset=no-such")
)
METHOD = st.sampled_from(("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "ODD"))
NOT_READY = "/readyz"  # says so with status 503


class Walk:
    """The application with a patient's record, and everybody who may use a page of it."""

    def __init__(self, app: Flask, found: list[Route], visitors: dict[str, Visitor]) -> None:
        self.app, self.routes, self.visitors = app, found, visitors

    def faults(self, role: str, method: str, path: str, **options: Any) -> list[str]:
        """Sends the request; returns what is wrong with the answer: status 500, a missing header, a foreign page."""
        reply = self.visitors[role].request(self.app, method, path, **options)
        found = _faults_of(reply)
        if reply.status_code >= 500 and path != NOT_READY:
            found.append(f"status {reply.status_code}")
        return [f"{role} {method} {path[:60]} {sorted(options)}: {fault}" for fault in found]


def _faults_of(reply: TestResponse) -> list[str]:
    found = [f"header {name}" for name, value in HEADERS.items() if reply.headers.get(name) != value]
    if reply.headers.getlist(POLICY_HEADER) in [[policy] for policy in OTHER_POLICIES]:
        found.remove(f"header {POLICY_HEADER}")
    if "Cache-Control" not in reply.headers:
        found.append("header Cache-Control")
    if "<title>4" in reply.text:
        found.append("a page of Werkzeug")
    return found


@pytest.fixture
def walk(app: Flask, client: FlaskClient, session: Session, base_url: str, clock: Clock) -> Walk:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a test client would raise them
    subject = treated(session, date(2026, 2, 25), clock.now)
    visit = visit_of(session, subject, "last-infusion")
    token = links.issue(session, visit.id, now=clock.now)
    patient = Patient(visit, token, links.find(session, token))
    account = add_account(session, Role.RESEARCHER, email="closed@clinic.example")  # closing it signs no visitor out
    values = {
        **_rows(session, subject, clock),
        "visit_id": str(visit.id),
        "token": token,
        "account_id": str(account.id),
    }
    visitors = {}
    for role in Role:
        browser = new_client(app, session, base_url)
        sign_in(browser, add_account(session, role))
        visitors[str(role)] = visitor(browser)
    answer(client, begin(client, patient), 2)
    start = url(client, patient)
    visitors["patient"] = visitor(client, start)
    found = routes(app, {**values, "visit": start.split("/")[2]})
    session.commit()  # SQLite has one writer: a transaction of the test would make every request wait
    add_forms(app, found, visitors)
    return Walk(app, found, visitors)


def _rows(session: Session, subject: Subject, clock: Clock) -> dict[str, str]:
    """Returns, by name, what the parts of URLs stand for, all of it about one subject."""
    course = course_of(session, subject)
    infusion = session.scalars(select(Infusion.id).where(Infusion.course_id == course.id)).first()
    visit = visit_of(session, subject, "baseline")
    call = Call(subject_id=subject.id, visit_id=visit.id, reason="no-contact", opened_at=clock.now)
    facts = PauseFacts(clock.now.date(), None, "hospital")
    pause = pauses.begin(session, Actor(ActorKind.COMMAND, "test"), subject, facts, now=clock.now)
    event = adverse_event_facts.build(AdverseEventFacts("Nausea", 1), course.id, clock.now)
    event.found_on = clock.now.date()
    missed = MissedInfusion(
        course_id=course.id,
        planned_on=clock.now.date(),
        kind=MissedInfusionKind.DID_NOT_COME,
        recorded_at=clock.now,
    )
    treatment = OtherTreatment(course_id=course.id, kind="DRUG", name="Gabapentin")
    treatment.asked_on, treatment.recorded_at = clock.now.date(), clock.now
    test = LiverTest(course_id=course.id, taken_on=clock.now.date(), result="NORMAL", recorded_at=clock.now)
    stopped = OwnWithdrawal(WithdrawalScope.ASKING, ConsentMode.OWN_DEVICE)
    consent_decisions.record_withdrawal(session, Actor(ActorKind.COMMAND, "test"), subject, stopped, now=clock.now)
    decision = session.scalars(select(ConsentDecision)).one()
    session.add_all([call, event, missed, treatment, test])
    session.flush()
    text = _text(session, subject, clock)
    set_goal(session, visit, "Walk to the lake", clock.now)
    goal = session.scalars(select(Goal)).one()
    rating = GoalRating(goal_id=goal.id, visit_id=visit.id, attainment=1, rated_at=clock.now, mode="self-web")
    session.add(rating)
    other = add_subject(session, clock.now)
    same_person = MergeFacts(subject, frozenset(), "same insurance card")
    merge = merges.merge(session, Actor(ActorKind.COMMAND, "test"), other, same_person, now=clock.now)
    session.commit()
    ids = {"subject_id": subject.id, "call_id": call.id, "pause_id": pause.id}
    ids |= {"infusion_id": infusion, "merge_id": merge.id, "event_id": event.id, "missed_id": missed.id}
    ids |= {"treatment_id": treatment.id, "test_id": test.id, "text_id": text.id}
    ids |= {"goal_id": goal.id, "rating_id": rating.id, "decision_id": decision.id}
    names = {"study_code": subject.study_code, "code": "pcs", "kind": "long", "channel": "email", "_page": "x"}
    more = {"late_id": "1", "position": "1", "tag": "0123456789ab", "questionnaire_id": "pcs-1.0-en"}
    more |= {"protocol_code": "ketamine-5day", "language": "en", "template": "reminder"}
    return {**{name: str(value) for name, value in ids.items()}, **names, **more}


def _text(session: Session, subject: Subject, clock: Clock) -> IncomingText:
    report = DeliveryReport(provider="twilio", event_id="SM1", channel="sms", event="other", at=clock.now)
    report.received_at = clock.now
    session.add(report)
    session.flush()
    text = IncomingText(id=uuid.uuid4(), subject_id=subject.id, report_id=report.id, received_at=clock.now)
    text.text = "call me"
    session.add(text)
    return text


def _in_path(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def test_every_route_answers_odd_values_in_its_path_its_query_and_every_field(walk: Walk) -> None:
    found: list[str] = []
    for route in walk.routes:
        role = may_use(walk.app, route)
        for odd in COMMON:
            parts = dict.fromkeys(route.rule.arguments, _in_path(odd))
            found += walk.faults(role, route.method, route.path(parts))
            for fields in _with_odd_fields(route, odd):
                query = {"page": odd, "next": odd, "patient": odd, "code": odd, "url": odd, "site": odd}
                found += walk.faults(role, route.method, route.path({}), data=fields, query_string=query)
    assert len(walk.routes) > 70
    assert sum(bool(route.fields) for route in walk.routes) > 20  # forms were found, and got odd values
    assert found == []


def _with_odd_fields(route: Route, odd: str) -> Iterator[dict[str, str]]:
    """Yields the form with one odd field for each of its fields, whose others let it pass, then with all of them."""
    names = [name for name, _value in route.fields if name != "csrf_token"]
    for name in names:
        yield {**dict(route.fields), name: odd}
    yield {**dict(route.fields), **dict.fromkeys(names, odd)}


def _fail() -> str:
    raise RuntimeError


def test_a_status_of_500_and_a_foreign_page_are_found(walk: Walk) -> None:
    walk.app.view_functions["health.healthz"] = access.public(_fail)
    assert walk.faults("patient", "GET", "/healthz") == ["patient GET /healthz []: status 500"]
    walk.app.view_functions["health.healthz"] = access.public(lambda: "<title>404</title>")
    assert walk.faults("patient", "GET", "/healthz") == ["patient GET /healthz []: a page of Werkzeug"]


@pytest.mark.slow
def test_no_request_gets_status_500(walk: Walk) -> None:
    found: list[str] = []

    @hypothesis_settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def send(data: st.DataObject) -> None:
        route = data.draw(st.sampled_from(walk.routes))
        role = data.draw(st.sampled_from(sorted(walk.visitors)) | st.just(may_use(walk.app, route)))
        odd_parts = data.draw(st.dictionaries(st.sampled_from(sorted(route.rule.arguments) or ["x"]), ODD, max_size=1))
        parts = {name: _in_path(text) for name, text in odd_parts.items()}
        method = data.draw(st.just(route.method) | METHOD)
        headers = data.draw(st.dictionaries(HEADER, LATIN, max_size=2))
        found.extend(walk.faults(role, method, route.path(parts), headers=headers, **data.draw(_body(route))))

    send()
    assert found == []


def _body(route: Route) -> st.SearchStrategy[dict[str, Any]]:
    """Draws the fields of the route's form with odd values for some, or a body that may be no form at all."""
    names = [name for name, _value in route.fields if name != "csrf_token"] or ["x"]
    odd = st.dictionaries(st.sampled_from(names) | st.text(string.printable, min_size=1), ODD, min_size=1, max_size=4)
    form = odd.map(lambda changed: {"data": {**dict(route.fields), **_storable(changed)}})
    raw = st.fixed_dictionaries({"data": st.binary(max_size=200), "content_type": CONTENT_TYPE})
    large = st.just({"data": b"x=" + b"y" * 2_000_000, "content_type": "application/x-www-form-urlencoded"})
    return st.one_of(form, form, raw, large)


def _storable(fields: dict[str, str]) -> dict[str, str]:
    """Without halves of surrogate pairs, which no client can send in UTF-8."""
    return {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}
