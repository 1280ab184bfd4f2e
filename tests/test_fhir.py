"""FHIR R4 out: valid under another's model of FHIR, exact to the decimal, silent about who anybody is."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.instrument import TextPack
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import catalog, fhir
from pro_tracker.services.fhir_questionnaire import Form, questionnaire
from tests.conftest import Clock
from tests.histories import FATIGUE, NRS, PCS, PGIC, PI, answer_visit, course_of, visit_of
from tests.schedule import add_subject, give
from tests.staff import add_account, add_site, sign_in

BASE = "https://pro-tracker.test/fhir"
ENROLLED_ON = date(2026, 1, 5)
FIRST_ON = date(2026, 1, 12)
BASELINE_AT = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
LAST_AT = datetime(2026, 1, 17, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)
LOINC = "http://loinc.org"
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
# Codes of R4's required bindings, which the model library leaves unchecked.
CODES = {
    ("Bundle", "type"): {"collection", "searchset"},
    ("CapabilityStatement", "kind"): {"instance"},
    ("CapabilityStatement", "status"): {"draft", "active", "retired", "unknown"},
    ("Observation", "status"): {"registered", "preliminary", "final", "amended", "entered-in-error"},
    ("Questionnaire", "status"): {"draft", "active", "retired", "unknown"},
    ("QuestionnaireResponse", "status"): {"in-progress", "completed", "amended", "entered-in-error", "stopped"},
}
SECRETS = ("Geheim", "Zoë", "MRN-", "patients.example", "2165550", "1975", "America", "female")
PACKS = sorted(catalog.TEXT_PACKS.glob("*.yaml"))
Json = dict[str, Any]


def subject_with_answers(session: Session, clock: Clock, **facts: Any) -> Subject:
    """Baseline and last infusion answered; at the second an item of fatigue is skipped."""
    subject = planned_subject(session, clock, **facts)
    answer_visit(session, visit_of(session, subject, "baseline"), BASELINE_AT, {PI: 4, FATIGUE: 3, PCS: 3, NRS: [8]})
    give_all(session, subject)
    skipped: list[int | None] = [None, *[2] * 7]
    later: dict[str, int | list[int | None]] = {PI: 2, FATIGUE: skipped, PCS: 1, NRS: [3], PGIC: [2]}
    answer_visit(session, visit_of(session, subject, "last-infusion"), LAST_AT, later)
    session.commit()
    return subject


def planned_subject(session: Session, clock: Clock, **facts: Any) -> Subject:
    clock.set(NOW)
    known = {"given_name": "Zoë", "family_name": "Geheim", "enrolled_on": ENROLLED_ON, "consent_on": ENROLLED_ON}
    return add_subject(session, BASELINE_AT, **known, planned_start_on=FIRST_ON, **facts)


def give_all(session: Session, subject: Subject) -> None:
    give(session, course_of(session, subject), LAST_AT, *(FIRST_ON + timedelta(days=day) for day in range(5)))


def everything(session: Session, subject: Subject) -> list[Json]:
    """The resources as a receiver reads them: through JSON, numbers to the letter."""
    text = json.dumps(fhir.everything(session, subject, BASE))
    resources: list[Json] = json.loads(text, parse_float=Decimal)
    return resources


def of_type(resources: list[Json], kind: str) -> list[Json]:
    return [each for each in resources if each["resourceType"] == kind]


def observations(resources: list[Json], code: str) -> list[Json]:
    """The scores of a scale ("pcs.total"), oldest first."""
    return [each for each in of_type(resources, "Observation") if each["code"]["coding"][-1]["code"] == code]


def responses(resources: list[Json], instrument: str) -> list[Json]:
    wanted = f"{BASE}/Questionnaire/{instrument}."
    return [each for each in of_type(resources, "QuestionnaireResponse") if each["questionnaire"].startswith(wanted)]


def check(resource: Json) -> None:
    """Valid under the model library, and every code of a required binding is one of R4's."""
    kind = resource["resourceType"]
    get_fhir_model_class(kind).model_validate_json(json.dumps(resource, default=float))
    for name, codes in ((name, codes) for (each, name), codes in CODES.items() if each == kind):
        assert resource[name] in codes


def component(observation: Json, code: str) -> Any:
    for each in observation["component"]:
        if each["code"]["coding"][0]["code"] == code:
            return next(value for name, value in each.items() if name.startswith("value"))
    return None


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_instrument_in_every_language_is_a_valid_questionnaire(path: Path) -> None:
    pack = catalog.read_text_pack(path)
    instrument = catalog.instrument(pack.instrument_code)
    made = questionnaire(Form(instrument, pack, BASE))
    check(made)
    assert len(made["id"]) <= 64
    link_ids = [item["linkId"] for item in made["item"]]
    assert link_ids == ["/instruction", *(item.link_id for item in instrument.items)]
    assert [item["text"] for item in made["item"][1:]] == [pack.items[each] for each in link_ids[1:]]


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_option_of_a_questionnaire_has_a_code_of_its_own_and_what_it_counts(path: Path) -> None:
    pack = catalog.read_text_pack(path)
    instrument = catalog.instrument(pack.instrument_code)
    for item, made in zip(instrument.items, questionnaire(Form(instrument, pack, BASE))["item"][1:], strict=True):
        if item.response_set.kind == "numeric":
            bounds = [each["valueInteger"] for each in made["extension"] if "valueInteger" in each]
            assert (made["type"], bounds) == ("integer", [min(item.response_set.values), max(item.response_set.values)])
            continue
        codings = [option["valueCoding"] for option in made["answerOption"]]
        assert max(Counter((each["system"], each["code"]) for each in codings).values()) == 1
        counted = [each["extension"][0]["valueDecimal"] for each in codings]
        assert counted == [item.scored_value(value) for value in item.response_set.values]


def test_everything_of_a_subject_is_valid_and_refers_to_nothing_outside_itself(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    resources = everything(session, subject)
    for resource in resources:
        check(resource)
    there = {f"{each['resourceType']}/{each['id']}" for each in resources}
    assert len(there) == len(resources)
    forms = {f"{each['url']}|{each['version']}" for each in of_type(resources, "Questionnaire")}
    assert {each["questionnaire"] for each in of_type(resources, "QuestionnaireResponse")} == forms
    for each in of_type(resources, "Observation"):
        assert each["subject"]["reference"] in there
        assert each["derivedFrom"][0]["reference"] in there


def test_answers_are_those_that_were_given_in_the_words_they_were_asked_in(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock, language="es")
    resources = everything(session, subject)
    stored = session.scalars(select(QuestionnaireResponse).order_by(QuestionnaireResponse.id)).all()
    told = of_type(resources, "QuestionnaireResponse")
    assert len(told) == len(stored) == 11
    for row, given in zip(stored, told, strict=True):
        pack, instrument = catalog.text_pack(row.instrument_code, "es"), catalog.instrument(row.instrument_code)
        assert (given["language"], given["status"]) == ("es", "completed")
        assert datetime.fromisoformat(given["authored"]) == row.authored_at
        assert {item["linkId"]: item["text"] for item in given["item"]} == pack.items
        for item in given["item"]:
            assert _value_of(instrument.item(item["linkId"]), item, pack) == row.answers[item["linkId"]]


def _value_of(item: Any, told: Json, pack: Any) -> int | None:
    """The stored code that an answer stands for, found by its coding and its words."""
    if "answer" not in told:
        return None
    (answer,) = told["answer"]
    if item.response_set.kind == "numeric":
        value: int = answer["valueInteger"]
        return value
    coding = answer["valueCoding"]
    (option,) = [
        each
        for each in item.response_set.options
        if coding["code"] == (each.code if coding["system"] == LOINC else str(each.value))
    ]
    assert coding["display"] == pack.options[item.response_set.code][option.value]
    assert coding["extension"] == [{"url": ORDINAL, "valueDecimal": item.scored_value(option.value)}]
    return int(option.value)


def test_a_score_is_the_stored_one_with_its_one_decimal(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    score = session.scalars(select(Score).where(Score.instrument_code == PI).order_by(Score.id)).first()
    assert score
    score.t_score, score.standard_error = 50.0, 2.0
    session.commit()
    told = observations(everything(session, subject), f"{PI}.total")
    assert (str(told[0]["valueQuantity"]["value"]), told[0]["valueQuantity"]["unit"]) == ("50.0", "T-score")
    assert str(component(told[0], "standard-error")["value"]) == "2.0"
    assert component(told[0], "raw-score")["value"] == 32
    assert (str(told[1]["valueQuantity"]["value"]), str(component(told[1], "standard-error")["value"])) == (
        "55.8",
        "1.4",
    )
    assert told[0]["code"]["coding"][0] == {"system": LOINC, "code": "77865-4"}
    assert "US general population" in told[0]["method"]["text"]
    assert datetime.fromisoformat(told[0]["effectiveDateTime"]) == BASELINE_AT


def test_a_scale_without_t_scores_tells_its_points_as_a_whole_number(session: Session, clock: Clock) -> None:
    told = observations(everything(session, subject_with_answers(session, clock)), "pcs.total")
    assert [str(each["valueQuantity"]["value"]) for each in told] == ["39", "13"]
    assert component(told[0], "raw-score") is None
    (band,) = told[0]["interpretation"]
    assert band["coding"][0]["code"] == "relevant"
    assert "interpretation" not in told[1]  # nobody agreed on a word for less


def test_a_score_that_could_not_be_made_says_why_and_has_no_value(session: Session, clock: Clock) -> None:
    resources = everything(session, subject_with_answers(session, clock))
    answered, skipped = observations(resources, f"{FATIGUE}.total")
    assert "dataAbsentReason" not in answered
    assert "valueQuantity" not in skipped
    assert "7 of 8 items answered" in skipped["dataAbsentReason"]["text"]
    assert (component(skipped, "items-answered"), component(skipped, "items")) == (7, 8)
    (first, *rest) = responses(resources, FATIGUE)[1]["item"]
    assert "answer" not in first
    assert all("answer" in item for item in rest)


def test_wording_that_nobody_validated_is_said_to_be_so(session: Session, clock: Clock) -> None:
    resources = everything(session, subject_with_answers(session, clock))
    assert {each["experimental"] for each in of_type(resources, "Questionnaire")} == {True}
    notes = [each["note"][0]["text"] for each in of_type(resources, "Observation")]
    assert {"not validated" in note for note in notes} == {True}


def test_answers_keep_the_wording_they_were_asked_in_when_the_clinic_loads_its_own(
    session: Session, clock: Clock
) -> None:
    subject = planned_subject(session, clock)
    answer_visit(session, visit_of(session, subject, "baseline"), BASELINE_AT, {})
    session.add(licensed(catalog.text_pack(PCS, "en")))
    give_all(session, subject)
    answer_visit(session, visit_of(session, subject, "last-infusion"), LAST_AT, {})
    resources = everything(session, subject)
    before, after = responses(resources, PCS)
    canonicals = [each["questionnaire"].rpartition("/")[2] for each in (before, after)]
    assert canonicals == ["pcs.en|1.0-1.0", "pcs.en|1.0-2026-03"]
    assert ["Licensed" in each["item"][0]["text"] for each in (before, after)] == [False, True]
    forms = {each["id"]: each for each in of_type(resources, "Questionnaire")}
    assert [forms[each.replace("|", ".")]["experimental"] for each in canonicals] == [True, False]
    notes = ["".join(note["text"] for note in each["note"]) for each in observations(resources, "pcs.total")]
    assert ["not validated" in each for each in notes] == [True, False]


def licensed(shipped: TextPack) -> LoadedTextPack:
    """A clinic's own wording: the shipped one with every text changed."""
    options = {
        code: {str(value): f"Licensed {label}" for value, label in labels.items()}
        for code, labels in shipped.options.items()
    }
    items = {link_id: f"Licensed {text}" for link_id, text in shipped.items.items()}
    return LoadedTextPack(
        instrument_code=shipped.instrument_code,
        instrument_version="1.0",
        language=shipped.language,
        version="2026-03",
        validated=True,
        licence_holder="The publisher",
        permission_reference="Letter 7",
        body={"title": "Licensed", "instruction": "Licensed", "items": items, "options": options},
        sha256="",
        loaded_at=NOW,
    )


def test_a_pro_rated_score_says_so(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    score = session.scalars(select(Score).where(Score.instrument_code == FATIGUE).order_by(Score.id)).first()
    assert score
    score.prorated, score.n_answered = True, 6
    session.commit()
    told = observations(everything(session, subject), f"{FATIGUE}.total")[0]
    assert (component(told, "pro-rated"), component(told, "items-answered")) == (True, 6)
    assert "Pro-rated from 6 of 8 items." in [note["text"] for note in told["note"]]


def test_answers_entered_in_error_are_taken_back_without_a_number(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    wrong = select(QuestionnaireResponse.id).where(QuestionnaireResponse.instrument_code == PI)
    withdrawn = session.scalars(wrong.order_by(QuestionnaireResponse.id)).first()
    _set_status(session, withdrawn, "entered-in-error")
    resources = everything(session, subject)
    response, kept = responses(resources, PI)
    score, kept_score = observations(resources, f"{PI}.total")
    assert (response["status"], score["status"]) == ("entered-in-error", "entered-in-error")
    assert "item" not in response
    assert not {"valueQuantity", "component", "interpretation"} & score.keys()
    assert (kept["status"], kept_score["status"]) == ("completed", "final")
    check(response)
    check(score)


def test_an_amended_response_has_amended_scores(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    changed = session.scalar(select(QuestionnaireResponse.id).where(QuestionnaireResponse.instrument_code == PGIC))
    _set_status(session, changed, "amended")
    resources = everything(session, subject)
    assert [each["status"] for each in responses(resources, PGIC)] == ["amended"]
    assert [each["status"] for each in observations(resources, f"{PGIC}.total")] == ["amended"]


def test_of_a_rescored_response_the_newest_score_replaces_the_older(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    before = observations(everything(session, subject), f"{NRS}.total")
    old = session.scalars(select(Score).where(Score.instrument_code == NRS, Score.raw_score == 8)).one()
    kept = ("response_id", "instrument_code", "instrument_version", "scale_code", "status")
    values = {name: getattr(old, name) for name in (*kept, "n_answered", "n_items", "prorated")}
    session.add(Score(**values, scoring_version="2.0", raw_score=7.5, scored_at=NOW))
    session.commit()
    after = observations(everything(session, subject), f"{NRS}.total")
    assert [each["id"] for each in after] == [each["id"] for each in before]
    assert [each["status"] for each in after] == ["amended", "final"]
    assert str(after[0]["valueQuantity"]["value"]) == "7.5"
    assert "scoring version 2.0" in after[0]["method"]["text"]


def _set_status(session: Session, response_id: int | None, status: str) -> None:
    session.execute(update(QuestionnaireResponse).where(QuestionnaireResponse.id == response_id).values(status=status))
    session.commit()


def test_nothing_says_who_the_subject_is(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    text = json.dumps(fhir.everything(session, subject, BASE), ensure_ascii=False)
    assert [secret for secret in SECRETS if secret in text] == []
    assert of_type(json.loads(text), "Patient") == [
        {
            "resourceType": "Patient",
            "id": subject.study_code,
            "identifier": [{"system": f"{BASE}/sid/study-id", "value": subject.study_code}],
        }
    ]


def test_one_subject_is_given_and_no_other(session: Session, clock: Clock) -> None:
    subject, other = subject_with_answers(session, clock), subject_with_answers(session, clock)
    mine, theirs = everything(session, subject), everything(session, other)
    assert other.study_code not in json.dumps(mine, default=str)
    scores = [{each["id"] for each in of_type(all_of, "Observation")} for all_of in (mine, theirs)]
    assert len(scores[0]) == len(scores[1]) == 17
    assert not scores[0] & scores[1]


def get(client: FlaskClient, path: str) -> tuple[int, Json]:
    answer = client.get(f"/fhir/{path}", headers={"Accept": "application/fhir+json"})
    assert answer.mimetype == "application/fhir+json"
    resource: Json = json.loads(answer.text, parse_float=Decimal)
    check(resource)
    return answer.status_code, resource


def test_staff_get_everything_of_a_subject_of_their_site_and_the_view_is_on_record(
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
def test_a_response_leads_to_the_questionnaire_it_was_asked_with(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
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
def test_roles_without_patients_may_not_ask_for_one(
    client: FlaskClient, session: Session, clock: Clock, role: str
) -> None:
    subject = subject_with_answers(session, clock)
    sign_in(client, add_account(session, role))
    status, outcome = get(client, f"Patient/{subject.study_code}/$everything")
    assert (status, outcome["issue"][0]["code"]) == (403, "forbidden")


@pytest.mark.dialects("sqlite")
def test_a_program_that_is_not_signed_in_is_told_so_and_a_browser_may_sign_in(client: FlaskClient) -> None:
    status, outcome = get(client, "Patient/north-0001/$everything")
    assert (status, outcome["issue"][0]["code"]) == (401, "login")
    page = client.get("/fhir/Patient/north-0001", headers={"Accept": "text/html"})
    assert page.location.startswith("/sign-in")


@pytest.mark.dialects("sqlite")
def test_what_can_be_asked_is_stated_to_anybody(client: FlaskClient) -> None:
    status, statement = get(client, "metadata")
    assert (status, statement["fhirVersion"]) == (200, "4.0.1")
    assert get(client, "Practitioner/1")[0] == 404


@pytest.mark.dialects("sqlite")
def test_what_is_stated_can_be_asked(client: FlaskClient, session: Session, clock: Clock) -> None:
    code = subject_with_answers(session, clock).study_code
    sign_in(client, add_account(session, "clinician"))
    for stated in get(client, "metadata")[1]["rest"][0]["resource"]:
        kind, interactions = stated["type"], {each["code"] for each in stated["interaction"]}
        if "search-type" in interactions:
            assert get(client, f"{kind}?patient={code}")[1]["total"] > 0
        if "read" in interactions:
            known = {"Patient": code, "Questionnaire": "pcs.en.1.0-1.0"}[kind]
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


def test_the_questionnaires_in_force_are_listed_and_found_by_their_url(client: FlaskClient, session: Session) -> None:
    sign_in(client, add_account(session, "researcher"))
    listed = found(client, "Questionnaire")
    assert {each["id"].rpartition(".1.0")[0] for each in listed} >= {
        path.stem for path in PACKS if "@" not in path.stem
    }
    url = f"{BASE}/Questionnaire/pcs.es"
    for asked in (url, f"{url}|1.0-1.0"):
        assert [each["id"] for each in found(client, f"Questionnaire?url={asked}")] == ["pcs.es.1.0-1.0"]
    assert found(client, f"Questionnaire?url={url}|7.0-7.0") == []


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["fhir", *map(str, arguments)])


def test_the_command_writes_a_subject_and_an_audit_row(
    session: Session, clock: Clock, settings: Settings, tmp_path: Path
) -> None:
    subject = subject_with_answers(session, clock)
    code, out = subject.study_code, tmp_path / "subject.json"
    session.commit()  # on SQLite the command waits for whoever may write
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
    assert made["title"] == catalog.text_pack(PCS, "es").title


@pytest.mark.dialects("sqlite")
def test_the_command_names_a_subject_or_instrument_that_there_is_not(session: Session, settings: Settings) -> None:
    assert "There is no subject 'north-9999'" in str(run("subject", "north-9999", "--out", "-").exception)
    assert "There is no instrument 'pcx'" in str(run("questionnaire", "pcx", "--out", "-").exception)
