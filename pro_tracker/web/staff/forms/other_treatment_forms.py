"""The forms of a treatment alongside the infusions, and of liver tests: recorded, or corrected."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.services.treatment.liver_tests import LiverTestFacts
from pro_tracker.services.treatment.other_treatments import OTHER_TREATMENTS, OtherTreatmentFacts
from pro_tracker.web import other_treatment_labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields

FREQUENCIES = frozenset(TreatmentFrequency)
NOT_CHOSEN = ("", "")
WHY = _("Why is it corrected?")


class OtherTreatmentForm(FlaskForm):  # type: ignore[misc]
    """A treatment alongside, or that there is none. A new dose is a new entry."""

    kind = fields.radio_field(_("Kind of treatment"), _("Choose the kind of treatment, or that there is none."))
    name = fields.text_field(_("Name"), description=_("Such as gabapentin, nerve block, or manual therapy."))
    amount = fields.decimal_field(_("Dose, each time (optional)"), Optional())
    unit = fields.text_field(_("Unit of the dose"), description=_("Such as mg."))
    frequency = fields.optional_select_field(_("How often"), FREQUENCIES)
    started_on = DateInputField(_("Day on which it began"), [Optional()], description=_("Empty if it is not known."))
    ended_on = DateInputField(_("Day on which it ended"), [Optional()], description=_("Empty while it goes on."))
    asked_on = DateInputField(
        _("Day on which the clinic learned of it"),
        [InputRequired(_("Enter the day on which the clinic learned of it."))],
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind.choices = fields.choices(other_treatment_labels.KINDS.items())
        self.frequency.choices = fields.choices([NOT_CHOSEN, *other_treatment_labels.FREQUENCIES.items()])

    def facts(self) -> OtherTreatmentFacts:
        """Returns the entries as the service takes them."""
        frequency = self.frequency.data
        return OtherTreatmentFacts(
            kind=OtherTreatmentKind(self.kind.data),
            name=self.name.data,
            asked_on=self.asked_on.data,
            amount=self.amount.data,
            unit=self.unit.data or None,
            frequency=TreatmentFrequency(frequency) if frequency else None,
            started_on=self.started_on.data,
            ended_on=self.ended_on.data,
        )


class OtherTreatmentCorrectionForm(OtherTreatmentForm):
    """The correction of a treatment alongside; also its end."""

    reason = fields.text_field(WHY, DataRequired(_("Say why it is corrected, such as: it ended.")))


class LiverTestForm(FlaskForm):  # type: ignore[misc]
    """The liver enzymes of one day."""

    taken_on = DateInputField(
        _("Day on which blood was drawn"), [InputRequired(_("Enter the day on which blood was drawn."))]
    )
    result = fields.radio_field(
        _("Highest of the liver enzymes (ALT, AST, GGT, ALP), against its upper limit of normal"),
        _("Choose what the laboratory found."),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.result.choices = fields.choices(other_treatment_labels.LIVER_TEST_RESULTS.items())

    def facts(self) -> LiverTestFacts:
        """Returns the entries as the service takes them."""
        return LiverTestFacts(self.taken_on.data, LiverTestResult(self.result.data))


class LiverTestCorrectionForm(LiverTestForm):
    """The correction of liver tests."""

    reason = fields.text_field(WHY, DataRequired(_("Say why it is corrected, such as: wrong day.")))


def treatment_as_recorded(treatment: OtherTreatment) -> Mapping[str, Any]:
    """Returns a recorded treatment as data of its form, by field name."""
    facts = OTHER_TREATMENTS.facts_of(treatment)
    recorded = asdict(facts)
    if facts.amount is not None:
        recorded["amount"] = Decimal(f"{facts.amount.normalize():f}")  # 300, not 300.000
    return recorded


def test_as_recorded(test: LiverTest) -> Mapping[str, Any]:
    """Returns recorded liver tests as data of their form, by field name."""
    return {"taken_on": test.taken_on, "result": test.result}
