"""Answers to a consent form as FHIR Consents: valid, with the purposes, and without identity."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentPurpose
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.consent_fixtures import consent, raise_version, with_consent_form
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import Json, check, everything, of_type, planned_subject
from tests.support.staff_browser import add_account, sign_in

CARE, REGISTRY, SHARING = ConsentPurpose


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


def rules(resource: Json) -> dict[str, str]:
    """Returns purpose -> permit or deny."""
    return {each["purpose"][1]["code"]: each["type"] for each in resource["provision"]["provision"]}


def test_each_answer_is_a_valid_consent_and_the_newest_is_active_until_a_withdrawal(
    session: Session, clock: Clock, form_path: Path
) -> None:
    subject = planned_subject(session, clock)
    consent(session, subject, clock.now, CARE)
    raise_version(form_path)
    consent(session, subject, clock.now + timedelta(days=1), CARE, REGISTRY)
    first, second = of_type(everything(session, subject), "Consent")
    for each in (first, second):
        check(each)
    assert (first["status"], second["status"]) == ("inactive", "active")
    assert rules(second) == {"care": "permit", "registry": "permit", "sharing": "deny"}
    assert second["policyRule"]["coding"][0]["code"] == "example.2"
    text = json.dumps([first, second])
    assert [word for word in ("Zoë", "Demo", "Geheim") if word in text] == []

    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now)
    assert [each["status"] for each in of_type(everything(session, subject), "Consent")] == ["inactive", "inactive"]


def test_staff_of_the_site_search_the_consents_of_a_patient(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = planned_subject(session, clock)
    consent(session, subject, clock.now, CARE)
    sign_in(client, add_account(session, "clinician"))
    found = client.get(f"/fhir/Consent?patient={subject.study_code}").get_json()
    check(found)
    assert [entry["resource"]["status"] for entry in found["entry"]] == ["active"]
