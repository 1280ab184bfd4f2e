"""A second "Send" of the same answers, at the same time or later: the patient is thanked, and one record is kept."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit, VisitDraft
from tests.conftest import Clock
from tests.support.patient_browser import (
    BATTERY,
    HIDDEN,
    PAIN,
    Patient,
    add_patient,
    answer,
    begin,
    count,
    get,
    heading,
    post,
    url,
)

VISITS, CONNECTIONS = 50, 8


def test_a_second_send_gets_the_thank_you_page(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now)
    answer(client, begin(client, patient), 2)
    review = get(client, patient, "review")
    assert heading(post(client, review, {})) == "Thank you"
    clock.advance(minutes=1)
    again = post(client, review, {}, follow_redirects=False)
    assert (again.status_code, again.location) == (303, url(client, patient, "sent"))
    script = post(client, review, {}, follow_redirects=False, headers={"X-Requested-With": "fetch"})
    assert script.json == {"next": url(client, patient, "sent")}
    assert count(session, QuestionnaireResponse) == len(BATTERY)


def test_copies_of_a_send_at_the_same_time_all_get_the_thank_you_page(
    app: Flask, client: FlaskClient, session: Session, clock: Clock
) -> None:
    """Fifty visits, each sent two to five times over eight connections."""
    chance = random.Random(21)
    copies = []
    for number in range(VISITS):
        patient = add_patient(session, clock.now, record_number=f"MRN-{number}", email="", mobile="")
        copies += [_send(client, patient)] * chance.randint(2, 5)
    session.commit()

    def reply_to(send: Send) -> tuple[int, bool]:
        browser = FlaskClient(app, use_cookies=False)
        headers = {"Cookie": send.cookies}
        reply = browser.post(send.address, data=send.fields, base_url="https://pro-tracker.test", headers=headers)
        return reply.status_code, reply.location == send.thanks

    with ThreadPoolExecutor(CONNECTIONS) as connections:
        replies = Counter(connections.map(reply_to, copies))
    assert replies == {(303, True): len(copies)}
    assert count(session, QuestionnaireResponse) == VISITS * len(BATTERY)
    stored = select(QuestionnaireResponse.answers).filter_by(instrument_code=PAIN)
    assert [answers["PAININ9"] for answers in session.scalars(stored)] == [2] * VISITS
    assert count(session, VisitDraft) == 0
    assert session.scalar(select(func.count()).where(Visit.completed_at.is_(None))) == 0
    assert session.scalar(select(func.count()).where(AuditEvent.action == "visit.complete")) == VISITS


@dataclass
class Send:
    """The form that a browser sends when the patient presses "Send", and the URL of the page that thanks."""

    address: str
    fields: dict[str, str]
    cookies: str
    thanks: str


def _send(client: FlaskClient, patient: Patient) -> Send:
    """Answers one item of the visit; returns what "Send" would send, without sending it."""
    answer(client, begin(client, patient), 2)
    address = url(client, patient, "review")
    path = url(client, patient)
    cookies = [client.get_cookie(f"__Secure-visit-{kind}", path=path) for kind in ("link", "access")]
    header = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies if cookie)
    fields = dict(HIDDEN.findall(client.get(address).text))
    return Send(address, fields, header, url(client, patient, "sent"))
