"""Two people, or two visits of one person, in the tabs of one browser: what is given in a tab stays with its visit.

Each page posts to the address of its own visit, so the tests hold both pages and post from one of them.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.models.visit_access import VisitAccess
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from tests.conftest import Clock
from tests.support.patient_browser import (
    BIRTH_DATE,
    HIDDEN,
    PAIN,
    Patient,
    add_patient,
    add_second_visit,
    answer,
    begin,
    count,
    draft,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post,
    url,
)

BORN_LATER = BIRTH_DATE + timedelta(days=3650)


@pytest.fixture
def ann(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def bob(session: Session, clock: Clock) -> Patient:
    other: dict[str, Any] = {
        "record_number": "MRN-2",
        "email": "bob@patients.example",
        "mobile": "",
        "birth_date": BORN_LATER,
    }
    return add_patient(session, clock.now, **other)


def begin_bob(client: FlaskClient, bob: Patient) -> None:
    give_birth_date(client, open_link(client, bob), BORN_LATER)


def parts_of(day: date) -> dict[str, str]:
    """Returns the fields of the birth date form."""
    return {f"birth_date-{part}": str(getattr(day, part)) for part in ("day", "month", "year")}


def has_draft(session: Session, patient: Patient) -> bool:
    session.rollback()
    return session.get(VisitDraft, patient.visit.id) is not None


def completed(session: Session, patient: Patient) -> bool:
    session.rollback()
    return session.get_one(Visit, patient.visit.id, populate_existing=True).completed_at is not None


def test_answers_and_send_of_one_tab_stay_with_its_visit_after_another_was_opened(
    client: FlaskClient, session: Session, ann: Patient, bob: Patient
) -> None:
    second = answer(client, begin(client, ann), 3)
    begin_bob(client, bob)
    third = answer(client, second, 4)
    assert place(third) == "item/3"
    assert draft(session, ann) == {PAIN: {"PAININ9": 3, "PAININ22": 4}}
    assert not has_draft(session, bob)
    sent = post(client, get(client, ann, "review"), {})
    assert heading(sent) == "Thank you"
    assert (completed(session, ann), completed(session, bob)) == (True, False)
    assert place(answer(client, get(client, bob, "item/1"), 1)) == "item/2"
    assert draft(session, bob) == {PAIN: {"PAININ9": 1}}


def test_preferences_opened_before_another_link_change_the_first_person(
    client: FlaskClient, session: Session, ann: Patient, bob: Patient
) -> None:
    begin(client, ann)
    page = get(client, ann, "preferences")
    begin_bob(client, bob)
    post(client, page, {"preferred_channel": "sms", "message_time": "", "language": "es"})
    session.rollback()
    chosen = [(subject.preferred_channel, subject.language) for subject in session.scalars(select(Subject))]
    assert sorted(chosen) == [("email", "en"), ("sms", "es")]
    assert session.get_one(Subject, ann.visit.subject_id).language == "es"


def test_a_snooze_opened_before_another_link_postpones_the_first_visit(
    client: FlaskClient, session: Session, ann: Patient, bob: Patient
) -> None:
    begin(client, ann)
    page = get(client, ann, "snooze")
    begin_bob(client, bob)
    day = page.text.partition('name="until_on" type="radio" value="')[2].partition('"')[0]
    assert place(post(client, page, {"until_on": day})) == "snoozed"
    session.rollback()
    assert session.scalars(select(Snooze.visit_id)).all() == [ann.visit.id]


def test_two_open_visits_of_one_person_stay_apart(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    other = add_second_visit(session, ann, clock.now)
    first = begin(client, ann)
    begin(client, other)
    answer(client, first, 2)
    assert draft(session, ann) == {PAIN: {"PAININ9": 2}}
    assert not has_draft(session, other)


def test_a_form_sent_after_the_access_ended_waits_for_the_birth_date(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    second = answer(client, begin(client, ann), 3)
    clock.advance(hours=5)
    refused = answer(client, second, 5)
    assert (refused.status_code, heading(refused)) == (403, "Questions for you")
    assert "what you have just chosen is kept" in refused.text
    assert draft(session, ann) == {PAIN: {"PAININ9": 3}}
    wrong = give_birth_date(client, refused, BORN_LATER)
    assert wrong.status_code == 422
    again = post(client, wrong, parts_of(BIRTH_DATE), follow_redirects=False)
    assert (again.status_code, again.location) == (307, url(client, ann, "item/2"))
    # The test client would follow a 307 without the form, which browsers send once more.
    sent_again = client.post(again.location, data=dict(HIDDEN.findall(wrong.text)), follow_redirects=True)
    assert place(sent_again) == "item/3"
    assert draft(session, ann) == {PAIN: {"PAININ9": 3, "PAININ22": 5}}


def test_a_waiting_form_goes_to_a_page_of_its_own_visit_only(
    client: FlaskClient, ann: Patient, bob: Patient, clock: Clock
) -> None:
    second = answer(client, begin(client, ann), 3)
    clock.advance(hours=5)
    refused = answer(client, second, 5)
    for elsewhere in (
        "https://evil.example/",
        "//evil.example",
        url(client, bob, "review"),
        url(client, ann, "../.."),
        f"/{url(client, ann, 'item/2')}",
    ):
        page = post(client, refused, {**parts_of(BIRTH_DATE), "waiting_to": elsewhere}, follow_redirects=False)
        assert (page.status_code, page.location) == (303, url(client, ann, "item/2"))


def test_a_form_of_one_visit_is_refused_at_the_address_of_another(
    client: FlaskClient, session: Session, ann: Patient, bob: Patient
) -> None:
    page = begin(client, ann)
    begin_bob(client, bob)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    refused = client.post(url(client, bob, "item/1"), data={"csrf_token": token, "answer": "1"})
    assert refused.status_code == 400
    assert count(session, VisitDraft) == 0


def test_the_cookie_of_one_visit_opens_no_other(
    client: FlaskClient, another_client: Callable[[], FlaskClient], ann: Patient, bob: Patient
) -> None:
    begin(client, ann)
    other = another_client()
    for name in ("__Secure-visit-link", "__Secure-visit-access"):
        cookie = client.get_cookie(name, path=url(client, ann))
        assert cookie is not None
        other.set_cookie(name, cookie.value, path=url(client, bob))
    assert get(other, bob, "item/1").status_code == 410


def test_only_the_hash_of_an_access_is_stored(client: FlaskClient, session: Session, ann: Patient) -> None:
    begin(client, ann)
    secret = client.get_cookie("__Secure-visit-access", path=url(client, ann))
    assert secret is not None
    stored = session.scalars(select(VisitAccess)).one()
    assert len(stored.secret_hash) == 32
    assert secret.value.encode() not in stored.secret_hash
    assert session.scalar(select(func.count()).select_from(VisitAccess)) == 1


def test_a_new_link_works_at_once_where_the_replaced_one_was_confirmed(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    begin(client, ann)
    links.revoke(session, Actor(ActorKind.COMMAND, "test"), ann.visit.id, now=clock.now)
    token = links.issue(session, ann.visit.id, now=clock.now)
    session.commit()
    newer = Patient(ann.visit, token, links.find(session, token))
    assert place(begin(client, newer)) == "item/1"


def test_preferences_sent_after_the_access_and_the_window_ended_are_saved(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    begin(client, ann)
    page = get(client, ann, "preferences")
    clock.set(ann.visit.closes_at + timedelta(hours=1))
    refused = post(client, page, {"preferred_channel": "sms", "message_time": "", "language": "es"})
    assert (refused.status_code, heading(refused)) == (403, "Questions for you")
    again = post(client, refused, parts_of(BIRTH_DATE), follow_redirects=False)
    assert (again.status_code, again.location) == (307, url(client, ann, "preferences"))
    client.post(again.location, data=dict(HIDDEN.findall(refused.text)))
    session.rollback()
    assert session.get_one(Subject, ann.visit.subject_id, populate_existing=True).language == "es"


def test_a_waiting_form_goes_on_waiting_while_the_birth_date_is_locked(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    second = answer(client, begin(client, ann), 3)
    clock.advance(hours=5)
    page = answer(client, second, 5)
    for _ in range(5):
        page = post(client, page, parts_of(BORN_LATER))
    assert heading(page) == "Please wait a while"
    clock.advance(minutes=16)
    page = post(client, page, {"retry": "yes"})
    again = post(client, page, parts_of(BIRTH_DATE), follow_redirects=False)
    client.post(again.location, data=dict(HIDDEN.findall(page.text)))
    assert draft(session, ann) == {PAIN: {"PAININ9": 3, "PAININ22": 5}}


def test_a_revoked_link_checks_no_birth_date_for_a_waiting_form_either(
    client: FlaskClient, session: Session, ann: Patient, clock: Clock
) -> None:
    start = open_link(client, ann)
    links.revoke(session, Actor(ActorKind.COMMAND, "test"), ann.visit.id, now=clock.now)
    session.commit()
    forged = {**parts_of(BORN_LATER), "waiting_to": url(client, ann, "preferences")}
    assert heading(post(client, start, forged)) == "This link does not work"
    session.rollback()
    assert session.get_one(Visit, ann.visit.id, populate_existing=True).failed_checks == 0
