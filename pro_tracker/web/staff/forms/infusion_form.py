"""The infusion form: the fields of InfusionFacts, under the same names, and a row of fields for each adverse event."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired, NumberRange, Optional

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.domain.infusion_warnings import InfusionWarning
from pro_tracker.models.course import Infusion
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields

MIN_ROWS, MAX_ROWS = 2, 20  # rows for adverse events


@dataclass(frozen=True, slots=True)
class AdverseEventRow:
    """The fields of one adverse event; all are empty if there was none."""

    term: Any
    grade: Any
    emergency: Any

    @property
    def is_empty(self) -> bool:
        entries = (self.term.data, self.grade.data, self.emergency.data)
        return not any(entries)

    def facts(self) -> AdverseEventFacts:
        """Returns the entries of a complete row as the service takes them."""
        grade = int(self.grade.data)
        is_emergency = bool(self.emergency.data)
        return AdverseEventFacts(self.term.data, grade, is_emergency)

    def is_complete(self) -> bool:
        """Returns whether the row is empty or has both term and grade; a missing one gets an error."""
        if self.is_empty:
            return True
        if not self.term.data:
            self.term.errors = [*self.term.errors, _("Say what the adverse event was.")]
        if not self.grade.data:
            self.grade.errors = [*self.grade.errors, _("Choose the CTCAE grade.")]
        return not (self.term.errors or self.grade.errors)


class InfusionFieldsForm(FlaskForm):  # type: ignore[misc]
    """Dose, duration, status and adverse events of one infusion."""

    row_count = 0
    warnings: Sequence[InfusionWarning] = ()  # to be corrected or confirmed
    warned = HiddenField()  # which warnings the page showed
    sure = BooleanField(_("I have checked this: it was so"))
    given_on = DateInputField(_("Date"), [InputRequired(_("Enter the date of the infusion."))])
    started_at_local = fields.time_field(
        _("Start time (optional)"),
        Optional(),
        description=_("Without it, a baseline counts that was answered on this day before the infusion was recorded."),
    )
    dose_mg_per_kg = fields.decimal_field(
        _("Dose in mg per kg"),
        InputRequired(_("Enter the dose.")),
        NumberRange(0, 5, _("The dose must be above 0 and at most 5 mg/kg.")),
    )
    weight_kg = fields.decimal_field(
        _("Weight in kg"),
        InputRequired(_("Enter the weight.")),
        NumberRange(0, 500, _("The weight must be above 0 and below 500 kg.")),
    )
    minutes = fields.integer_field(_("Duration in minutes"), InputRequired(_("Enter the duration.")))
    status = fields.radio_field(_("How did it go?"), _("Choose whether it was completed or stopped."))
    stop_reason = fields.text_field(_("Why was it stopped?"), description=_("Needed if it was stopped early."))
    ondansetron_mg = fields.decimal_field(
        _("Ondansetron in mg (optional)"),
        Optional(),
        NumberRange(0, 32, _("Ondansetron must be 0 to 32 mg, or left empty when none was given.")),
        description=_("Empty if none was given."),
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status.choices = fields.choices(labels.INFUSION_STATES.items())
        grades = [(str(grade), label) for grade, label in labels.GRADES.items()]
        grade_choices = fields.choices([("", ""), *grades])
        for row in self.rows:
            row.grade.choices = grade_choices

    @property
    def rows(self) -> list[AdverseEventRow]:
        """The rows for adverse events, in the order of the page."""
        return [self._row(number) for number in range(self.row_count)]

    def _row(self, number: int) -> AdverseEventRow:
        return AdverseEventRow(
            self[f"term_{number}"],
            self[f"grade_{number}"],
            self[f"emergency_{number}"],
        )

    def validate(self, **kwargs: Any) -> bool:
        """Validates each field, then what depends on several; reports all errors at once."""
        valid = bool(super().validate(**kwargs))
        if self.status.data == InfusionStatus.STOPPED and not self.stop_reason.data:
            self.stop_reason.errors = [*self.stop_reason.errors, _("Say why the infusion was stopped.")]
            valid = False
        # A list, not a generator: every row is checked, so that each missing entry gets its error.
        complete = [row.is_complete() for row in self.rows]
        return valid and all(complete)

    def require_checked(self, warnings: Sequence[InfusionWarning]) -> None:
        """Raises InvalidInput unless there is no warning, or exactly these were shown and confirmed."""
        digest = _digest(warnings)
        was_shown = self.warned.data == digest
        self.warnings = warnings
        self.warned.data = digest
        if not warnings:
            return
        if not (self.sure.data and was_shown):
            raise InvalidInput(_("Correct what is odd, or confirm it."), field="sure")

    def facts(self) -> InfusionFacts:
        """Returns the entries as the service takes them; empty rows are left out."""
        return InfusionFacts(
            given_on=self.given_on.data,
            started_at_local=self.started_at_local.data,
            dose_mg_per_kg=self.dose_mg_per_kg.data,
            weight_kg=self.weight_kg.data,
            minutes=self.minutes.data,
            status=InfusionStatus(self.status.data),
            stop_reason=self.stop_reason.data or None,
            ondansetron_mg=self.ondansetron_mg.data,
            adverse_events=tuple(row.facts() for row in self.rows if not row.is_empty),
        )


def _digest(warnings: Sequence[InfusionWarning]) -> str:
    text = repr(warnings)
    return hashlib.sha256(text.encode()).hexdigest()


class InfusionForm(InfusionFieldsForm):
    """A new infusion, and whether the course ends with it."""

    course_ends = BooleanField(
        _("The course ends here"),
        description=_("No further infusion of this course is expected, although fewer were given than planned."),
    )
    end_reason = fields.text_field(_("Why does the course end here?"), description=_("Needed if it ends here."))

    def validate(self, **kwargs: Any) -> bool:
        valid = super().validate(**kwargs)
        if self.course_ends.data and not self.end_reason.data:
            self.end_reason.errors = [*self.end_reason.errors, _("Say why the course ends.")]
            return False
        return valid


class InfusionCorrectionForm(InfusionFieldsForm):
    """The correction of an infusion. The end of the course is on the course page."""

    reason = fields.text_field(_("Why is it corrected?"), InputRequired(_("Say why the infusion is corrected.")))


AnyInfusionForm = TypeVar("AnyInfusionForm", bound=InfusionFieldsForm)


@cache
def with_rows(count: int, base: type[AnyInfusionForm]) -> type[AnyInfusionForm]:
    """Returns a subclass of the form with `count` rows for adverse events.

    The fields are numbered instead of a FieldList, so that each error links to its control.
    """
    attributes: dict[str, Any] = {"row_count": count}
    for number in range(count):
        attributes[f"term_{number}"] = fields.text_field(_("What happened"))
        attributes[f"grade_{number}"] = fields.select_field(_("CTCAE grade"))
        attributes[f"emergency_{number}"] = BooleanField(_("Someone had to respond at once (emergency)"))
    return type(f"{base.__name__}WithRows", (base,), attributes)


RECORDED_FIELDS = (
    "given_on",
    "started_at_local",
    "dose_mg_per_kg",
    "weight_kg",
    "minutes",
    "status",
    "stop_reason",
    "ondansetron_mg",
)


def as_recorded(infusion: Infusion) -> dict[str, Any]:
    """Returns a recorded infusion as data of the form, by field name."""
    data = {name: short(getattr(infusion, name)) for name in RECORDED_FIELDS}
    for number, event in enumerate(infusion.adverse_events):
        data[f"term_{number}"] = event.term
        data[f"grade_{number}"] = str(event.ctcae_grade)
        data[f"emergency_{number}"] = event.emergency_response
    return data


def short(value: Any) -> Any:
    """Returns a Decimal without the zeros that the scale of its column adds (0.5 for 0.500); other values unchanged."""
    if not isinstance(value, Decimal):
        return value
    # Format "f" avoids the exponent that normalize() gives to whole tens (70 would become 7E+1).
    plain = f"{value.normalize():f}"
    return Decimal(plain)
