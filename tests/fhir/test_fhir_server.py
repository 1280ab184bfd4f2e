"""The FHIR endpoints and commands: access, audit and error responses."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.consent import ConsentPurpose
from pro_tracker.models.audit import AuditEvent
from pro_tracker.services.instruments import instrument_catalog
from tests.conftest import Clock
from tests.support.consent_fixtures import consent
from tests.support.fhir_reader import (
    BASE,
    LOINC,
    PACKS,
    Json,
    check,
    everything,
    observations,
    of_type,
    subject_with_answers,
)
from tests.support.goal_builder import set_goal
from tests.support.history_builder import PCS, PI, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in


def get(client: FlaskClient, path: str) -> tuple[int, Json]:
    answer = client.get(f"/fhir/{path}", headers={"Accept": "application/fhir+json"})
    assert answer.mimetype == "application/fhir+json"
    resource: Json = json.loads(answer.text, parse_float=Decimal)
    check(resource)
    return answer.status_code, resource


def test_staff_get_everything_of_a_subject_of_their_site_and_the_view_is_audited(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = subject_with_answers(session, clock)
    account = add_account(session, "clinician")
    sign_in(client, account)
    status, bundle = get(client, f"Patient/{subject.study_code}/$everything")
    assert (status, bundle["type"], bundle["total"]) == (200, "searchset", len(bundle["entry"]))
    assert [entry["resource"] for entry in bundle["entry"]] == everything(session, subject)
    assert {entry["fullUrl"].partition("/fhir/")[0] for entry in bundle["entry"]} == {"https://pro-tracker.test"}
    views = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.view")).all()
    assert [(view.subject_id, view.actor_id, view.detail) for view in views] == [
        (subject.id, str(account.id), '{"page":"fhir"}')
    ]
    assert get(client, f"Patient/{subject.study_code}")[1] == of_type(everything(session, subject), "Patient")[0]


@pytest.mark.dialects("sqlite")
def test_a_response_refers_to_its_questionnaire(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    for asked in of_type(everything(session, subject), "Questionnaire"):
        assert get(client, f"Questionnaire/{asked['id']}") == (200, asked)


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    "name", ["pcs", "pcs.en", "pcs.en.1.0-9.9", "pcs.en.9.9-1.0", "pcs.de.1.0-1.0", "no.en.1.0-1.0"]
)
def test_a_questionnaire_that_does_not_exist_is_not_found(client: FlaskClient, session: Session, name: str) -> None:
    sign_in(client, add_account(session, "researcher"))
    status, outcome = get(client, f"Questionnaire/{name}")
    assert (status, outcome["issue"][0]["code"]) == (404, "not-found")


def test_a_subject_of_another_site_does_not_exist(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_site(session, "south")
    subject = subject_with_answers(session, clock, site_code="south")
    sign_in(client, add_account(session, "coordinator", "north"))
    code = subject.study_code
    for path in (f"Patient/{code}", f"Patient/{code}/$everything", f"Observation?patient={code}", "Patient/none"):
        status, outcome = get(client, path)
        assert (status, outcome["issue"][0]["code"]) == (404, "not-found")
    assert session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.view")).all() == []


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("role", ["researcher", "administrator"])
def test_roles_without_access_to_patients_are_refused(
    client: FlaskClient, session: Session, clock: Clock, role: str
) -> None:
    subject = subject_with_answers(session, clock)
    sign_in(client, add_account(session, role))
    status, outcome = get(client, f"Patient/{subject.study_code}/$everything")
    assert (status, outcome["issue"][0]["code"]) == (403, "forbidden")


@pytest.mark.dialects("sqlite")
def test_a_program_without_a_session_gets_401_and_a_browser_the_sign_in_page(client: FlaskClient) -> None:
    status, outcome = get(client, "Patient/north-0001/$everything")
    assert (status, outcome["issue"][0]["code"]) == (401, "login")
    page = client.get("/fhir/Patient/north-0001", headers={"Accept": "text/html"})
    assert page.location.startswith("/sign-in")


@pytest.mark.dialects("sqlite")
def test_the_capability_statement_needs_no_sign_in(client: FlaskClient) -> None:
    status, statement = get(client, "metadata")
    assert (status, statement["fhirVersion"]) == (200, "4.0.1")
    assert get(client, "Practitioner/1")[0] == 404


@pytest.mark.dialects("sqlite")
def test_every_stated_interaction_works(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    code = subject.study_code
    set_goal(session, visit_of(session, subject, "baseline"), "Walk to the lake", clock.now)
    consent(session, subject, clock.now, ConsentPurpose.CARE)
    sign_in(client, add_account(session, "clinician"))
    for stated in get(client, "metadata")[1]["rest"][0]["resource"]:
        kind, interactions = stated["type"], {each["code"] for each in stated["interaction"]}
        if "search-type" in interactions:
            assert get(client, f"{kind}?patient={code}")[1]["total"] > 0
        if "read" in interactions:
            known = {"Patient": code, "Questionnaire": "pcs.en.1.0-1.1"}[kind]
            assert get(client, f"{kind}/{known}")[1]["id"] == known


def test_searches_find_the_responses_and_the_scores_of_one_patient(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject, _other = subject_with_answers(session, clock), subject_with_answers(session, clock)
    resources, code = everything(session, subject), subject.study_code
    sign_in(client, add_account(session, "clinician"))
    assert found(client, f"QuestionnaireResponse?patient={code}") == of_type(resources, "QuestionnaireResponse")
    assert found(client, f"Observation?patient=Patient/{code}&category=survey") == of_type(resources, "Observation")
    of_pain = observations(resources, f"{PI}.total")
    assert found(client, f"Observation?patient={code}&code=77865-4") == of_pain
    assert found(client, f"Observation?patient={code}&code=none,{LOINC}|77865-4") == of_pain
    assert found(client, f"Observation?patient={code}&code=http://other.example|77865-4") == []
    link = get(client, f"Observation?patient={code}&code=77865-4&_sort=date")[1]["link"]
    assert link == [{"relation": "self", "url": f"{BASE}/Observation?patient={code}&code=77865-4"}]


def found(client: FlaskClient, path: str) -> list[Json]:
    status, bundle = get(client, path)
    assert status == 200
    return [entry["resource"] for entry in bundle.get("entry", [])]


@pytest.mark.dialects("sqlite")
def test_a_search_must_name_the_patient(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "clinician"))
    for kind in ("Observation", "QuestionnaireResponse"):
        status, outcome = get(client, kind)
        assert (status, outcome["issue"][0]["code"]) == (422, "invalid")


def test_current_questionnaires_are_listed_and_found_by_their_url(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "researcher"))
    listed = found(client, "Questionnaire")
    without_versions = {re.sub(r"\.[0-9.]+-[0-9.]+$", "", each["id"]) for each in listed}
    assert without_versions >= {path.stem for path in PACKS if "@" not in path.stem}
    url = f"{BASE}/Questionnaire/pcs.es"
    for asked in (url, f"{url}|1.0-1.1"):
        assert [each["id"] for each in found(client, f"Questionnaire?url={asked}")] == ["pcs.es.1.0-1.1"]
    assert found(client, f"Questionnaire?url={url}|7.0-7.0") == []


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["fhir", *map(str, arguments)])


def test_the_command_writes_a_subject_and_an_audit_row(
    session: Session, clock: Clock, settings: Settings, tmp_path: Path
) -> None:
    subject = subject_with_answers(session, clock)
    code, out = subject.study_code, tmp_path / "subject.json"
    session.commit()  # on SQLite the command waits for the open write transaction
    result = run("subject", code, "--out", out)
    assert (result.exit_code, result.output) == (0, f"Wrote {out}.\n")
    bundle = json.loads(out.read_text(encoding="utf-8"), parse_float=Decimal)
    check(bundle)
    assert bundle["type"] == "collection"
    assert [entry["resource"] for entry in bundle["entry"]] == everything(session, subject)
    (view,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.view"))
    assert (view.subject_id, view.actor_kind, view.actor_id) == (subject.id, "command", "fhir")


@pytest.mark.dialects("sqlite")
def test_the_command_writes_the_questionnaire_of_a_language(session: Session, settings: Settings) -> None:
    result = run("questionnaire", PCS, "--language", "es", "--out", "-")
    made = json.loads(result.stdout)
    check(made)
    assert made["title"] == instrument_catalog.text_pack(PCS, "es").title


@pytest.mark.dialects("sqlite")
def test_the_command_names_an_unknown_subject_or_instrument(session: Session, settings: Settings) -> None:
    assert "There is no subject 'north-9999'" in str(run("subject", "north-9999", "--out", "-").exception)
    assert "There is no instrument 'pcx'" in str(run("questionnaire", "pcx", "--out", "-").exception)
