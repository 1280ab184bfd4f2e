"""The infusion form: every field of InfusionFacts under its own name, a row of fields for each adverse event."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField
from wtforms.validators import InputRequired, NumberRange, Optional

from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.models.course import Infusion
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields

MIN_ROWS, MAX_ROWS = 2, 20


@dataclass(frozen=True, slots=True)
class AdverseEventRow:
    """The fields of one adverse event; all empty where there was none."""

    term: Any
    grade: Any
    emergency: Any

    @property
    def is_empty(self) -> bool:
        return not (self.term.data or self.grade.data or self.emergency.data)

    def facts(self) -> AdverseEventFacts:
        return AdverseEventFacts(self.term.data, int(self.grade.data), bool(self.emergency.data))

    def is_complete(self) -> bool:
        """Whether term and grade are both given; what is missing is said at its field."""
        if self.is_empty:
            return True
        if not self.term.data:
            self.term.errors = [*self.term.errors, _("Say what the adverse event was.")]
        if not self.grade.data:
            self.grade.errors = [*self.grade.errors, _("Choose the CTCAE grade.")]
        return not (self.term.errors or self.grade.errors)


class InfusionFieldsForm(FlaskForm):  # type: ignore[misc]
    """What was given and what came of it."""

    row_count = 0
    given_on = DateInputField(_("Date"), [InputRequired(_("Enter the date of the infusion."))])
    started_at_local = fields.time_field(_("Start time (optional)"), Optional())
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
        grades = fields.choices([("", ""), *((str(grade), label) for grade, label in labels.GRADES.items())])
        for row in self.rows:
            row.grade.choices = grades

    @property
    def rows(self) -> list[AdverseEventRow]:
        return list(self._rows())

    def _rows(self) -> Iterator[AdverseEventRow]:
        for number in range(self.row_count):
            yield AdverseEventRow(*(self[f"{name}_{number}"] for name in ("term", "grade", "emergency")))

    def validate(self, **kwargs: Any) -> bool:
        """Every field for itself, then what belongs together; all that is wrong is said at once."""
        valid = bool(super().validate(**kwargs))
        if self.status.data == InfusionStatus.STOPPED and not self.stop_reason.data:
            self.stop_reason.errors = [*self.stop_reason.errors, _("Say why the infusion was stopped.")]
            valid = False
        complete = [row.is_complete() for row in self.rows]
        return valid and all(complete)

    def facts(self) -> InfusionFacts:
        """What was typed, as the service wants it."""
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
    """An infusion put right. Whether the course ends is said on the course's own page."""

    reason = fields.text_field(_("Why is it corrected?"), InputRequired(_("Say why the infusion is corrected.")))


AnyInfusionForm = TypeVar("AnyInfusionForm", bound=InfusionFieldsForm)


@cache
def with_rows(count: int, base: type[AnyInfusionForm]) -> type[AnyInfusionForm]:
    """The form with this many rows for adverse events. Numbered fields: each error then has a control to lead to."""
    rows: dict[str, Any] = {"row_count": count}
    for number in range(count):
        rows[f"term_{number}"] = fields.text_field(_("What happened"))
        rows[f"grade_{number}"] = fields.select_field(_("CTCAE grade"))
        rows[f"emergency_{number}"] = BooleanField(_("Somebody had to respond at once (emergency)"))
    return type(f"{base.__name__}WithRows", (base,), rows)


def as_recorded(infusion: Infusion) -> dict[str, Any]:
    """An infusion as the form's data, by field."""
    names = ("given_on", "started_at_local", "dose_mg_per_kg", "weight_kg", "minutes", "status", "stop_reason")
    data = {name: short(getattr(infusion, name)) for name in (*names, "ondansetron_mg")}
    for number, event in enumerate(infusion.adverse_events):
        data[f"term_{number}"], data[f"grade_{number}"] = event.term, str(event.ctcae_grade)
        data[f"emergency_{number}"] = event.emergency_response
    return data


def short(value: Any) -> Any:
    """A number without the zeros that the column's scale adds: 0.5, not 0.500; anything else as it is."""
    return Decimal(f"{value.normalize():f}") if isinstance(value, Decimal) else value
