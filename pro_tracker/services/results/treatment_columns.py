"""The columns of the files about treatment, each a domain of CDISC SDTM: EX, EC, CM, VS, LB and AE (docs/exports.md).

AEOCCUR, AESTAT and AEREASND are the qualifiers of the events class: SDTM's own AE dataset holds only what occurred,
while the file of symptoms has what did not occur and what was not asked about, too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.domain.infusion_codes import (
    OPEN_QUESTION,
    Asking,
    InfusionStatus,
    MedicationPurpose,
    MissedInfusionKind,
    SymptomAnswer,
    VitalTiming,
)
from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.models.course import AdverseEvent
from pro_tracker.services.csv_columns import Column, ColumnGroup
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import treatment_rows
from pro_tracker.services.results.treatment_rows import (
    AskedSymptom,
    FoundEvent,
    GivenMedication,
    NumberedInfusion,
    NumberedMissedInfusion,
    NumberedSnooze,
    OngoingTreatment,
    TakenLiverTest,
    TakenVital,
    TreatmentCourse,
)

NOT_DONE, NOT_ASKED, NOT_RECORDED = "NOT DONE", "NOT ASKED", "NOT RECORDED"
OCCURRED = {SymptomAnswer.YES: "Y", SymptomAnswer.NO: "N", SymptomAnswer.NOT_ASKED: ""}
YES_OR_NO = {True: "Y", False: "N", None: ""}
ASKINGS = "; ".join(
    (
        f"{Asking.NONE_REPORTED} = asked about all, none reported",
        f"{Asking.AS_MARKED} = asked, see the file of symptoms",
        f"{Asking.NOT_ASKED} = nothing was asked",
        f"{Asking.UNKNOWN} = not recorded whether it was asked",
    )
)
MISSED_KINDS = "; ".join(
    (
        f"{MissedInfusionKind.DID_NOT_COME} = the patient did not come",
        f"{MissedInfusionKind.RESCHEDULED} = it was moved to another day",
    )
)
SNOOZE_REASONS = "; ".join(
    (
        f"{SnoozeReason.PAIN} = too much pain",
        f"{SnoozeReason.TIRED} = too tired",
        f"{SnoozeReason.NO_TIME} = no time",
        f"{SnoozeReason.OTHER} = something else",
    )
)
REAL_KINDS = [kind for kind in OtherTreatmentKind if kind != OtherTreatmentKind.NONE]
DAYS = "days; 1 is the course's first infusion, no day 0"


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(codes)


def _emergency(event: AdverseEvent) -> str:
    return YES_OR_NO[event.emergency_response]


def _is_listed(asked: AskedSymptom) -> str:
    is_listed = asked.symptom is not None and asked.symptom.code != OPEN_QUESTION
    return "Y" if is_listed else ""


def _why_not(asked: AskedSymptom) -> str:
    if asked.symptom is None:
        return NOT_RECORDED
    return NOT_ASKED if asked.symptom.answer == SymptomAnswer.NOT_ASKED else ""


def _is_none(row: OngoingTreatment) -> bool:
    return row.treatment.kind == OtherTreatmentKind.NONE


def _end_state(row: OngoingTreatment) -> str:
    if _is_none(row):
        return ""
    ended_on = row.treatment.ended_on
    return "ONGOING" if ended_on is None or ended_on > row.treatment.asked_on else "BEFORE"


def _visit_number(row: NumberedSnooze) -> int | float:
    visit = row.snooze.visit
    return round(visit.visit_number + visit.infusion_day / 100, 2) if visit.infusion_day else visit.visit_number


def _visit_title(row: NumberedSnooze) -> str:
    visit = row.snooze.visit
    return protocol_catalog.bound_to(visit).event(visit.event_code).name(visit.infusion_day)


COURSE: tuple[Column[TreatmentCourse], ...] = (
    Column("STUDYID", lambda c: c.study, "Study that the course follows"),
    Column("USUBJID", lambda c: c.subject_code, "Subject: study code, no record number"),
    Column("SITEID", lambda c: c.course.site.code, "Site where the course was begun"),
    Column("COURSE", lambda c: c.number, "Treatment course of the subject", "1 is the first"),
)
GIVEN: tuple[Column[NumberedInfusion], ...] = (
    Column("EXSEQ", lambda g: g.number, "Infusion of the course", "1 is the first"),
    Column("EXSTDY", lambda g: g.course.day(g.infusion.given_on), "Study day of the infusion", DAYS),
)
INFUSION: tuple[Column[NumberedInfusion], ...] = (
    Column("EXDOSE", lambda g: g.infusion.dose_mg_per_kg, "Dose", "EXDOSU"),
    Column("EXDOSU", lambda g: "mg/kg", "Unit of the dose"),
    Column("EXDUR", lambda g: f"PT{g.infusion.minutes}M", "Duration", "ISO 8601"),
    Column("WEIGHT", lambda g: g.infusion.weight_kg, "Weight", "kg"),
    Column("EXSTATUS", lambda g: g.infusion.status, "Whether it was given completely", _listed(InfusionStatus)),
    Column("CHAIR", lambda g: g.infusion.chair, "Chair or room"),
    Column("AEASKED", lambda g: g.infusion.asking, "How it was asked about adverse effects", "a code", ASKINGS),
)
MISSED: tuple[Column[NumberedMissedInfusion], ...] = (
    Column("ECSEQ", lambda m: m.number, "Missed day of the course", "1 is the first"),
    Column("ECPRESP", lambda m: "Y", "Whether the infusion was planned", "Y"),
    Column("ECOCCUR", lambda m: "N", "Whether it was given on that day", "N"),
    Column("ECREASOC", lambda m: m.missed.kind, "Why not", "a code", MISSED_KINDS),
    Column("ECSTDY", lambda m: m.course.day(m.missed.planned_on), "Study day for which it was planned", DAYS),
    Column(
        "NEXTDY",
        lambda m: m.course.day(m.missed.next_on),
        "Study day planned instead",
        f"{DAYS}; empty: none was agreed",
    ),
)
MEDICATION: tuple[Column[GivenMedication], ...] = (
    Column("CMTRT", lambda m: m.medication.name, "Other drug given at the infusion"),
    Column("CMCAT", lambda m: m.medication.purpose, "Why", _listed(MedicationPurpose)),
    Column("CMDOSE", lambda m: m.medication.amount, "Dose", "CMDOSU; 0: not given; empty: not known"),
    Column("CMDOSU", lambda m: m.medication.unit, "Unit of the dose"),
)
VITAL: tuple[Column[TakenVital], ...] = (
    Column("VSTESTCD", lambda v: v.vital.code, "Vital sign or score, as the protocol codes it"),
    Column("VSTEST", lambda v: v.vital.name, "Its name"),
    Column("VSTPT", lambda v: v.vital.timing, "When it was taken, by the infusion", _listed(VitalTiming)),
    Column("VSORRES", lambda v: v.vital.value, "Value", "VSORRESU"),
    Column("VSORRESU", lambda v: v.vital.unit, "Unit of the value"),
    Column("VSSTAT", lambda v: NOT_DONE if v.vital.value is None else "", "Asked for, not taken", "NOT DONE or empty"),
)
SYMPTOM: tuple[Column[AskedSymptom], ...] = (
    Column("AETERM", lambda a: a.symptom.term if a.symptom else "", "Symptom asked about", "empty: see AEREASND"),
    Column("AEPRESP", _is_listed, "Whether the protocol lists it", "Y; empty: anything else"),
    Column("AEOCCUR", lambda a: OCCURRED[a.symptom.answer] if a.symptom else "", "Whether it was reported", "Y, N"),
    Column("AESTAT", lambda a: NOT_DONE if _why_not(a) else "", "Nothing is known of it", "NOT DONE or empty"),
    Column("AEREASND", _why_not, "Why nothing is known", f"{NOT_ASKED}, {NOT_RECORDED}"),
    Column("AETOXGR", lambda a: a.event.ctcae_grade if a.event else None, "Grade", "CTCAE grade, 1 to 5"),
)
EVENT: tuple[Column[FoundEvent], ...] = (
    Column("AESEQ", lambda f: f.number, "Adverse event of the course", "1 is the first"),
    Column("AETERM", lambda f: f.event.term, "What happened"),
    Column("AEPRESP", lambda f: "Y" if f.event.symptom_code else "", "Whether the protocol lists it", "Y or empty"),
    Column("AESOURCE", lambda f: f.event.source, "How it was learned", _listed(AdverseEventSource)),
    Column("AEINFUS", lambda f: YES_OR_NO[f.event.infusion_id is not None], "Whether found at an infusion", "Y, N"),
    Column("AETOXGR", lambda f: f.event.ctcae_grade, "Grade", "CTCAE grade, 1 to 5"),
    Column("AEDY", lambda f: f.course.day(f.event.found_on), "Study day on which it was found", DAYS),
    Column("AESTDY", lambda f: f.course.day(f.event.started_on), "Study day on which it began", DAYS),
    Column("AEENDY", lambda f: f.course.day(f.event.ended_on), "Study day on which it was over", DAYS),
    Column("AEOUT", lambda f: f.event.outcome, "Outcome", _listed(AdverseEventOutcome)),
    Column("AEREL", lambda f: f.event.relatedness, "Relation to the treatment", _listed(Relatedness)),
    Column("AEACN", lambda f: f.event.action_taken, "What was done with the treatment", _listed(ActionTaken)),
    Column("AESER", lambda f: YES_OR_NO[f.event.is_serious], "Serious (ICH E2A)", "Y, N; empty: not recorded"),
    Column("AEEMERG", lambda f: _emergency(f.event), "Emergency response", "Y, N; empty: not recorded"),
)
OTHER_TREATMENT: tuple[Column[OngoingTreatment], ...] = (
    Column("CMSEQ", lambda o: o.number, "Other treatment of the course", "1 is the first"),
    Column("CMTRT", lambda o: o.treatment.name, "Treatment, as entered", "empty: any other treatment"),
    Column("CMCAT", lambda o: "" if _is_none(o) else o.treatment.kind, "Kind", _listed(REAL_KINDS)),
    Column("CMPRESP", lambda o: "Y" if _is_none(o) else "", "Whether it was asked about as such", "Y or empty"),
    Column("CMOCCUR", lambda o: "N" if _is_none(o) else "", "Whether there is any", "N: asked, and there is none"),
    Column("CMDOSE", lambda o: o.treatment.amount, "One dose", "CMDOSU"),
    Column("CMDOSU", lambda o: o.treatment.unit, "Unit of the dose"),
    Column("CMDOSFRQ", lambda o: o.treatment.frequency, "How often", _listed(TreatmentFrequency)),
    Column("CMDY", lambda o: o.course.day(o.treatment.asked_on), "Study day on which the clinic learned of it", DAYS),
    Column("CMSTDY", lambda o: o.course.day(o.treatment.started_on), "Study day on which it began", DAYS),
    Column("CMENDY", lambda o: o.course.day(o.treatment.ended_on), "Study day on which it ended", DAYS),
    Column("CMENRTPT", _end_state, "State at CMDY", "ONGOING, BEFORE (ended by then) or empty"),
)
LIVER_TEST: tuple[Column[TakenLiverTest], ...] = (
    Column("LBTESTCD", lambda t: "LIVER", "Highest of the liver enzymes"),
    Column("LBDY", lambda t: t.course.day(t.test.taken_on), "Study day on which blood was drawn", DAYS),
    Column("LBORRES", lambda t: t.test.result, "Against the upper limit of normal", _listed(LiverTestResult)),
)
SNOOZE: tuple[Column[NumberedSnooze], ...] = (
    Column("SNZSEQ", lambda s: s.number, "“Not today” of the course", "1 is the first"),
    Column("VISITNUM", _visit_number, "Study event that was put off, in the order of the protocol"),
    Column("VISIT", _visit_title, "Its title"),
    Column("SNZDY", lambda s: s.day(s.snooze.requested_at), "Study day on which it was said", DAYS),
    Column("SNZENDY", lambda s: s.course.day(s.snooze.until_on), "Study day on which we ask again", DAYS),
    Column("SNZREAS", lambda s: s.snooze.reason, "Why not on that day", "a code; empty: confirmed", SNOOZE_REASONS),
    Column("SNZCONF", lambda s: YES_OR_NO[s.snooze.is_confirmed], "Said after the birth date was given", "Y, N"),
    Column("SNZUNDO", lambda s: YES_OR_NO[s.snooze.undone_at is not None], "Undone before that day", "Y, N"),
)


@dataclass(frozen=True, slots=True)
class TreatmentFile:
    """One file about treatment: its columns, and the function that makes its rows of courses."""

    layout: tuple[ColumnGroup[Any], ...]
    rows: Any

    def of(self, courses: Iterable[TreatmentCourse]) -> Iterator[Any]:
        """Yields the rows of these courses."""
        found: Iterator[Any] = self.rows(courses)
        return found


OF_INFUSION: tuple[ColumnGroup[Any], ...] = (
    ColumnGroup(COURSE, lambda row: row.given.course),
    ColumnGroup(GIVEN, lambda row: row.given),
)
TREATMENT_FILES = {
    "adverse-events": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(EVENT)), treatment_rows.adverse_events
    ),
    "symptoms": TreatmentFile((*OF_INFUSION, ColumnGroup(SYMPTOM)), treatment_rows.symptoms),
    "vitals": TreatmentFile((*OF_INFUSION, ColumnGroup(VITAL)), treatment_rows.vitals),
    "infusions": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(GIVEN), ColumnGroup(INFUSION)),
        treatment_rows.infusions,
    ),
    "missed-infusions": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(MISSED)), treatment_rows.missed_infusions
    ),
    "other-treatments": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(OTHER_TREATMENT)), treatment_rows.other_treatments
    ),
    "liver-tests": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(LIVER_TEST)), treatment_rows.liver_tests
    ),
    "snoozes": TreatmentFile(
        (ColumnGroup(COURSE, lambda row: row.course), ColumnGroup(SNOOZE)), treatment_rows.snoozes
    ),
    "medications": TreatmentFile((*OF_INFUSION, ColumnGroup(MEDICATION)), treatment_rows.medications),
}
