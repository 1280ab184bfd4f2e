"""The files about treatment: adverse events of any day, what was asked and what was not, vital signs, other drugs."""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.domain.infusion_codes import MedicationPurpose, MissedInfusionKind, SymptomAnswer, VitalTiming
from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import KINDS, Extent
from pro_tracker.services.treatment import adverse_events, courses, missed_infusions
from pro_tracker.services.treatment.infusion_facts import (
    AdverseEventFacts,
    MedicationFacts,
    SymptomFacts,
    VitalFacts,
)
from pro_tracker.services.treatment.liver_tests import LIVER_TESTS, LiverTestFacts
from pro_tracker.services.treatment.missed_infusions import MissedInfusionFacts
from pro_tracker.services.treatment.other_treatments import OTHER_TREATMENTS, OtherTreatmentFacts
from pro_tracker.services.treatment.replaced_rows import RowCorrection
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, infusion
from tests.support.history_builder import course_of

FIRST_ON = date(2026, 3, 2)
NOW = datetime(2026, 3, 20, 15, 0, tzinfo=UTC)
NO, YES, NOT_ASKED = SymptomAnswer.NO, SymptomAnswer.YES, SymptomAnswer.NOT_ASKED
NAUSEA = AdverseEventFacts(
    "Nausea", 2, emergency_response=False, symptom_code="nausea", source=AdverseEventSource.ASKED, started_on=FIRST_ON
)
LATER = AdverseEventFacts(
    "Headache",
    3,
    emergency_response=True,
    source=AdverseEventSource.VOLUNTEERED,
    found_on=date(2026, 3, 10),
    started_on=date(2026, 3, 6),
    ended_on=date(2026, 3, 9),
    outcome=AdverseEventOutcome.RECOVERED,
    relatedness=Relatedness.POSSIBLE,
    action_taken=ActionTaken.NOT_APPLICABLE,
    is_serious=False,
)


def answers(nausea: SymptomAnswer, dizziness: SymptomAnswer, other: SymptomAnswer) -> tuple[SymptomFacts, ...]:
    asked = {"nausea": ("Nausea", nausea), "dizziness": ("Dizziness", dizziness), "other": ("Anything else", other)}
    return tuple(SymptomFacts(code, term, answer) for code, (term, answer) in asked.items())


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """Three infusions: nausea reported, not asked about, and not recorded whether it was asked."""
    clock.set(NOW)
    enrolled_on = FIRST_ON - timedelta(days=7)
    facts = {"enrolled_on": enrolled_on, "consent_on": enrolled_on, "planned_start_on": FIRST_ON}
    subject = add_subject(session, datetime(2026, 2, 23, 12, tzinfo=UTC), **facts)
    vitals = (
        VitalFacts("SYSBP", "Systolic blood pressure", VitalTiming.BEFORE, Decimal(128), "mmHg"),
        VitalFacts("SYSBP", "Systolic blood pressure", VitalTiming.AFTER, None, "mmHg"),
    )
    rescue = MedicationFacts("Ketorolac", MedicationPurpose.RESCUE, Decimal(15), "mg")
    known: list[dict[str, Any]] = [
        {"symptoms": answers(YES, NO, NO), "adverse_events": (NAUSEA,), "vitals": vitals, "medications": (rescue,)},
        {"symptoms": answers(NOT_ASKED, NOT_ASKED, NOT_ASKED), "ondansetron_mg": None, "chair": "3"},
        {"ondansetron_mg": None},
    ]
    for day, found in enumerate(known):
        facts_of_day = infusion(FIRST_ON + timedelta(days=day), **found)
        courses.record_infusion(session, COORDINATOR, course_of(session, subject), facts_of_day, now=NOW)
    adverse_events.record(session, COORDINATOR, subject, LATER, now=NOW)
    session.commit()
    return subject


def exported(kind: Any) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(NOW))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def columns(kind: str, *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names) for row in exported(kind)]


def test_adverse_events_asked_and_volunteered_are_in_one_file(session: Session, subject: Subject) -> None:
    first, second = exported("adverse-events")
    assert (first["USUBJID"], first["COURSE"], first["STUDYID"]) == (subject.study_code, "1", "KET5D")
    names = ("AETERM", "AETOXGR", "AEPRESP", "AESOURCE", "AEINFUS", "AEDY", "AESTDY", "AEENDY", "AESER", "AEEMERG")
    assert [first[name] for name in names] == ["Nausea", "2", "Y", "ASKED", "Y", "1", "1", "", "", "N"]
    assert [second[name] for name in names] == ["Headache", "3", "", "VOLUNTEERED", "N", "9", "5", "8", "N", "Y"]
    assert (second["AEOUT"], second["AEREL"], second["AEACN"]) == ("RECOVERED/RESOLVED", "POSSIBLE", "NOT APPLICABLE")


def test_what_was_not_asked_differs_from_no_and_from_what_is_not_recorded(session: Session, subject: Subject) -> None:
    found = columns("symptoms", "EXSTDY", "AETERM", "AEPRESP", "AEOCCUR", "AESTAT", "AEREASND", "AETOXGR")
    assert found == [
        ("1", "Nausea", "Y", "Y", "", "", "2"),
        ("1", "Dizziness", "Y", "N", "", "", ""),
        ("1", "Anything else", "", "N", "", "", ""),
        ("2", "Nausea", "Y", "", "NOT DONE", "NOT ASKED", ""),
        ("2", "Dizziness", "Y", "", "NOT DONE", "NOT ASKED", ""),
        ("2", "Anything else", "", "", "NOT DONE", "NOT ASKED", ""),
        ("3", "", "", "", "NOT DONE", "NOT RECORDED", ""),
    ]
    assert columns("infusions", "EXSEQ", "AEASKED") == [("1", "as-marked"), ("2", "not-asked"), ("3", "unknown")]


def test_vital_signs_and_other_drugs_have_a_row_each(session: Session, subject: Subject) -> None:
    assert columns("vitals", "EXSTDY", "VSTESTCD", "VSTPT", "VSORRES", "VSORRESU", "VSSTAT") == [
        ("1", "SYSBP", "before", "128.00", "mmHg", ""),
        ("1", "SYSBP", "after", "", "mmHg", "NOT DONE"),
    ]
    assert columns("medications", "EXSEQ", "CMTRT", "CMCAT", "CMDOSE", "CMDOSU") == [
        ("1", "ondansetron", "premedication", "4.000", "mg"),
        ("1", "Ketorolac", "rescue", "15.000", "mg"),
    ]
    assert columns("infusions", "EXDOSE", "EXDOSU", "EXDUR", "CHAIR")[1] == ("0.500", "mg/kg", "PT40M", "3")


def test_treatments_alongside_liver_tests_and_that_there_are_none_have_a_row_each(
    session: Session, subject: Subject
) -> None:
    drug = OtherTreatmentFacts(
        kind=OtherTreatmentKind.DRUG,
        name="Gabapentin",
        asked_on=FIRST_ON,
        amount=Decimal(300),
        unit="mg",
        frequency=TreatmentFrequency.THRICE_DAILY,
        started_on=date(2026, 2, 2),
        ended_on=date(2026, 3, 5),
    )
    OTHER_TREATMENTS.record(session, COORDINATOR, subject, drug, now=NOW)
    none = OtherTreatmentFacts(OtherTreatmentKind.NONE, "", date(2026, 3, 11))
    OTHER_TREATMENTS.record(session, COORDINATOR, subject, none, now=NOW)
    LIVER_TESTS.record(session, COORDINATOR, subject, LiverTestFacts(date(2026, 3, 1), LiverTestResult.RAISED), now=NOW)
    session.commit()
    names = ("CMSEQ", "CMTRT", "CMCAT", "CMPRESP", "CMOCCUR", "CMDOSE", "CMDOSU", "CMDOSFRQ")
    assert columns("other-treatments", *names) == [
        ("1", "Gabapentin", "DRUG", "", "", "300.000", "mg", "TID"),
        ("2", "", "", "Y", "N", "", "", ""),
    ]
    assert columns("other-treatments", "CMDY", "CMSTDY", "CMENDY", "CMENRTPT") == [
        ("1", "-28", "4", "ONGOING"),
        ("10", "", "", ""),
    ]
    assert columns("liver-tests", "LBTESTCD", "LBDY", "LBORRES") == [("LIVER", "-1", "UP TO 3 TIMES ULN")]


def miss(
    session: Session, subject: Subject, kind: MissedInfusionKind, planned_on: date, next_on: date | None
) -> MissedInfusion:
    """Records on the day itself that no infusion was given."""
    facts = MissedInfusionFacts(planned_on, kind, next_on)
    that_day = datetime.combine(planned_on, time(20), UTC)
    row = missed_infusions.record(session, COORDINATOR, course_of(session, subject), facts, now=that_day)
    session.commit()
    return row


def test_days_without_an_infusion_have_a_row_each_until_they_are_voided(session: Session, subject: Subject) -> None:
    miss(session, subject, MissedInfusionKind.DID_NOT_COME, date(2026, 3, 5), date(2026, 3, 9))
    undecided = miss(session, subject, MissedInfusionKind.DID_NOT_COME, date(2026, 3, 9), None)
    names = ("COURSE", "ECSEQ", "ECPRESP", "ECOCCUR", "ECREASOC", "ECSTDY", "NEXTDY")
    assert columns("missed-infusions", *names) == [
        ("1", "1", "Y", "N", "did-not-come", "4", "8"),
        ("1", "2", "Y", "N", "did-not-come", "8", ""),
    ]
    assert columns("missed-infusions", "USUBJID", "STUDYID")[0] == (subject.study_code, "KET5D")
    missed_infusions.remove(session, COORDINATOR, undecided, reason="another patient", now=NOW)
    session.commit()
    assert columns("missed-infusions", "ECSTDY") == [("4",)]
    given = infusion(date(2026, 3, 5))
    courses.record_infusion(session, COORDINATOR, course_of(session, subject), given, now=NOW)
    session.commit()
    assert exported("missed-infusions") == []


@pytest.mark.dialects("sqlite")
def test_a_first_infusion_that_was_moved_lies_before_day_1(session: Session, clock: Clock) -> None:
    clock.set(NOW)
    subject = add_subject(session, NOW, planned_start_on=date(2026, 3, 23))
    miss(session, subject, MissedInfusionKind.RESCHEDULED, date(2026, 3, 23), date(2026, 3, 30))
    assert columns("missed-infusions", "ECREASOC", "ECSTDY", "NEXTDY") == [("rescheduled", "-7", "1")]


@pytest.mark.dialects("sqlite")
def test_what_was_corrected_voided_or_withdrawn_is_in_no_file(session: Session, subject: Subject) -> None:
    event = course_of(session, subject).adverse_events[-1]
    milder = AdverseEventFacts("Headache", 1, found_on=LATER.found_on, started_on=LATER.started_on)
    corrected = adverse_events.correct(session, COORDINATOR, event, RowCorrection(milder, "asked again"), now=NOW)
    miss(session, subject, MissedInfusionKind.DID_NOT_COME, date(2026, 3, 5), None)
    assert len(exported("missed-infusions")) == 1
    assert columns("adverse-events", "AETERM", "AETOXGR") == [("Nausea", "2"), ("Headache", "1")]
    adverse_events.void(session, COORDINATOR, corrected, reason="another patient", now=NOW)
    session.commit()
    assert columns("adverse-events", "AETERM") == [("Nausea",)]
    subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope = NOW, "no use", WithdrawalScope.DATA
    session.commit()
    assert exported("adverse-events") == []
    assert exported("missed-infusions") == []


@pytest.mark.dialects("sqlite")
def test_the_codebook_describes_every_column_of_every_file(session: Session, subject: Subject) -> None:
    book = exported("codebook")
    for kind in KINDS:
        described = {row["COLUMN"] for row in book if row["FILE"] == kind and not row["QSTESTCD"]}
        assert set(exported(kind)[0] if exported(kind) else described) <= described
