"""Personal data is never logged: the main paths run with full logging, and the log is searched."""

import io
import logging
from dataclasses import asdict
from datetime import date

import pytest

from tests.support.patient_browser import (
    BIRTH_DATE,
    FACTS,
    add_patient,
    answer_all,
    begin,
    give_birth_date,
    open_link,
    post,
)
from tests.support.staff_browser import PASSWORD, add_account, sign_in, submit

pytestmark = pytest.mark.dialects("postgresql")


@pytest.fixture
def log(monkeypatch, request):
    """Returns a function that returns the text of the service's log so far."""
    monkeypatch.setenv("PRO_TRACKER_LOG_LEVEL", "DEBUG")
    request.getfixturevalue("app")
    handler = next(handler for handler in logging.getLogger().handlers if handler.name == "stderr")
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    handler.setStream(written)
    return written.getvalue


def test_a_visit_answered_by_its_patient_leaves_nothing_personal_in_the_log(log, client, session, clock):
    patient = add_patient(session, clock.now)

    give_birth_date(client, open_link(client, patient), clock.now.date())
    begin(client, patient)
    post(client, answer_all(client, patient), {})
    client.get(f"/v/{patient.token}x")
    client.get(f"/v/{patient.token}/stop/0123456789ab", follow_redirects=True)
    client.post(f"/v/{patient.token}/stop/0123456789ab", data={"List-Unsubscribe": "One-Click"})
    logging.getLogger("pro_tracker").info("visit.walked")

    written = log()
    assert "visit.walked" in written
    assert [secret for secret in _secrets(patient.token) if secret in written] == []


def test_sign_ins_leave_no_address_and_no_password_in_the_log(log, client, session):
    account = add_account(session, "coordinator")

    sign_in(client, account, "not the password at all")
    sign_in(client, "unknown@clinic.example")
    sign_in(client, account)
    logging.getLogger("pro_tracker").info("signed.in")

    written = log()
    assert "signed.in" in written
    secrets = (account.email, "unknown@clinic.example", PASSWORD, "not the password at all")
    assert [secret for secret in secrets if secret in written] == []


def test_staff_who_enrol_search_and_read_leave_nothing_personal_in_the_log(log, client, session, clock):
    sign_in(client, add_account(session, "coordinator"))

    assert submit(client, "/subjects/new", {**_form(), "birth_date-year": "19750"}).status_code == 422
    assert submit(client, "/subjects/new", _form()).status_code in (302, 303)
    assert submit(client, "/subjects/new", _form()).status_code == 422  # enrolled already
    found = submit(client, "/subjects", {"search": FACTS.record_number}, follow_redirects=True)
    assert FACTS.given_name in found.text
    logging.getLogger("pro_tracker").info("patient.read")

    written = log()
    assert "patient.read" in written
    assert [secret for secret in _secrets("") if secret in written] == []


def test_an_error_that_quotes_a_person_reaches_the_log_without_the_quotation(log, app, client):
    @app.get("/fails")
    def fails():
        raise ValueError(f"cannot store {FACTS.given_name} at {FACTS.email}")

    fails.access = app.view_functions["health.healthz"].access
    app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False

    assert client.get("/fails").status_code == 500
    written = log()
    assert "ValueError" in written
    assert [secret for secret in _secrets("") if secret in written] == []


def _form():
    """Returns the enrolment form as a coordinator fills it in."""
    texts = {name: value for name, value in asdict(FACTS).items() if isinstance(value, str)}
    dates = {
        f"{name}-{part}": str(getattr(value, part))
        for name, value in asdict(FACTS).items()
        if isinstance(value, date)
        for part in ("day", "month", "year")
    }
    return {**texts, **dates}


def _secrets(token):
    born = (BIRTH_DATE.isoformat(), f"{BIRTH_DATE.day}.{BIRTH_DATE.month}.{BIRTH_DATE.year}")
    return [FACTS.record_number, FACTS.given_name, FACTS.email, FACTS.mobile, *born, *([token] if token else [])]
