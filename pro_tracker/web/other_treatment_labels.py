"""Labels that staff read about treatments alongside the infusions, and about liver tests."""

from collections.abc import Sequence
from datetime import date

from flask_babel import format_date, gettext, lazy_gettext as _

from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency
from pro_tracker.models.course import Course
from pro_tracker.models.other_treatment import OtherTreatment

KINDS = {
    OtherTreatmentKind.DRUG: _("Drug"),
    OtherTreatmentKind.PROCEDURE: _("Procedure, such as a nerve block"),
    OtherTreatmentKind.PHYSICAL_THERAPY: _("Physical therapy"),
    OtherTreatmentKind.CHIROPRACTIC: _("Chiropractic"),
    OtherTreatmentKind.PSYCHOLOGICAL: _("Psychological therapy"),
    OtherTreatmentKind.OTHER: _("Something else"),
    OtherTreatmentKind.NONE: _("Asked: there is no other treatment"),
}
FREQUENCIES = {
    TreatmentFrequency.ONCE: _("Once"),
    TreatmentFrequency.DAILY: _("Every day"),
    TreatmentFrequency.TWICE_DAILY: _("Twice a day"),
    TreatmentFrequency.THRICE_DAILY: _("Three times a day"),
    TreatmentFrequency.FOUR_TIMES_DAILY: _("Four times a day"),
    TreatmentFrequency.WEEKLY: _("Every week"),
    TreatmentFrequency.TWICE_WEEKLY: _("Twice a week"),
    TreatmentFrequency.THRICE_WEEKLY: _("Three times a week"),
    TreatmentFrequency.MONTHLY: _("Every month"),
    TreatmentFrequency.AS_NEEDED: _("As needed"),
}
LIVER_TEST_RESULTS = {
    LiverTestResult.NORMAL: _("Normal"),
    LiverTestResult.RAISED: _("Raised, at most 3 times the limit"),
    LiverTestResult.HIGH: _("More than 3 times the limit"),
}


def name(treatment: OtherTreatment) -> str:
    """Returns the treatment in words: its name, or that there is none."""
    return treatment.name or gettext("No other treatment")


def details(treatment: OtherTreatment) -> str:
    """Returns dose and frequency of a treatment in words, as far as they are known."""
    known: list[str] = []
    if treatment.amount is not None:
        known.append(f"{treatment.amount.normalize():f} {treatment.unit}")
    if treatment.frequency is not None:
        known.append(str(FREQUENCIES[treatment.frequency]))
    return ", ".join(known)


def period(treatment: OtherTreatment) -> str:
    """Returns from when to when a treatment was given, in words."""
    if not treatment.name:
        return ""
    first, last = _day(treatment.started_on), _day(treatment.ended_on)
    if first and last:
        return gettext("%(first)s to %(last)s", first=first, last=last)
    if first:
        return gettext("since %(day)s", day=first)
    if last:
        return gettext("until %(day)s", day=last)
    return gettext("goes on; its beginning is not known")


def _day(on: date | None) -> str:
    return format_date(on) if on else ""


def none_recorded(courses: Sequence[Course]) -> str:
    """Returns why no other treatment is listed. That staff asked and there is none would be a row."""
    if not courses:
        return gettext("None is recorded: there is no course yet.")
    return gettext("None is recorded, nor that anybody asked.")
