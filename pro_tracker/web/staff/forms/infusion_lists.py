"""Lists of what the infusion form asks for, by the protocol: symptoms, vital signs, medications, nurse and chair.

Fields are numbered or named after codes instead of a FieldList, so that each error links to its control.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms.validators import NumberRange, Optional

from pro_tracker.domain.infusion_codes import OPEN_QUESTION, MedicationPurpose, SymptomAnswer, VitalTiming
from pro_tracker.domain.protocol import PlannedMedication, PlannedSymptom, PlannedVital, TreatmentPlan
from pro_tracker.models.course import Infusion
from pro_tracker.models.infusion_findings import InfusionMedication
from pro_tracker.services.treatment.infusion_facts import MedicationFacts, VitalFacts
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields

ANYTHING_ELSE = "Anything else"
FREE_MEDICATIONS = 2  # rows for drugs that the protocol does not list
MOST_OF_A_DRUG = 99999
LOWEST, HIGHEST = Decimal(-9999), Decimal(9999)  # of a vital sign that the protocol does not list
ANSWERS = frozenset(SymptomAnswer)


@dataclass(frozen=True, slots=True)
class InfusionLists:
    """The lists of one form. `symptoms`: without the question after them."""

    symptoms: tuple[PlannedSymptom, ...] = ()
    vitals: tuple[PlannedVital, ...] = ()
    medications: tuple[PlannedMedication, ...] = ()
    nurse_and_chair: bool = False
    free_medications: int = FREE_MEDICATIONS

    @property
    def questions(self) -> tuple[PlannedSymptom, ...]:
        """The symptoms, then the question about anything else."""
        return (*self.symptoms, PlannedSymptom(OPEN_QUESTION, ANYTHING_ELSE))

    def asks_about(self, code: str) -> bool:
        """Returns whether there is a question with this code."""
        codes = [question.code for question in self.questions]
        return code in codes

    @property
    def readings(self) -> tuple[tuple[PlannedVital, VitalTiming], ...]:
        """Each vital sign at each of its times."""
        found: list[tuple[PlannedVital, VitalTiming]] = []
        for vital in self.vitals:
            found += ((vital, timing) for timing in vital.timings)
        return tuple(found)

    @property
    def timings(self) -> tuple[VitalTiming, ...]:
        """The times at which any vital sign is taken, in the order of the infusion."""
        taken = {timing for _vital, timing in self.readings}
        return tuple(timing for timing in VitalTiming if timing in taken)


def of_plan(plan: TreatmentPlan | None) -> InfusionLists:
    """Returns what the protocol lists; the bare form without a treatment plan."""
    if plan is None:
        return InfusionLists()
    return InfusionLists(plan.symptoms, plan.vitals, plan.medications, plan.nurse_and_chair)


def of_recorded(plan: TreatmentPlan | None, recorded: Infusion) -> InfusionLists:
    """Returns what the protocol lists, and what is recorded in addition: the course may follow another version now."""
    known = of_plan(plan)
    others = _other_symptoms(known, recorded)
    vitals = _other_vitals(known, recorded)
    free = [row for row in recorded.medications if not row.is_ondansetron]
    return replace(
        known,
        symptoms=(*known.symptoms, *others),
        vitals=(*known.vitals, *vitals),
        nurse_and_chair=known.nurse_and_chair or bool(recorded.nurse or recorded.chair),
        free_medications=len(free) + FREE_MEDICATIONS,
    )


def _other_symptoms(known: InfusionLists, recorded: Infusion) -> Iterator[PlannedSymptom]:
    for row in recorded.symptoms:
        if not known.asks_about(row.code):
            yield PlannedSymptom(row.code, row.term)


def _other_vitals(known: InfusionLists, recorded: Infusion) -> Iterator[PlannedVital]:
    listed = {vital_name(vital, timing) for vital, timing in known.readings}
    for row in recorded.vitals:
        vital = PlannedVital(row.code, row.name, row.unit, LOWEST, HIGHEST, (row.timing,))
        if vital_name(vital, row.timing) not in listed:
            yield vital


def list_fields(lists: InfusionLists) -> dict[str, Any]:
    """Returns the fields of the lists by name."""
    made = _answer_fields(lists) | _medication_fields(lists)
    for vital, timing in lists.readings:
        made[vital_name(vital, timing)] = _vital_field(vital)
    if lists.nurse_and_chair:
        made["nurse"] = fields.text_field(_("Nurse"))
        made["chair"] = fields.text_field(_("Chair or room"))
    return made


def _answer_fields(lists: InfusionLists) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for question in lists.questions:
        name = f"symptom_{question.code}"
        made[name] = fields.optional_radio_field(question.term, ANSWERS)
    return made


def _medication_fields(lists: InfusionLists) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for number, medication in enumerate(lists.medications):
        label = f"{medication.name} ({medication.unit})"
        made[f"listed_{number}"] = _amount_field(label, medication.most)
    for number in range(lists.free_medications):
        made |= _free_medication(number)
    return made


def set_choices(form: Any) -> None:
    """Gives the fields of the lists their choices."""
    answers = fields.choices(labels.SYMPTOM_ANSWERS.items())
    for question in form.lists.questions:
        form[f"symptom_{question.code}"].choices = answers
    purposes = fields.choices(labels.MEDICATION_PURPOSES.items())
    for number in range(form.lists.free_medications):
        form[f"purpose_{number}"].choices = purposes


def vital_name(vital: PlannedVital, timing: VitalTiming) -> str:
    """Returns the name of the field of a vital sign at a time."""
    return f"vital_{vital.code}_{timing}"


def _vital_field(vital: PlannedVital) -> Any:
    lowest, highest = short(vital.lowest), short(vital.highest)
    advice = _("%(name)s must be from %(lowest)s to %(highest)s %(unit)s.",
               name=vital.name, lowest=lowest, highest=highest, unit=vital.unit)  # fmt: skip
    return fields.decimal_field(vital.name, Optional(), NumberRange(lowest, highest, advice))


def _amount_field(label: Any, most: Decimal | int) -> Any:
    advice = _("The amount must be from 0 to %(most)s, or left empty when it is not known.", most=most)
    return fields.decimal_field(label, Optional(), NumberRange(0, most, advice))


def _free_medication(number: int) -> dict[str, Any]:
    return {
        f"drug_{number}": fields.text_field(_("Drug")),
        f"purpose_{number}": fields.optional_select_field(_("Given"), frozenset(MedicationPurpose)),
        f"amount_{number}": _amount_field(_("Amount"), MOST_OF_A_DRUG),
        f"unit_{number}": fields.text_field(_("Unit")),
    }


def vitals(form: Any) -> tuple[VitalFacts, ...]:
    """Returns every vital sign that the form asks for; what was not entered was not taken."""
    readings = form.lists.readings
    found = [_vital_facts(form, vital, timing) for vital, timing in readings]
    return tuple(found)


def _vital_facts(form: Any, vital: PlannedVital, timing: VitalTiming) -> VitalFacts:
    value = form[vital_name(vital, timing)].data
    return VitalFacts(vital.code, vital.name, timing, value, vital.unit)


def medications(form: Any) -> tuple[MedicationFacts, ...]:
    """Returns the drugs with an amount among those that the protocol lists, then the others that are named."""
    listed = _listed_facts(form)
    numbers = range(form.lists.free_medications)
    free = (_free_facts(form, number) for number in numbers)
    named = (facts for facts in free if facts.name)
    return (*listed, *named)


def _listed_facts(form: Any) -> Iterator[MedicationFacts]:
    for number, drug in enumerate(form.lists.medications):
        amount = form[f"listed_{number}"].data
        if amount is not None:
            yield MedicationFacts(drug.name, drug.purpose, amount, drug.unit)


def _free_facts(form: Any, number: int) -> MedicationFacts:
    return MedicationFacts(
        name=form[f"drug_{number}"].data,
        purpose=MedicationPurpose(form[f"purpose_{number}"].data or MedicationPurpose.RESCUE),
        amount=form[f"amount_{number}"].data,
        unit=form[f"unit_{number}"].data,
    )


def text_or_none(form: Any, name: str) -> str | None:
    """Returns the text of a field that not every protocol asks for."""
    if name not in form:
        return None
    return form[name].data or None


def as_recorded(infusion: Infusion, lists: InfusionLists) -> dict[str, Any]:
    """Returns what is recorded at an infusion as data of the fields of these lists, by name."""
    data: dict[str, Any] = {}
    for symptom in infusion.symptoms:
        data[f"symptom_{symptom.code}"] = symptom.answer
    for vital in infusion.vitals:
        data[f"vital_{vital.code}_{vital.timing}"] = short(vital.value)
    return data | _recorded_medications(infusion, lists)


def _recorded_medications(infusion: Infusion, lists: InfusionLists) -> dict[str, Any]:
    data: dict[str, Any] = {}
    free = 0
    for row in infusion.medications:
        place = _place(row, lists)
        if row.is_ondansetron:
            continue
        if place is not None:
            data[f"listed_{place}"] = short(row.amount)
        else:
            data |= _free_data(row, free)
            free += 1
    return data


def _place(row: InfusionMedication, lists: InfusionLists) -> int | None:
    """Returns the place of a drug with a known amount in the protocol's list; None if it is not there."""
    named = (row.name, row.purpose, row.unit)
    for number, drug in enumerate(lists.medications):
        if (drug.name, drug.purpose, drug.unit) == named and row.amount is not None:
            return number
    return None


def _free_data(row: InfusionMedication, number: int) -> dict[str, Any]:
    return {
        f"drug_{number}": row.name,
        f"purpose_{number}": row.purpose,
        f"amount_{number}": short(row.amount),
        f"unit_{number}": row.unit,
    }


def short(value: Any) -> Any:
    """Returns a Decimal without the zeros that the scale of its column adds (0.5 for 0.500); other values unchanged."""
    if not isinstance(value, Decimal):
        return value
    # Format "f" avoids the exponent that normalize() gives to whole tens (70 would become 7E+1).
    plain = f"{value.normalize():f}"
    return Decimal(plain)
