"""The lists of the protocol are asked at every infusion: symptoms, vital signs, other drugs. "Not asked" is no "no"."""

from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.course import Infusion
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import add_subject
from tests.support.staff_browser import add_account, save, sign_in
from tests.support.treatment_lists import listed_treatment
from tests.treatment.test_infusions import FORM, NAUSEA

__all__ = ["listed_treatment"]
pytestmark = [pytest.mark.usefixtures("listed_treatment"), pytest.mark.dialects("sqlite")]
REPORTED = {"symptom_nausea": "yes", "grade_nausea": "2", "emergency_nausea": "no"}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with a course planned from today; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return add_subject(session, clock.now, planned_start_on=date(2026, 3, 2), enrolled_on=date(2026, 2, 20))


def record(client: FlaskClient, subject: Subject, **changes: Any) -> TestResponse:
    return save(client, f"/subjects/{subject.id}/infusions/new", {**FORM, **changes})


def recorded(session: Session) -> Infusion:
    session.expire_all()
    return session.scalars(select(Infusion).where(Infusion.voided_at.is_(None))).one()


def answers(session: Session) -> dict[str, str]:
    return {row.code: row.answer.value for row in recorded(session).symptoms}


def page_of(client: FlaskClient, subject: Subject) -> str:
    return client.get(f"/subjects/{subject.id}").text


def test_one_act_says_that_all_were_asked_about_and_none_was_reported(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    assert record(client, subject, asked="none-reported").status_code == 303
    assert answers(session) == {"nausea": "no", "dizziness": "no", "dissociation": "no", "other": "no"}
    assert "Asked: none reported" in page_of(client, subject)


def test_not_asked_differs_from_none_reported_and_from_not_known(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    assert record(client, subject, asked="not-asked").status_code == 303
    assert set(answers(session).values()) == {"not-asked"}
    assert "Nobody asked" in page_of(client, subject)
    assert record(client, subject, asked="unknown", started_at_local="11:30", sure="y").status_code == 422
    page = f"/subjects/{subject.id}/infusions/{recorded(session).id}"
    assert save(client, page, {**FORM, "asked": "unknown", "reason": "the slip does not say"}).status_code == 303
    assert answers(session) == {}
    assert "Not recorded whether anybody asked" in page_of(client, subject)


def test_a_reported_symptom_is_described_before_it_is_saved(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    asked = record(client, subject, asked="as-marked", symptom_nausea="yes", symptom_dissociation="not-asked")
    assert asked.status_code == 422
    assert "Nausea: Choose the CTCAE grade." in asked.text
    described = {"started_nausea": "08:50", "action_nausea": "DRUG INTERRUPTED", "relatedness_nausea": "PROBABLE"}
    chosen = {"outcome_nausea": "RECOVERED/RESOLVED", "serious_nausea": "no"}
    saved = record(client, subject, **{**shown_form(asked), "status": "completed", **REPORTED, **described, **chosen})
    assert saved.status_code == 303
    assert answers(session) == {"nausea": "yes", "dizziness": "no", "dissociation": "not-asked", "other": "no"}
    (event,) = recorded(session).adverse_events
    assert (event.term, event.symptom_code, event.ctcae_grade, event.source) == ("Nausea", "nausea", 2, "ASKED")
    assert (event.outcome, event.relatedness, event.action_taken) == (
        "RECOVERED/RESOLVED",
        "PROBABLE",
        "DRUG INTERRUPTED",
    )
    assert (event.emergency_response, event.is_serious) == (False, False)
    assert (event.started_on, f"{event.started_at_local:%H:%M}") == (date(2026, 3, 2), "08:50")
    assert "Asked, not about: Dissociation" in page_of(client, subject)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asked": ""}, "Choose whether someone asked"),
        ({"asked": "none-reported", **REPORTED}, "None was reported, but one is marked"),
        ({"asked": "none-reported", "symptom_nausea": "not-asked"}, "one is marked as not asked"),
        ({"asked": "not-asked", "symptom_nausea": "no"}, "so someone asked"),
        ({"asked": "as-marked"}, "Nothing is marked as reported or as not asked."),
        ({"asked": "as-marked", "symptom_other": "yes"}, "Describe it below."),
        ({"asked": "as-marked", **NAUSEA, "symptom_other": "no"}, "Anything else: is described, but the answer is no."),
        ({"vital_SYSBP_during": "1200"}, "must be from 40 to 300 mmHg"),
        ({"vital_SEDATION_after": "drowsy"}, "Enter a number"),
        ({"listed_0": "40"}, "from 0 to 4"),
    ],
)
def test_a_contradiction_is_shown_and_nothing_is_saved(
    client: FlaskClient, session: Session, subject: Subject, changes: dict[str, str], words: str
) -> None:
    changes = {"asked": "none-reported", **changes}
    if changes.get("symptom_other") == "no":
        changes = {**changes, "symptom_nausea": "not-asked"}
    answer = record(client, subject, **changes)
    assert answer.status_code == 422
    assert words in answer.text
    assert session.scalars(select(Infusion)).all() == []


def test_what_the_patient_says_unasked_is_kept_as_volunteered(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    assert record(client, subject, **{**NAUSEA, "asked": "not-asked"}).status_code == 303
    (event,) = recorded(session).adverse_events
    assert (event.term, event.source) == ("nausea", "VOLUNTEERED")
    assert set(answers(session).values()) == {"not-asked"}


def test_vital_signs_other_drugs_nurse_and_chair_are_kept_and_shown(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    measured = {"vital_SYSBP_before": "128", "vital_SYSBP_after": "141", "vital_SEDATION_after": "2"}
    drugs = {"listed_0": "0.5", "drug_0": "Ketorolac", "purpose_0": "rescue", "amount_0": "15", "unit_0": "mg"}
    assert record(client, subject, **measured, **drugs, nurse="R. Diaz", chair="3").status_code == 303
    infusion = recorded(session)
    taken = {(row.code, row.timing.value): row.value for row in infusion.vitals}
    assert taken == {
        ("SYSBP", "before"): 128,
        ("SYSBP", "during"): None,  # the protocol asks for it, and it was not taken
        ("SYSBP", "after"): 141,
        ("SEDATION", "after"): 2,
    }
    given = [(row.name, row.purpose.value, row.amount, row.unit) for row in infusion.medications]
    assert given == [
        ("ondansetron", "premedication", 4, "mg"),
        ("Lorazepam", "rescue", pytest.approx(0.5), "mg"),
        ("Ketorolac", "rescue", 15, "mg"),
    ]
    page = page_of(client, subject)
    for words in ("Systolic blood pressure 128 – 141 mmHg", "Ketorolac 15 mg, against an adverse effect", "R. Diaz, 3"):
        assert words in page


def test_a_correction_shows_what_is_recorded_and_keeps_it(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    first = {"asked": "as-marked", **REPORTED, "vital_SYSBP_before": "128", "listed_0": "1"}
    assert record(client, subject, **first).status_code == 303
    page = f"/subjects/{subject.id}/infusions/{recorded(session).id}"
    shown = shown_form(client.get(page))
    assert (shown["asked"], shown["symptom_nausea"], shown["grade_nausea"]) == ("as-marked", "yes", "2")
    assert (shown["vital_SYSBP_before"], shown["listed_0"]) == ("128", "1")
    unchanged = save(client, page, {**shown, "reason": "nothing"})
    assert "Nothing differs from what is recorded." in unchanged.text
    assert save(client, page, {**shown, "weight_kg": "68", "reason": "scale was wrong"}).status_code == 303
    infusion = recorded(session)
    assert [event.term for event in infusion.adverse_events] == ["Nausea"]
    assert [event.voided_at is None for event in infusion.adverse_events] == [True]
    assert answers(session)["nausea"] == "yes"


def test_the_form_chooses_nothing_by_itself(client: FlaskClient, subject: Subject) -> None:
    page = client.get(f"/subjects/{subject.id}/infusions/new").text
    assert " checked" not in page
    for name in ("Nausea", "Dizziness", "Dissociation", "Anything else", "Sedation (POSS)", "Lorazepam (mg)"):
        assert name in page
